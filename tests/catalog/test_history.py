"""History: what is noted is written once, survives an outage, and is decided by what the database holds."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from penstock.catalog.history import REVISION, History
from penstock.catalog.models import PriceInForce, PriceUsed
from penstock.catalog.prices import STANDARD, build_price, flat, unpack
from penstock.catalog.snapshot import EMPTY, Found, load_snapshot
from penstock.infra.database import DatabaseAway
from penstock.infra.revisions import Revision


def official(dollars: str, model: str = "owl") -> Found:
    price = build_price(f"genai-prices openai/{model}", {STANDARD: flat(input_mtok=dollars)})
    return Found(price, official=price)


@pytest.fixture
def history(database) -> History:
    return History(database, lambda: 7, 4)


@pytest.fixture
def facts(database):
    """What the tables hold: versions used, prices in force by model, and how often prices were changed."""

    async def read():
        async with database.session(read_only=True) as session:
            used = set(await session.scalars(select(PriceUsed.version)))
            in_force = {row.model: (row.version, row.pending_version) for row in await session.scalars(select(PriceInForce))}
            moved = await session.scalar(select(Revision.number).where(Revision.name == REVISION))
        return used, in_force, moved or 0

    return read


async def write(history: History, *found: Found, snapshot=EMPTY) -> None:
    for one in found:
        history.note("openai", "Owl", one, snapshot)
    await history.write()


async def test_nothing_noted_nothing_written(history, facts):
    assert not history.waits
    await history.write()
    assert await facts() == (set(), {}, 0)


async def test_what_is_used_is_written_once(database, history, facts):
    one = official("1").price
    await write(history, official("1"), Found(one.times(2_000_000)))
    assert await facts() == ({one.version}, {"owl": (one.version, None)}, 1)
    await write(History(database, lambda: 9, 4), official("1"))
    assert await facts() == ({one.version}, {"owl": (one.version, None)}, 1)
    async with database.session(read_only=True) as session:
        row = await session.get_one(PriceUsed, one.version)
    assert (row.provider, row.model, row.first_used_at_ms) == ("openai", "Owl", 7)
    assert unpack(row.version, row.price) == one


async def test_what_the_snapshot_shows_is_not_noted(database, history):
    await write(history, official("1"))
    async with database.session(read_only=True) as session:
        snapshot = await load_snapshot(session, 4)
    fresh = History(database, lambda: 9, 4)
    fresh.note("openai", "owl", official("1"), snapshot)
    assert not fresh.waits


async def test_small_steps_are_in_force_and_jumps_wait(history, facts):
    versions = {dollars: official(dollars).price.version for dollars in ("1", "4", "17", "18", "3")}
    for dollars, held in (("1", ("1", None)), ("4", ("4", None)), ("17", ("4", "17")), ("18", ("4", "18")), ("3", ("3", None))):
        await write(history, official(dollars))
        expected = tuple(version and versions[version] for version in held)
        assert (await facts())[1] == {"owl": expected}
    assert (await facts())[0] == set(versions.values()), "rates of what waits are kept too"


async def test_each_process_says_a_version_once(history, facts):
    await write(history, official("1"))
    await write(history, official("2"))
    assert (await facts())[1]["owl"][0] == official("2").price.version
    history.note("openai", "owl", official("1"), EMPTY)
    await history.write()
    assert (await facts())[1]["owl"][0] == official("2").price.version


async def test_going_back_to_what_is_in_force_ends_the_wait(database, history, facts):
    await write(history, official("1"))
    await write(history, official("9"))
    await write(History(database, lambda: 9, 4), official("1"))
    assert (await facts())[1]["owl"] == (official("1").price.version, None)


async def test_an_override_is_used_and_no_official_price(history, facts):
    own = build_price("own openai/owl prc_1", {STANDARD: flat(input_mtok="1")})
    await write(history, Found(own))
    assert await facts() == ({own.version}, {}, 1)


async def test_what_could_not_be_written_is_kept(history, outage, facts):
    history.note("openai", "owl", official("1"), EMPTY)
    async with outage():
        with pytest.raises(DatabaseAway):
            await history.write()
        assert history.waits
        history.note("openai", "cat", official("2", "cat"), EMPTY)
    await history.write()
    assert (await facts())[1].keys() == {"owl", "cat"}
    assert not history.waits


async def test_processes_that_write_at_once_agree(database, facts):
    many = [History(database, lambda: 7, 4) for _ in range(4)]
    for history in many:
        for model in ("a", "b", "c", "d"):
            history.note("openai", model, official("1", model), EMPTY)
    await asyncio.gather(*(history.write() for history in many))
    used, in_force, _ = await facts()
    assert (len(used), set(in_force)) == (4, {"a", "b", "c", "d"})
