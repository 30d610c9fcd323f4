"""The treasury: funds cover exactly what the money allows, on one worker and on several, and what lies idle goes back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select, update

from bank import SIZES, Bank
from penstock.billing.models import Lease, Purse
from penstock.billing.purses import Want
from penstock.billing.recalls import REVISION
from penstock.billing.treasury import Sizes
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Revision
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


async def test_a_request_waits_for_what_another_holds_before_it_begins_with_less_than_it_needs(bank):
    account, wants = await bank.account(paid_nano=150)
    teller = await bank.teller()
    with await teller.reserve(wants, 100) as first:
        waiting = asyncio.ensure_future(teller.reserve(wants, 100))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        charge = teller.settle(first, account, 40)
    with await waiting as second:
        assert second.amount_nano == 100
    await teller.write(charge)


async def test_a_request_begins_with_what_there_is_when_what_others_hold_does_not_come_back(bank):
    _, wants = await bank.account(paid_nano=150)
    teller = await bank.teller(SIZES._replace(wait_s=0.02))
    with await teller.reserve(wants, 100), await teller.reserve(wants, 100) as second:
        assert second.amount_nano == 50


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


async def test_a_lowered_cap_holds_at_once_though_more_is_on_lease(bank):
    account, money = await bank.account(paid_nano=10_000)
    teller = await bank.teller()
    capped = (*money, Want("key_a/day", account, "day", 5_000))
    await teller.pay(capped, account, 100, 100)
    lowered = (*money, Want("key_a/day", account, "day", 300))
    for _ in range(2):
        await teller.pay(lowered, account, 100, 100)
    assert await refused(teller.reserve(lowered, 100)) == "budget_exceeded"
    assert await bank.left("key_a/day") == 0


async def test_a_stream_that_began_under_another_limit_does_not_bring_it_back(bank):
    account, money = await bank.account(paid_nano=10_000)
    teller = await bank.teller()
    before = (*money, Want("key_a/day", account, "day", 5_000))
    lowered = (*money, Want("key_a/day", account, "day", 300))
    with await teller.reserve(before, 100):
        await teller.pay(lowered, account, 100, 100)
        await teller.treasury.replenish(teller.treasury._found(before), 100)
    await teller.pay(lowered, account, 200, 200)
    assert await refused(teller.reserve(lowered, 100)) == "budget_exceeded"


async def test_requests_that_outlast_a_minute_take_nothing_of_the_next(bank):
    """Two keys of an account: one has begun the new minute when a request of the other ends, that was held for in the old one."""
    account, _ = await bank.account()
    limit = Want(f"{account}/rpm", account, "rpm", 8)
    one, other = (limit,), (limit, Want("key_b/concurrency", account, "concurrency", 9))
    teller = await bank.teller()
    with await teller.reserve(one, 0) as hold:
        teller.settle(hold, account, 0)
    late = (await teller.reserve(other, 0)).__enter__()
    share = teller.treasury._shares[limit.purse_id]
    share.low = 100  # it wants more
    async with bank.database.session() as session:
        await session.execute(update(Purse).where(Purse.id == limit.purse_id).values(from_ms=0, until_ms=1))
        await session.execute(update(Lease).where(Lease.purse_id == limit.purse_id).values(from_ms=0))
    share.until_ns = 0
    teller.treasury._found(one).until_ns = 0
    served = 0
    with await teller.reserve(one, 0) as hold:
        teller.settle(hold, account, 0)
        served += 1
    teller.settle(late, account, 0)
    late.__exit__(None, None, None)
    await asyncio.sleep(0.2)  # what it may have asked for comes
    with contextlib.suppress(PenstockError):
        while served < 20:
            with await teller.reserve(one, 0) as hold:
                teller.settle(hold, account, 0)
            served += 1
    assert served in (8, 16)  # a minute may have ended in between


async def test_who_waits_for_funds_is_answered_though_others_always_ask(bank):
    account, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller()
    busy = [await bank.account(paid_nano=1_000) for _ in range(3)]
    others = [teller.treasury.funds(more) for _, more in busy]
    stop = asyncio.Event()

    async def ask_always() -> None:
        while not stop.is_set():
            for funds in others:
                teller.treasury._ask(funds.paid, 1)
            await asyncio.sleep(0)

    asking = asyncio.ensure_future(ask_always())
    try:
        async with asyncio.timeout(5):
            await teller.pay(wants, account, 100, 100)
    finally:
        stop.set()
        await asking


async def test_what_was_given_back_unheard_is_not_spent_again(bank):
    account, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller()
    await teller.pay(wants, account, 100, 100)
    teller.treasury._database = Deaf(bank.database)
    await teller.treasury.recalled([f"{account}/paid"])
    teller.treasury._database = bank.database
    await teller.pay(wants, account, 900, 900)
    assert await refused(teller.reserve(wants, 1)) == "insufficient_funds"
    assert await bank.left(f"{account}/paid") == 0


async def test_what_was_leased_unheard_is_found_again(bank):
    account, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller()
    teller.treasury._database = Deaf(bank.database)
    assert await refused(teller.reserve(wants, 100)) == "database_away"
    teller.treasury._database = bank.database
    await teller.pay(wants, account, 1_000, 1_000)
    assert await bank.left(f"{account}/paid") == 0


class Deaf:
    """A database whose transactions are committed, and whose connection is lost before that is heard."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.path = database.path

    @contextlib.asynccontextmanager
    async def session(self):
        async with self._database.session() as session:
            yield session
        raise DatabaseAway("the connection was lost")


async def test_what_nobody_uses_any_more_is_forgotten(bank):
    teller = await bank.teller()
    kept = teller.treasury
    for number in range(5):
        account, money = await bank.account(paid_nano=1_000)
        key = f"key_{number}"
        wants = (*money, Want(f"{key}/rpm", account, "rpm", 9), Want(f"{account}/day", account, "day", 500))
        kept.funds_of(key, wants)
        await teller.pay(wants, account, 10, 10)
    with await teller.reserve(wants, 10) as hold:  # a long one
        for funds in list(kept._funds.values()):
            funds.used_ns = 0
        for share in kept._shares.values():
            share.until_ns = min(share.until_ns, 0) if share.want.kind == "rpm" else share.until_ns
        for _ in range(8):
            await kept.tick()
        assert len(kept._funds) == 1 and len(kept._shares) == 4
        await teller.write(teller.settle(hold, account, 10))
    for funds in list(kept._funds.values()):
        funds.used_ns = 0
    for _ in range(8):
        await kept.tick()
    assert not kept._funds and not kept._shares and not kept._by_key and not kept._users
    assert await bank.open_leases() == []
    await teller.pay(wants, account, 10, 10)
    assert await bank.left(f"{account}/paid") == 970


async def test_however_many_wait_others_are_asked_seldom(bank):
    _, wants = await bank.account(paid_nano=1_000)
    rich, poor = await bank.teller(), await bank.teller()
    hold = (await rich.reserve(wants, 1_000)).__enter__()
    waiting = [asyncio.ensure_future(poor.reserve(wants, 10)) for _ in range(100)]
    await asyncio.gather(*waiting, return_exceptions=True)
    async with bank.database.session(read_only=True) as session:
        assert (await session.scalar(select(Revision.number).where(Revision.name == REVISION))) < 50
    hold.__exit__(None, None, None)


async def test_the_database_away(bank, outage):
    _, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller(SIZES)
    teller.presence._stopping.set()  # its beat would be cut off with the database
    await teller.presence._task
    async with outage():
        assert await refused(teller.reserve(wants, 100)) == "database_away"
    with await teller.reserve(wants, 100):
        pass
