"""Charges to post, books to post them to, and a second pair of eyes on the database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from penstock.billing.charge import COLUMNS, Charge
from penstock.billing.door import Books
from penstock.billing.models import ChargeRow
from penstock.infra.database import Database
from penstock.kit.ids import new_id

SOUND = {
    "created_at_ms": 1_700_000_000_000,
    "account_id": "acc_operator",
    "key_id": "key_a",
    "wire": "chat",
    "provider": "openai",
    "channel": "main",
    "model": "gpt-4o",
    "served_model": "gpt-4o-mini",
    "status": 200,
    "outcome": "complete",
    "streamed": True,
    "estimated": False,
    "input_tokens": 12,
    "cache_read_tokens": 3,
    "cache_write_5m_tokens": 0,
    "cache_write_1h_tokens": 0,
    "output_tokens": 5,
    "reasoning_tokens": 1,
    "extra_usage": None,
    "cost_nano": 123_456_789,
    "free_nano": 0,
    "multiplier_micro": 1_000_000,
    "price_version": "2026-01-01",
    "upload_ms": 1,
    "first_byte_ms": 20,
    "duration_ms": 300,
    "attempts": 1,
}

_POST_FOREVER = """
import asyncio, os, sys
from pathlib import Path
import uvloop
from penstock.billing.door import Books, Charge
from penstock.kit.ids import new_id

REST = (
    "acc_operator", "key_a", "chat", "openai", "main", "m", "m", 200, "complete", False, False, 1, 0, 0, 0, 1, 0, None, 7, 0, 1_000_000,
    "v", 0, 0, 0, 1,
)

async def main(url, data, durability):
    loop = asyncio.get_running_loop()
    books = Books(url, durability, Path(data))
    await books.start()

    def post():
        charge = Charge(new_id("req"), 1, *REST)
        books.post(charge, lambda failure: told(charge.id))

    def told(name):
        os.write(1, name.encode() + b"\\n")
        loop.call_soon(post)

    for _ in range(64):
        post()
    await asyncio.sleep(60)

uvloop.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def post_forever() -> str:
    """A program that keeps 64 charges outstanding and prints the id of each that is reported durable: URL, data, durability."""
    return _POST_FOREVER


@pytest.fixture
def new_charge() -> Callable[..., Charge]:
    """Makes a charge with an id of its own; what is given replaces what is usual."""
    return lambda **given: Charge(**{"id": new_id("req"), **SOUND, **given})


async def read(url: str) -> list[Charge]:
    """All charges of a database, over a connection of its own."""
    database = Database(url)
    try:
        async with database.session(read_only=True) as session:
            rows = await session.execute(select(*(getattr(ChargeRow, name) for name in COLUMNS)).order_by(ChargeRow.id))
            return [Charge(*row) for row in rows]
    finally:
        await database.close()


@pytest.fixture
def stored() -> Callable[[str], list[Charge]]:
    """Reads all charges of a database as somebody else would, at once, whatever this thread's loop is doing."""

    def look(url: str) -> list[Charge]:
        found: list[Charge] = []
        thread = threading.Thread(target=lambda: found.extend(asyncio.run(read(url))))
        thread.start()
        thread.join()
        return found

    return look


class Till:
    """Posts charges and knows which of them were reported durable."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.durable: list[str] = []
        self.refused: list[str] = []

    def post(self, charge: Charge) -> asyncio.Future[None]:
        told = asyncio.get_running_loop().create_future()

        def done(failure: BaseException | None) -> None:
            (self.durable if failure is None else self.refused).append(charge.id)
            told.set_result(None)

        self.books.post(charge, done)
        return told


@pytest.fixture
def open_books(tmp_path: Path):
    """Opens books, and stops them in the end."""

    @asynccontextmanager
    async def opened(url: str, **given) -> AsyncIterator[Till]:
        books = Books(url, "process", tmp_path, **{"grace_s": 30, **given})  # a busy machine is not a database that is away
        await books.start()
        try:
            yield Till(books)
        finally:
            await books.stop()

    return opened


@pytest.fixture
def until():
    """Waits for what other threads or processes bring about."""

    async def wait(condition: Callable[[], object]) -> None:
        end_s = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end_s, "it never came true"
            await asyncio.sleep(0.01)

    return wait
