"""Presence: who has died is swept once, less what it had spent; who was only asleep goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, insert, select, update

from bank import Bank, charge_of
from penstock.billing.leases import square_late
from penstock.billing.models import ChargeRow, Lease, Worker
from penstock.billing.presence import post_interrupted, withdraw_interrupted
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError


@pytest.fixture
async def bank(database: Database, database_url: str) -> AsyncIterator[Bank]:
    opened = Bank(database, database_url)
    yield opened
    await opened.close()
    await square_late(database, clock.now_ms())
    await opened.check()
    assert await opened.open_leases() == []


async def die(bank: Bank, teller) -> None:
    """As kill -9 would have it, some time ago."""
    teller.presence._stopping.set()
    await teller.presence._task
    await unseen(bank, teller)


async def unseen(bank: Bank, teller) -> None:
    teller.presence._task.cancel()  # it is asleep: on a slow machine its heart could beat before it is to know
    async with bank.database.session() as session:
        await session.execute(update(Worker).where(Worker.id == teller.presence.worker).values(seen_at_ms=0))


async def charges(bank: Bank) -> list[ChargeRow]:
    async with bank.database.session(read_only=True) as session:
        return list(await session.scalars(select(ChargeRow).order_by(ChargeRow.id)))


async def test_the_leases_of_the_dead_return_less_what_they_spent(bank):
    account, wants = await bank.account(paid_nano=10_000)
    dead, living = await bank.teller(), await bank.teller()
    await dead.pay(wants, account, 500, 300)
    await die(bank, dead)
    assert await living.presence.sweep() == 1
    assert await living.presence.sweep() == 0
    assert await bank.left(f"{account}/paid") == 9_700
    await living.pay(wants, account, 9_700, 9_700)


async def test_those_who_were_seen_are_left_alone(bank):
    account, wants = await bank.account(paid_nano=10_000)
    one, other = await bank.teller(), await bank.teller()
    await one.pay(wants, account, 500, 300)
    assert await other.presence.sweep() == 0
    assert one.treasury.leased() > 0


async def test_running_requests_of_the_dead_are_charged_as_interrupted(bank):
    account, wants = await bank.account(paid_nano=10_000)
    dead, living = await bank.teller(), await bank.teller()
    hold = (await dead.reserve(wants, 500)).__enter__()
    draws, free = hold.would_draw(120)
    running = charge_of(account, 120, free, draws)
    running.outcome = "interrupted"
    dead.running = [running]
    await dead.presence._be_seen()
    await die(bank, dead)
    await living.presence.sweep()
    assert [(row.cost_nano, row.outcome) for row in await charges(bank)] == [(120, "interrupted")]
    assert await bank.left(f"{account}/paid") == 9_880


async def test_a_running_request_whose_charge_was_written_is_not_charged_again(bank):
    account, wants = await bank.account(paid_nano=10_000)
    dead, living = await bank.teller(), await bank.teller()
    with await dead.reserve(wants, 500) as hold:
        draws, free = hold.would_draw(120)
        running = charge_of(account, 120, free, draws)
        dead.running = [running]
        await dead.presence._be_seen()
        charge = dead.settle(hold, account, 200)
    charge.id = running.id
    await dead.write(charge)
    await die(bank, dead)
    await living.presence.sweep()
    assert [row.cost_nano for row in await charges(bank)] == [200]
    assert await bank.left(f"{account}/paid") == 9_800


async def test_a_charge_that_turns_up_later_takes_the_place_of_the_interrupted_one(bank):
    account, wants = await bank.account(paid_nano=10_000, free_nano=50)
    dead, living = await bank.teller(), await bank.teller()
    with await dead.reserve(wants, 500) as hold:
        draws, free = hold.would_draw(120)
        dead.running = [charge_of(account, 120, free, draws)]
        await dead.presence._be_seen()
        charge = dead.settle(hold, account, 40)
    charge.id = dead.running[0].id
    await die(bank, dead)
    await living.presence.sweep()
    assert await withdraw_interrupted(bank.database, [charge.id, "req_other"]) == 1
    assert await withdraw_interrupted(bank.database, [charge.id]) == 0
    await living.write(charge)  # as a journal is replayed
    assert [(row.cost_nano, row.outcome) for row in await charges(bank)] == [(40, "complete")]
    await square_late(bank.database, clock.now_ms())
    assert await bank.left(f"{account}/paid") + await bank.left(f"{account}/free") == 10_010


async def test_many_sweepers_sweep_once(bank):
    account, wants = await bank.account(paid_nano=10_000)
    dead, *living = [await bank.teller() for _ in range(4)]
    await dead.pay(wants, account, 500, 300)
    await die(bank, dead)
    await asyncio.gather(*(one.presence.sweep() for one in living))
    assert sum(one.presence.swept for one in living) == 1
    assert await bank.left(f"{account}/paid") == 9_700


async def test_one_that_was_thought_dead_goes_on_and_its_late_spending_is_taken(bank):
    account, wants = await bank.account(paid_nano=10_000)
    sleeper, other = await bank.teller(), await bank.teller()
    hold = (await sleeper.reserve(wants, 500)).__enter__()
    await unseen(bank, sleeper)
    await other.presence.sweep()
    charge = sleeper.settle(hold, account, 400)  # it does not know yet
    await sleeper.write(charge)
    first = sleeper.presence.worker
    await sleeper.presence._be_seen()
    assert sleeper.presence.worker != first
    await square_late(bank.database, clock.now_ms())
    await sleeper.pay(wants, account, 100, 100)
    assert await bank.left(f"{account}/paid") == 9_500


async def test_a_request_that_runs_on_after_its_worker_was_thought_dead_is_charged_what_it_cost(bank):
    account, wants = await bank.account(paid_nano=10_000)
    sleeper, other = await bank.teller(), await bank.teller()
    hold = (await sleeper.reserve(wants, 500)).__enter__()
    draws, free = hold.would_draw(120)
    sleeper.running = [charge_of(account, 120, free, draws)]
    await sleeper.presence._be_seen()
    await unseen(bank, sleeper)
    await other.presence.sweep()
    await sleeper.presence._be_seen()
    charge = sleeper.settle(hold, account, 400)
    charge.id = sleeper.running[0].id
    sleeper.running = []
    await sleeper.write(charge)
    assert [row.cost_nano for row in await charges(bank)] == [400]
    await square_late(bank.database, clock.now_ms())
    assert await bank.left(f"{account}/paid") == 9_600


async def test_one_that_was_swept_takes_nothing_as_the_worker_that_it_was(bank):
    """Nobody would ever sweep that again."""
    account, wants = await bank.account(paid_nano=100_000)
    sleeper, other = await bank.teller(), await bank.teller()
    await sleeper.pay(wants, account, 100, 100)
    await unseen(bank, sleeper)
    await other.presence.sweep()
    with pytest.raises(PenstockError):  # it does not know yet, and needs more than it thinks it has
        await sleeper.reserve(wants, 90_000)
    await sleeper.presence._be_seen()
    await sleeper.pay(wants, account, 90_000, 90_000)
    await sleeper.presence.stop()
    assert await bank.open_leases() == []
    await square_late(bank.database, clock.now_ms())
    assert await bank.left(f"{account}/paid") == 9_900


async def test_more_leases_than_a_statement_has_room_for(bank):
    """PostgreSQL takes 32,767 values, SQLite about as many."""
    account, wants = await bank.account(paid_nano=100_000)
    dead, living = await bank.teller(), await bank.teller()
    await dead.pay(wants, account, 100, 100)
    async with bank.database.session() as session:
        facts = {"worker": dead.presence.worker, "purse_id": f"{account}/paid", "amount": 0, "spent": 0, "posted": 0, "taken_at_ms": 0}
        await session.execute(insert(Lease), [{"id": f"lse_{number}", **facts} for number in range(33_000)])
    await die(bank, dead)
    assert await living.presence.sweep() == 1
    assert await bank.open_leases() == []
    assert await bank.left(f"{account}/paid") == 99_900


async def test_nobody_is_swept_by_one_that_has_not_been_seen_long_enough_itself(bank):
    account, wants = await bank.account(paid_nano=10_000)
    silent = await bank.teller()
    await silent.pay(wants, account, 500, 300)
    await die(bank, silent)
    newcomer = await bank.teller()
    await asyncio.sleep(1.5)  # it beats, and must not sweep yet
    assert newcomer.presence.swept == 0


async def test_a_stopped_worker_leaves_nothing(bank):
    account, wants = await bank.account(paid_nano=10_000)
    teller = await bank.teller()
    await teller.pay(wants, account, 500, 300)
    await teller.presence.stop()
    assert await bank.open_leases() == []
    async with bank.database.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(Worker)) == 0


async def test_running_requests_that_cannot_be_read_do_not_keep_leases_from_returning(bank):
    account, wants = await bank.account(paid_nano=10_000)
    dead, living = await bank.teller(), await bank.teller()
    await dead.pay(wants, account, 500, 300)
    await die(bank, dead)
    async with bank.database.session() as session:
        await session.execute(update(Worker).where(Worker.id == dead.presence.worker).values(running=b'[{"of": "another version"}]'))
    assert await living.presence.sweep() == 1
    assert await bank.open_leases() == [] and await bank.left(f"{account}/paid") == 9_700


async def test_nothing_running_posts_nothing(bank):
    async with bank.database.session() as session:
        assert await post_interrupted(session, None, 0) == 0
        assert await post_interrupted(session, b"[]", 0) == 0
