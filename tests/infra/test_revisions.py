"""Revisions: moved with the change, and seen by those who follow."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event, select

from penstock.infra.database import Database
from penstock.infra.revisions import CHANNEL, Feed, Follower, Revision, bump

EVERY_S = 0.01
SELDOM_S = 3600.0


class Seen:
    """Counts calls and lets a test wait for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._event.set()

    async def next(self) -> None:
        await asyncio.wait_for(self._event.wait(), 10)
        self._event.clear()


@asynccontextmanager
async def following(database: Database, *, every_s: float | None = None, **names: Callable[[], None]) -> AsyncIterator[Feed]:
    """A feed that runs while the block does."""
    feed = Feed(database, every_s=every_s or (EVERY_S if database.path else SELDOM_S))
    for name, changed in names.items():
        feed.follow(name, changed)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


async def change(database: Database, name: str = "keys") -> None:
    async with database.session() as session:
        await bump(session, name)


@pytest.fixture
async def elsewhere(database_url: str) -> AsyncIterator[Database]:
    """The same database, as another process has it open."""
    opened = Database(database_url)
    yield opened
    await opened.close()


async def test_bump_counts(database: Database) -> None:
    for name in ("keys", "keys", "keys", "other"):
        await change(database, name)
    async with database.session(read_only=True) as session:
        assert dict((await session.execute(select(Revision.name, Revision.number))).all()) == {"keys": 3, "other": 1}


async def test_bumps_at_once_are_all_counted(database: Database, elsewhere: Database) -> None:
    await asyncio.gather(*(change(opened) for opened in (database, elsewhere) for _ in range(4)))
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(Revision.number)) == 8


async def test_a_feed_sees_changes_of_others_and_its_own(database: Database, elsewhere: Database) -> None:
    """On PostgreSQL this feed never asks by itself: it is told."""
    seen = Seen()
    async with following(database, keys=seen) as feed:
        await seen.next()
        for opened in (elsewhere, database, elsewhere):
            await change(opened)
            await seen.next()
        assert seen.count == 4
        await feed.stop()


async def test_one_feed_tells_everyone_what_concerns_them(database: Database, elsewhere: Database) -> None:
    keys, prices, again = Seen(), Seen(), Seen()
    async with following(database, keys=keys, prices=prices) as feed:
        feed.follow("prices", again)
        for seen in (keys, prices, again):
            await seen.next()
        for _ in range(2):
            await change(elsewhere, "prices")
            await prices.next()
            await again.next()
        assert (keys.count, prices.count, again.count) == (1, 3, 3)


async def test_who_comes_late_is_called_once_all_the_same(database: Database) -> None:
    first, late = Seen(), Seen()
    await change(database)
    async with following(database, keys=first) as feed:
        await first.next()
        feed.follow("keys", late)
        await late.next()
        assert first.count == 1


async def test_a_change_that_is_rolled_back_is_none(database: Database, elsewhere: Database) -> None:
    seen, other = Seen(), Seen()
    async with following(database, keys=seen, other=other):
        await seen.next()
        await other.next()
        async with elsewhere.session() as session:
            await bump(session, "keys")
            await session.rollback()
        await change(elsewhere, "other")
        await other.next()
        assert seen.count == 1


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_postgresql_is_asked_in_case_it_did_not_tell(database: Database, elsewhere: Database) -> None:
    seen = Seen()
    async with following(database, keys=seen, every_s=EVERY_S):
        await seen.next()
        async with elsewhere.session() as session:
            session.add(Revision(name="keys", number=7))
        await seen.next()


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_postgresql_tells_the_name_when_the_change_is_made(database: Database, database_url: str) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    connection = await asyncpg.connect(database_url)
    await connection.add_listener(CHANNEL, lambda *about: told.put_nowait(about[3]))
    async with database.session() as session:
        await bump(session, "keys")
        await connection.execute("SELECT 1")
        assert told.empty()
    assert await asyncio.wait_for(told.get(), 10) == "keys"
    await connection.close()


async def test_a_feed_begins_when_the_database_comes_back(database: Database, elsewhere: Database, outage: Any, caplog: Any) -> None:
    seen = Seen()
    async with outage():
        feed = Feed(database, every_s=EVERY_S)
        feed.follow("keys", seen)
        await feed.start()
        await asyncio.sleep(EVERY_S * 5)
        assert seen.count == 0
    await seen.next()
    await change(elsewhere)
    await seen.next()
    await feed.stop()
    assert caplog.text.count("cannot be followed") == 1


async def test_what_was_changed_during_an_outage_is_found_after_it(database: Database, elsewhere: Database, outage: Any) -> None:
    seen = Seen()
    async with following(database, keys=seen):
        await seen.next()
        await elsewhere.close()
        async with outage():
            await asyncio.sleep(EVERY_S * 5)
            assert seen.count == 1
        await change(elsewhere)
        await seen.next()
        await change(elsewhere)
        await seen.next()


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_a_database_that_is_away_is_asked_ever_less(database: Database, outage: Any) -> None:
    attempts = []
    event.listen(database.engine.sync_engine, "do_connect", lambda *_: attempts.append(1))
    async with outage(), following(database, keys=Seen()):
        await asyncio.sleep(0.65)  # attempts at 0, 0.1, 0.3, 0.7 s at the earliest
        assert 1 <= len(attempts) <= 3


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_a_connection_that_listened_is_used_by_nobody_else(database: Database) -> None:
    seen = Seen()
    async with following(database, keys=seen):
        await seen.next()
    async with database.engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT pg_listening_channels()")).all() == []


@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
async def test_another_file_in_its_place_is_followed(database: Database, elsewhere: Database) -> None:
    seen = Seen()
    assert database.path is not None
    await change(elsewhere)
    await elsewhere.close()
    async with following(database, keys=seen):
        await seen.next()
        copy = database.path.with_suffix(".copy")
        shutil.copy(database.path, copy)
        copy.replace(database.path)
        database.path.with_name(f"{database.path.name}-wal").unlink(missing_ok=True)
        database.path.with_name(f"{database.path.name}-shm").unlink(missing_ok=True)
        await change(elsewhere)
        await seen.next()


@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
async def test_a_writer_keeps_nobody_from_reading(database: Database, elsewhere: Database, caplog: Any) -> None:
    seen = Seen()
    async with elsewhere.session() as session:
        await bump(session, "keys")
        async with following(database, keys=seen):
            await seen.next()
    assert caplog.text == ""


async def test_a_follower_is_a_feed_of_one_name(database: Database, elsewhere: Database) -> None:
    seen = Seen()
    follower = Follower(database, "keys", seen)
    await follower.start()
    await seen.next()
    await change(elsewhere)
    await seen.next()
    await follower.stop()
