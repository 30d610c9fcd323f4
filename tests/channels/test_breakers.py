"""Shared breakers: two processes over one database tell each other, and do without it when it is away."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from penstock.accounts.identity import CLI
from penstock.channels.breakers import SharedBreakers, whose_of
from penstock.channels.models import BreakerRow
from penstock.channels.service import Channels
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from penstock.infra.secrets import Secrets
from penstock.upstream.breaker import Breakers, Fault, State
from penstock.upstream.channel import Terms

WRONG_KEY = Fault("status", 401, "401 Unauthorized")
GONE = Fault("model", 404, "404 Not Found")


def channel(name: str = "main", channel_id: str = "chn_1", credential_id: str = "crd_1") -> Any:
    """Of a channel, what the sharing of breakers looks at."""
    return SimpleNamespace(name=name, terms=Terms(id=channel_id, credential_id=credential_id), breakers=Breakers())


class Process:
    """One process: its channels and what it shares of them."""

    def __init__(self, database: Database, *channels: Any) -> None:
        self.channels: Any = channels
        self.feed = Feed(database, every_s=0.02)
        self.shared = SharedBreakers(database, self.feed, lambda: self.channels)

    def blocks(self, number: int = 0, model: str = "m") -> str | None:
        return self.channels[number].breakers.blocks(model, time.time())

    def fail(self, fault: Fault = WRONG_KEY, number: int = 0, model: str = "m") -> None:
        self.channels[number].breakers.failed(model, fault, time.time())

    def succeed(self, number: int = 0, model: str = "m") -> None:
        self.channels[number].breakers.succeeded(model, time.time())


@asynccontextmanager
async def running(database: Database, *channels: Any) -> AsyncIterator[Process]:
    process = Process(database, *channels)
    await process.feed.start()
    await process.shared.start()
    try:
        yield process
    finally:
        await process.shared.stop()
        await process.feed.stop()


async def soon(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.01)


async def rows(database: Database) -> dict[tuple[str, str, str], BreakerRow]:
    async with database.session(read_only=True) as session:
        return {(row.channel_id, row.credential_id, row.model): row for row in await session.scalars(select(BreakerRow))}


async def until_rows(database: Database, *keys: tuple[str, str, str]) -> None:
    async with asyncio.timeout(10):
        while set(await rows(database)) != set(keys):  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.02)


@pytest.fixture
async def two(database: Database, database_url: str) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes that have the same channels."""
    elsewhere = Database(database_url)
    mine, theirs = ([channel(), channel(credential_id="crd_2"), channel("openai", "", "")] for _ in range(2))
    async with running(database, *mine) as here, running(elsewhere, *theirs) as there:
        yield here, there
    await elsewhere.close()


async def test_who_opens_tells_the_others(two, database):
    here, there = two
    here.fail()
    here.fail(GONE, 2)
    await soon(lambda: there.blocks() and there.blocks(2))
    assert there.blocks() == here.blocks()
    assert (there.blocks(1), there.blocks(2, "other")) == (None, None)
    found = await rows(database)
    assert set(found) == {("chn_1", "crd_1", ""), ("openai", "", "m")}
    row = found["chn_1", "crd_1", ""]
    assert (row.state, row.failures, row.reason, row.until_ms - row.at_ms) == ("open", 1, "401 Unauthorized", 60_000)


async def test_who_closes_tells_the_others(two, database):
    here, there = two
    here.fail()
    await soon(there.blocks)
    there.succeed()
    await soon(lambda: not here.blocks())
    await until_rows(database)
    assert not here.channels[0].breakers.troubled


async def test_who_comes_later_is_told(two, database):
    here, _ = two
    here.fail()
    await until_rows(database, ("chn_1", "crd_1", ""))
    async with running(database, channel()) as late:
        await soon(late.blocks)


async def test_channels_that_come_later_are_told_and_tell(two, database):
    here, there = two
    here.fail()
    await soon(there.blocks)
    fresh = channel()
    early = channel("other", "chn_2")
    early.breakers.failed("m", GONE, time.time())
    there.channels = (fresh, early)
    await soon(lambda: there.blocks(0) and fresh.breakers.troubled)
    await until_rows(database, ("chn_1", "crd_1", ""), ("chn_2", "crd_1", "m"))


