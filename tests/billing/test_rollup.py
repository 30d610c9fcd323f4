"""The roll-up: every charge in the sums once, whoever rolls up, in whatever order charges arrive, and however often."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import func, insert, select, text

from made_charges import NOON_MS, charge_at, random_charges, selected, summed, write
from penstock.billing import rollup
from penstock.billing.charge import columns
from penstock.billing.models import ALL_KEYS, ChargeOf, ChargeRow, UsageDay, UsageHour, UsageKey
from penstock.billing.rollup import mark, roll_up, withdraw
from penstock.billing.selection import ALWAYS, Selection
from penstock.billing.sums import CEILING, MOST
from penstock.billing.usage import Statistics, totals_of_keys
from penstock.infra.database import Database, DatabaseAway


async def rows(database, table):
    async with database.session(read_only=True) as session:
        found = await session.execute(select(*table.__table__.columns).order_by(*table.__table__.primary_key))
        return [tuple(row) for row in found]


async def sums(database, table):
    """requests, cost of all rows of a table."""
    async with database.session(read_only=True) as session:
        found = (await session.execute(select(func.sum(table.requests), func.sum(table.cost_nano)))).one()
        return tuple(int(number or 0) for number in found)


async def test_all_that_is_there_is_taken_once(database):
    charges = random_charges(100, seed=1)
    await write(database, charges)
    assert await roll_up(database, batch_rows=7) == 100
    assert await roll_up(database) == 0
    whole = (100, sum(charge.cost_nano for charge in charges))
    assert [await sums(database, table) for table in (UsageHour, UsageDay, UsageKey)] == [whole, (200, 2 * whole[1]), whole]
    owned = sorted((charge.account_id or "acc_operator", charge.id, charge.key_id or "", charge.model) for charge in charges)
    assert await rows(database, ChargeOf) == owned


async def test_sums_of_hours_and_days_are_those_of_their_charges(database):
    charges = random_charges(300, seed=2)
    await write(database, charges)
    await roll_up(database, batch_rows=50)
    for table, length_ms in ((UsageHour, 3_600_000), (UsageDay, 86_400_000)):
        for account_id, from_ms, key_id, model, channel, *numbers in await rows(database, table):
            span = type(ALWAYS)(from_ms, from_ms + length_ms)
            mine = selected(charges, Selection(span=span, account_id=account_id, channel=channel))
            mine = [charge for charge in mine if charge.model == model and key_id in (charge.key_id or "", ALL_KEYS)]
            names = [column.name for column in table.__table__.columns][5:]
            assert dict(zip(names, numbers, strict=True)) == {name: getattr(summed(mine), name) for name in names}


async def test_the_order_of_arrival_does_not_matter(database):
    """Old ids after young ones, in batches between which the roll-up runs: what a journal or a long request brings."""
    charges = random_charges(120, seed=3)
    random.Random(3).shuffle(charges)
    for start in range(0, 120, 10):
        await write(database, charges[start : start + 10])
        if start % 20:
            await roll_up(database, batch_rows=6)
        found = await Statistics(database).total(Selection())
        assert found == summed(charges[: start + 10])
    await roll_up(database)
    assert await Statistics(database).total(Selection()) == summed(charges)


async def test_several_at_once_take_each_charge_once(database, database_url):
    charges = random_charges(400, seed=4)
    others = [Database(database_url) for _ in range(3)]
    try:
        for start in range(0, 400, 100):
            await write(database, charges[start : start + 100])
            taken = await asyncio.gather(*(roll_up(other, batch_rows=9) for other in others))
            assert sum(taken) <= start + 100
        await roll_up(database)
    finally:
        for other in others:
            await other.close()
    assert await sums(database, UsageHour) == await sums(database, UsageKey) == (400, sum(charge.cost_nano for charge in charges))
    assert len(await rows(database, ChargeOf)) == 400


async def test_a_charge_that_is_committed_late_is_not_passed_over(database, database_url):
    """On PostgreSQL numbers are given before they are committed; on SQLite such a writer keeps all others waiting."""
    if database.path is not None:
        return
    slow, fast = charge_at(NOON_MS, 1), charge_at(NOON_MS, 2)
    async with database.session() as session:
        await session.execute(insert(ChargeRow), [columns(slow)])
        await write(database, [fast])
        running = asyncio.create_task(roll_up(database))
        await asyncio.sleep(0.05)
        assert not running.done()
        assert (await Statistics(database).total(Selection())).requests == 1
    await running
    await roll_up(database)
    assert (await sums(database, UsageHour))[0] == 2
    async with database.session(read_only=True) as session:
        numbers = dict((await session.execute(select(ChargeRow.id, ChargeRow.number))).all())
    assert numbers[slow.id] < numbers[fast.id]


async def test_a_writer_that_does_not_end_holds_up_the_sums_and_nothing_else(database, monkeypatch):
    if database.path is not None:
        return
    monkeypatch.setattr(rollup, "_LOOKS", 3)
    async with database.session() as session:
        await session.execute(insert(ChargeRow), [columns(charge_at(NOON_MS, 1))])
        await write(database, [charge_at(NOON_MS, 2)])
        assert await roll_up(database) == 0
        assert (await Statistics(database).total(Selection())).requests == 1
    assert await roll_up(database) == 2


async def test_a_batch_is_added_whole_or_not_at_all(database):
    """The last of its statements fails: nothing of it may stay."""
    await write(database, [charge_at(NOON_MS)])
    async with database.session() as session:
        await session.execute(text("ALTER TABLE usage_key RENAME TO usage_key_away"))
    with pytest.raises(Exception, match="usage_key"):
        await roll_up(database)
    async with database.session() as session:
        assert await mark(session) == 0
        await session.execute(text("ALTER TABLE usage_key_away RENAME TO usage_key"))
    assert await sums(database, UsageHour) == (0, 0)
    assert await rows(database, ChargeOf) == []
    assert await roll_up(database) == 1
    assert await sums(database, UsageHour) == (1, 1_234)


async def test_a_database_that_is_away_is_said_to_be(database, outage):
    await write(database, [charge_at(NOON_MS)])
    async with outage():
        with pytest.raises(DatabaseAway):
            await roll_up(database)
    assert await roll_up(database) == 1


async def test_numbers_beyond_reason_do_not_stop_it(database):
    most = 2**63 - 1
    absurd = [charge_at(NOON_MS, number, input_tokens=most, cache_write_5m_tokens=most, cost_nano=most) for number in range(20)]
    await write(database, [*absurd, charge_at(NOON_MS, 20, input_tokens=-most, output_tokens=7)])
    assert await roll_up(database, batch_rows=5) == 21
    found = await Statistics(database).total(Selection())
    assert (found.requests, found.input_tokens, found.output_tokens) == (21, CEILING, 20 * 5 + 7)
    assert MOST < found.cost_nano <= CEILING


async def test_what_is_withdrawn_was_never_there(database):
    """Charges taken back before and after they were summed, and written again with other figures."""
    charges = random_charges(60, seed=5)
    await write(database, charges[:40])
    await roll_up(database, batch_rows=11)
    await write(database, charges[40:])
    gone = {charge.id for charge in charges[30:50]}
    async with database.session() as session:
        await withdraw(session, sorted(gone))
    left = [charge for charge in charges if charge.id not in gone]
    assert await Statistics(database).total(Selection()) == summed(left)
    again = [charge_at(NOON_MS, 1000), *charges[45:50]]
    await write(database, again)
    for _ in range(2):
        assert await Statistics(database).total(Selection()) == summed([*left, *again])
        totals = await totals_of_keys(database, ["key_a", *{charge.key_id for charge in charges} - {None}])
        assert sum(total.requests for total in totals.values()) == sum(charge.key_id is not None for charge in [*left, *again])
        await roll_up(database)
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(ChargeOf)) == len(left) + len(again)


async def test_the_last_charge_withdrawn_and_its_number_given_again(database):
    first, second = charge_at(NOON_MS, 1), charge_at(NOON_MS, 2, cost_nano=5)
    await write(database, [first])
    await roll_up(database)
    async with database.session() as session:
        await withdraw(session, [first.id])
    await write(database, [second])
    assert await Statistics(database).total(Selection()) == summed([second])
    assert await roll_up(database) == 1
    assert await Statistics(database).total(Selection()) == summed([second])


async def test_what_is_withdrawn_while_it_is_being_summed_is_left_out(database):
    """On SQLite a batch is summed before it is added."""
    if database.path is None:
        return
    charges = [charge_at(NOON_MS, number) for number in range(4)]
    await write(database, charges)

    def take():
        with closing(rollup._open(database.path)) as connection, closing(rollup._open(database.path)) as other:

            def begun(statement):
                if statement.startswith("INSERT INTO charge_sums"):
                    connection.set_trace_callback(None)
                    other.execute("UPDATE rollup SET mark = mark + 1 WHERE name = 'withdrawals'")

            connection.set_trace_callback(begun)
            return [rollup._take_at_once(connection, 10) for _ in range(2)]

    assert await asyncio.to_thread(take) == [0, 4]
    assert (await sums(database, UsageHour))[0] == 4


async def test_one_that_is_cancelled_closes_nothing_that_is_in_use(database, monkeypatch):
    """On SQLite: to close a connection while a statement of it runs in another thread is the end of the process."""
    if database.path is None:
        return
    running, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    said = []

    class Watched(sqlite3.Connection):
        def execute(self, statement, *given):
            if statement.startswith("UPDATE rollup"):
                said.append("moves")
                running.set()
                go_on.wait(30)
                said.append("moved")
            return super().execute(statement, *given)

        def close(self):
            said.append("closes")
            super().close()
            closed.set()

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Watched))
    await write(database, [charge_at(NOON_MS, number) for number in range(4)])
    task = asyncio.create_task(roll_up(database, batch_rows=2))
    try:
        assert await asyncio.to_thread(running.wait, 30)
        task.cancel()
        await asyncio.wait([task], timeout=0.2)  # whatever it does then, it does while the statement runs
    finally:
        go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(closed.wait, 30)
    assert said == ["moves", "moved", "closes"]
    async with database.session(read_only=True) as session:
        assert await mark(session) == 2  # what was under way is taken, and no more
    assert await roll_up(database) == 2
