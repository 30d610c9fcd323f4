"""Revisions: moved with the change, and seen by those who follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from penstock.infra.database import Database
from penstock.infra.revisions import Follower, Revision, bump

EVERY_S = 0.01


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


@pytest.fixture
async def elsewhere(database_url: str) -> AsyncIterator[Database]:
    """The same database, as another process has it open."""
    opened = Database(database_url)
    yield opened
    await opened.close()


async def test_bump_counts(database: Database) -> None:
    for _ in range(3):
        async with database.session() as session:
            await bump(session, "keys")
    async with database.session() as session:
        await bump(session, "other")
    async with database.session(read_only=True) as session:
        assert dict((await session.execute(select(Revision.name, Revision.number))).all()) == {"keys": 3, "other": 1}


async def test_bumps_at_once_are_all_counted(database: Database, elsewhere: Database) -> None:
    async def one(opened: Database) -> None:
        async with opened.session() as session:
            await bump(session, "keys")

    await asyncio.gather(*(one(opened) for opened in (database, elsewhere) for _ in range(4)))
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(Revision.number)) == 8


async def test_a_follower_sees_changes_of_others_and_its_own(database: Database, elsewhere: Database) -> None:
    seen = Seen()
    follower = Follower(database, "keys", seen, every_s=EVERY_S)
    await follower.start()
    await seen.next()
    for opened in (elsewhere, database, elsewhere):
        async with opened.session() as session:
            await bump(session, "keys")
        await seen.next()
    assert seen.count == 4
    await follower.stop()
    await follower.stop()


async def test_other_writes_are_not_changes(database: Database, elsewhere: Database) -> None:
    seen, other = Seen(), Seen()
    followers = [Follower(database, "keys", seen, every_s=EVERY_S), Follower(database, "other", other, every_s=EVERY_S)]
    for follower in followers:
        await follower.start()
    await seen.next()
    await other.next()
    for _ in range(2):
        async with elsewhere.session() as session:
            await bump(session, "other")
        await other.next()
    assert seen.count == 1
    for follower in followers:
        await follower.stop()


async def test_a_follower_survives_the_loss_of_the_database(database: Database, elsewhere: Database, outage: Any) -> None:
    seen = Seen()
    follower = Follower(database, "keys", seen, every_s=EVERY_S)
    await elsewhere.close()
    async with outage():
        await follower.start()
        await asyncio.sleep(EVERY_S * 5)
        assert seen.count == 0
    await seen.next()
    async with elsewhere.session() as session:
        await bump(session, "keys")
    await seen.next()
    await follower.stop()


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_a_follower_whose_connection_is_cut_goes_on(database: Database, elsewhere: Database, outage: Any) -> None:
    seen = Seen()
    follower = Follower(database, "keys", seen, every_s=EVERY_S)
    await follower.start()
    await seen.next()
    await elsewhere.close()
    async with outage():
        await asyncio.sleep(EVERY_S * 5)
        assert seen.count == 1
    async with elsewhere.session() as session:
        await bump(session, "keys")
    await seen.next()
    await follower.stop()