async def test_the_operator_closes_them_everywhere(two, database):
    here, there = two
    for number in (0, 1):
        here.fail(number=number)
        here.fail(GONE, number)
    await soon(lambda: there.blocks(0) and there.blocks(1))
    await until_rows(database, *(("chn_1", credential, model) for credential in ("crd_1", "crd_2") for model in ("", "m")))
    await Channels(database, Secrets(os.urandom(32))).reset(CLI, "chn_1", {"chn_1"})
    await soon(lambda: not any(side.blocks(number) for side in two for number in (0, 1)))
    await until_rows(database)


async def test_whoever_opened_last_is_believed(two, database):
    """What one process closes, having seen what was before, does not undo what another has found since."""
    here, there = two
    here.fail()
    await soon(there.blocks)
    async with database.session() as session:
        await session.execute(update(BreakerRow).values(at_ms=BreakerRow.at_ms + 30_000, until_ms=BreakerRow.until_ms + 30_000))
    here.succeed()
    await soon(lambda: here.channels[0].breakers.states() and here.channels[0].breakers.states()[0].at_s > time.time())
    assert set(await rows(database)) == {("chn_1", "crd_1", "")}


async def test_what_was_written_before_the_clock_was_set_back_is_not_for_ever(two, database):
    here, there = two
    here.fail()
    await soon(there.blocks)
    async with database.session() as session:
        await session.execute(update(BreakerRow).values(at_ms=BreakerRow.at_ms + 10**9, until_ms=BreakerRow.until_ms + 10**9))
    here.succeed()
    await until_rows(database)


async def test_while_the_database_is_away_each_knows_its_own(database, outage):
    async with running(database, channel()) as here:
        await soon(lambda: not here.shared._stale)
        async with outage():
            here.fail()
            await soon(lambda: here.shared._away)
            assert here.blocks()
        await until_rows(database, ("chn_1", "crd_1", ""))
        assert here.blocks()


async def test_what_cannot_be_written_is_not(two, database):
    here, _ = two
    for model in ("\0", "x" * 300, "a\nb"):
        here.fail(GONE, model=model)
    here.fail(GONE, model="m")
    await until_rows(database, ("chn_1", "crd_1", "m"))


async def test_what_is_long_over_is_forgotten(two, database):
    here, there = two
    at_s = time.time() - 10_000
    async with database.session() as session:
        times = {"until_ms": int(at_s * 1000), "at_ms": int(at_s * 1000) - 5000}
        session.add(BreakerRow(channel_id="chn_1", credential_id="crd_1", model="m", state="open", failures=1, reason="x", **times))
    here.fail(GONE, model="n")
    await until_rows(database, ("chn_1", "crd_1", "n"))
    await soon(lambda: there.blocks(model="n"))
    assert [state.model for state in there.channels[0].breakers.states()] == ["n"]


async def test_a_channel_that_is_gone_writes_nothing(database):
    async with running(database, channel()) as here:
        old = here.channels[0]
        here.channels = ()
        here.shared.look()
        old.breakers.failed("m", GONE, time.time())
        await soon(lambda: not here.shared._changes)
        assert await rows(database) == {}


def test_channels_from_settings_go_by_their_names():
    assert whose_of(channel("openai", "", "")) == ("openai", "")
    assert whose_of(channel()) == ("chn_1", "crd_1")


async def test_many_at_once(two, database):
    here, there = two
    now_s = round(time.time(), 3)
    states = [State(f"m{number}", now_s, now_s + 60, 1, "x" * 500) for number in range(450)]
    here.channels[0].breakers.load(states)
    here.channels = list(here.channels)
    here.shared._known = {}
    here.shared.look()
    await soon(lambda: len(there.channels[0].breakers.states()) == 450)
    here.channels[0].breakers.reset()
    await until_rows(database)
