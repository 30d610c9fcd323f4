"""The treasury: funds cover exactly what the money allows, on one worker and on several, and what lies idle goes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from bank import SIZES, Bank
from penstock.billing.purses import Want
from penstock.billing.treasury import Sizes
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError


@pytest.fixture
async def bank(database: Database, database_url: str) -> AsyncIterator[Bank]:
    opened = Bank(database, database_url)
    yield opened
    await opened.close()
    await opened.check()
    assert await opened.open_leases() == []


async def refused(coroutine) -> str:
    with pytest.raises(PenstockError) as caught:
        await coroutine
    return caught.value.code


async def test_a_request_is_paid_and_the_rest_returns(bank):
    account, wants = await bank.account(paid_nano=10_000)
    teller = await bank.teller()
    charge = await teller.pay(wants, account, 500, 123)
    assert sum(units for _, units in charge.draws) == 123
    assert await bank.left(f"{account}/paid") == 10_000 - 123


async def test_free_money_is_spent_first_and_the_charge_says_so(bank):
    account, wants = await bank.account(paid_nano=1_000, free_nano=100)
    teller = await bank.teller()
    first, second = [await teller.pay(wants, account, 70, 70) for _ in range(2)]
    third = await teller.pay(wants, account, 70, 70)
    assert (first.free_nano, second.free_nano, third.free_nano) == (70, 30, 0)
    assert await bank.left(f"{account}/free") == 0
    assert await bank.left(f"{account}/paid") == 1_000 - 110


async def test_with_nothing_left_the_request_is_refused(bank):
    _, wants = await bank.account()
    teller = await bank.teller()
    assert await refused(teller.reserve(wants, 1)) == "insufficient_funds"


async def test_with_less_than_the_hold_what_is_left_is_held_and_the_cost_is_posted_all_the_same(bank):
    account, wants = await bank.account(paid_nano=100)
    teller = await bank.teller()
    with await teller.reserve(wants, 5_000) as hold:
        assert hold.amount_nano == 100
        charge = teller.settle(hold, account, 250)
    await teller.write(charge)
    assert await bank.left(f"{account}/paid") == -150
    assert await refused(teller.reserve(wants, 1)) == "insufficient_funds"


async def test_what_was_overdrawn_is_made_good_by_a_top_up(bank):
    account, wants = await bank.account(paid_nano=100)
    teller = await bank.teller()
    with await teller.reserve(wants, 5_000) as hold:
        charge = teller.settle(hold, account, 250)
    await teller.write(charge)
    await bank.fill(account, "paid", 1_000)
    await asyncio.sleep(0.6)  # longer than an empty purse is believed to be empty
    await teller.pay(wants, account, 100, 100)
    assert await bank.left(f"{account}/paid") == 1_100 - 350


async def test_a_hold_that_is_not_settled_costs_nothing(bank):
    account, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller()
    with await teller.reserve(wants, 400):
        pass
    assert await bank.left(f"{account}/paid") == 1_000
    assert teller.holds.open == 0 and teller.holds.released == 1


async def test_a_hold_is_extended_while_there_is_money(bank):
    account, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller()
    with await teller.reserve(wants, 400) as hold:
        assert hold.extend(500) and hold.amount_nano == 900
        assert hold.extend(500) and hold.amount_nano == 1_000
        assert not hold.extend(500)
        charge = teller.settle(hold, account, 950)
    await teller.write(charge)
    assert await bank.left(f"{account}/paid") == 50


@pytest.mark.parametrize("workers", [1, 4])
async def test_two_hundred_at_once_on_money_for_fifty(bank, workers):
    account, wants = await bank.account(paid_nano=50 * 100)
    tellers = [await bank.teller(Sizes(1_000, 100_000, 20.0)) for _ in range(workers)]

    async def recalls(stop):  # what the feed does in a gateway
        while not stop.is_set():
            for teller in tellers:
                await teller.presence.recalled()
            await asyncio.sleep(0.02)

    async def request(number):
        teller = tellers[number % workers]
        try:
            hold = await teller.reserve(wants, 300)
        except PenstockError as error:
            refusals.add(error.code)
            return 0
        with hold:
            await asyncio.sleep(random.random() / 100)
            charge = teller.settle(hold, account, 100)
        await teller.write(charge)
        return 1

    refusals: set[str] = set()
    stop = asyncio.Event()
    following = asyncio.ensure_future(recalls(stop))
    served = sum(await asyncio.gather(*(request(number) for number in range(200))))
    stop.set()
    await following
    assert served == 50
    assert refusals == {"insufficient_funds"}
    assert await bank.left(f"{account}/paid") == 0


async def test_another_worker_gives_back_what_it_does_not_need(bank):
    account, wants = await bank.account(paid_nano=1_000)
    rich, poor = await bank.teller(), await bank.teller()
    await rich.pay(wants, account, 10, 10)  # takes the small balance whole
    waiting = asyncio.ensure_future(poor.pay(wants, account, 500, 500))
    while not waiting.done():
        await asyncio.sleep(0.02)
        await rich.presence.recalled()
    await waiting
    assert await bank.left(f"{account}/paid") == 490


async def test_what_lies_idle_goes_back(bank):
    account, wants = await bank.account(paid_nano=100_000)
    teller = await bank.teller()
    await teller.pay(wants, account, 10, 10)
    assert teller.treasury.leased() > 0
    for _ in range(8):
        await teller.treasury.tick()
    assert teller.treasury.leased() == 0
    await teller.pay(wants, account, 10, 10)
    assert await bank.left(f"{account}/paid") == 100_000 - 20


async def test_a_limit_of_requests_is_exact_across_workers(bank):
    account, _ = await bank.account()
    wants = (Want("key_a/rpm", account, "rpm", 20),)
    tellers = [await bank.teller(Sizes(1_000, 100_000, 0.0)) for _ in range(3)]
    for teller in tellers:
        teller.treasury.workers = 3
    refusals: list[tuple[str, bool]] = []
    served = 0
    for number in range(60):
        teller = tellers[number % 3]
        try:
            with await teller.reserve(wants, 0) as hold:
                teller.settle(hold, account, 0)
            served += 1
        except PenstockError as error:
            refusals.append((error.code, 1 <= error.retry_after_s <= 60))
    assert set(refusals) == {("too_many_requests", True)}
    assert served in (20, 40)  # a minute may have ended in between


async def test_a_limit_of_requests_at_once(bank):
    account, _ = await bank.account()
    wants = (Want("key_a/concurrency", account, "concurrency", 2),)
    teller = await bank.teller(Sizes(1_000, 100_000, 0.05))
    with await teller.reserve(wants, 0), await teller.reserve(wants, 0):
        assert await refused(teller.reserve(wants, 0)) == "too_many_requests"
    with await teller.reserve(wants, 0):
        pass


async def test_a_cap_is_kept_and_a_raised_one_is_taken_over(bank):
    account, money = await bank.account(paid_nano=10_000)
    capped = (*money, Want("key_a/day", account, "day", 300))
    teller = await bank.teller()
    for _ in range(3):
        await teller.pay(capped, account, 100, 100)
    assert await refused(teller.reserve(capped, 100)) == "budget_exceeded"
    raised = (*money, Want("key_a/day", account, "day", 400))
    await teller.pay(raised, account, 100, 100)
    assert await refused(teller.reserve(raised, 100)) == "budget_exceeded"
    assert await bank.left(f"{account}/paid") == 9_600


async def test_a_cap_in_all_counts_what_was_spent_before_it(bank):
    account, money = await bank.account(paid_nano=10_000)
    teller = await bank.teller()
    await teller.pay(money, account, 100, 250)
    capped = (*money, Want(f"{account}/total", account, "total", 300))
    await teller.pay(capped, account, 50, 50)
    assert await refused(teller.reserve(capped, 1)) == "budget_exceeded"


async def test_the_database_away(bank, outage):
    _, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller(SIZES)
    teller.presence._stopping.set()  # its beat would be cut off with the database
    await teller.presence._task
    async with outage():
        assert await refused(teller.reserve(wants, 100)) == "database_away"
    with await teller.reserve(wants, 100):
        pass
