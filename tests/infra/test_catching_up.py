"""Catching up: every change is read, by one at a time, however often it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from penstock.infra import catching_up
from penstock.infra.catching_up import CatchUp
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed, Revision, bump


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[Feed]:
    feed = Feed(database, every_s=0.01)
    await feed.start()
    yield feed
    await feed.stop()


class Reader:
    """Reads the number of the revision `things`, which is what would be read of them; `failures` are raised first."""

    def __init__(self, database: Database, *failures: Exception) -> None:
        self.database = database
        self.failures = list(failures)
        self.number = 0
        self.reading = 0
        self.begun = asyncio.Event()
        self.has_read = asyncio.Event()

    async def __call__(self) -> None:
        self.reading += 1
        self.begun.set()
        try:
            assert self.reading == 1
            async with self.database.session(read_only=True) as session:
                number = await session.scalar(select(Revision.number).where(Revision.name == "things")) or 0
            await asyncio.sleep(0.01)
            if self.failures:
                raise self.failures.pop(0)
            self.number = number
            self.has_read.set()
        finally:
            self.reading -= 1

    async def until(self, number: int) -> None:
        async with asyncio.timeout(10):
            while self.number < number:
                self.has_read.clear()
                await self.has_read.wait()


async def change(database: Database) -> None:
    async with database.session() as session:
        await bump(session, "things")


async def test_the_last_change_is_read(database: Database, feed: Feed) -> None:
    reader = Reader(database)
    catching = CatchUp(feed, "things", reader)
    catching.start()
    for number in range(1, 21):
        await change(database)
        if number % 5 == 0:
            await reader.until(number)
    await catching.stop()
    assert reader.number == 20


@pytest.mark.parametrize("behind", [False, True])
async def test_what_cannot_be_read_is_tried_again_and_told_once(
    database: Database, feed: Feed, behind: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not told at all when whoever starts it has said so."""
    monkeypatch.setattr(catching_up, "PAUSE_S", 0.01)
    await change(database)
    reader = Reader(database, DatabaseAway("gone"), TimeoutError(), DatabaseAway("gone"))
    catching = CatchUp(feed, "things", reader)
    catching.start(behind=behind)
    await reader.until(1)
    await catching.stop()
    told = [record.getMessage() for record in caplog.records]
    assert told == [] if behind else ["changes of things cannot be read while the database is away: gone"]


async def test_stopping_waits_for_the_reading_under_way_and_ends_it(database: Database, feed: Feed) -> None:
    reader = Reader(database)
    catching = CatchUp(feed, "things", reader)
    await catching.stop()  # harmless before it was started
    catching = CatchUp(feed, "things", reader)
    catching.start(behind=True)
    await asyncio.wait_for(reader.begun.wait(), 10)
    await catching.stop()
    assert reader.has_read.is_set() and not reader.reading
    await change(database)
    await asyncio.sleep(0.05)
    assert reader.number == 0
