"""Grants on both engines: what ends first is spent first, and what is left at its end goes, exactly, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from money_desk import DAY_MS, Desk
from penstock.accounts.identity import CLI
from penstock.billing.grants import Gift, expire
from penstock.billing.ledger import Balance
from penstock.billing.models import Entry, Grant, Recall
from penstock.billing.purses import free
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
async def anna(desk: Desk) -> str:
    return await desk.account()


async def left(desk: Desk, account_id: str) -> list[tuple[int, int]]:
    """Amount and rest of the grants that are not over."""
    return [(grant.amount_nano, grant.left_nano) for grant in await desk.grants.list(account_id)]


async def expiries(desk: Desk, account_id: str) -> Sequence[Entry]:
    return (await desk.ledger.entries(account_id, kind="expire")).data


async def spend(desk: Desk, account_id: str, amount: int) -> None:
    """Spend free money at once."""
    lease = await desk.lease(free(account_id), amount)
    await desk.spend(lease, amount)
    await desk.close()


async def test_a_grant_is_free_money(desk, anna):
    grant_id = await desk.grant(anna, 50, days=30, note="welcome")
    assert await desk.balance(anna) == Balance(anna, 0, 50, 0)
    (entry,) = (await desk.ledger.entries(anna)).data
    assert (entry.id, entry.kind, entry.debit, entry.credit, entry.ref) == (f"grant/{grant_id}", "grant", free(anna), "grants", grant_id)
    (grant,) = await desk.grants.list(anna)
    assert (grant.amount_nano, grant.left_nano, grant.expires_at_ms, grant.note) == (50, 50, desk.clock.ms + 30 * DAY_MS, "welcome")
    (event,) = await desk.events()
    assert (event.action, event.subject, event.detail["amount_nano"]) == ("grant.create", grant_id, 50)
    await desk.audit()


async def test_what_ends_first_is_spent_first(desk, anna):
    await desk.grant(anna, 10)  # never ends
    await desk.grant(anna, 20, days=30)
    await desk.grant(anna, 30, days=10)
    await spend(desk, anna, 35)
    assert await left(desk, anna) == [(20, 15), (10, 10)]
    lease = await desk.lease(free(anna), 20)
    assert await left(desk, anna) == [(20, 15), (10, 10)]  # on lease is not spent
    await desk.spend(lease, 20)
    assert await left(desk, anna) == [(10, 5)]


async def test_a_new_grant_does_not_pay_for_what_was_spent_before(desk, anna):
    await desk.grant(anna, 20, days=30)
    await spend(desk, anna, 15)
    await desk.grant(anna, 20, days=10)
    assert await left(desk, anna) == [(20, 20), (20, 5)]


async def test_what_is_left_at_the_end_goes(desk, anna):
    grant_id = await desk.grant(anna, 20, days=10)
    await desk.grant(anna, 20, days=30)
    await spend(desk, anna, 5)
    desk.clock.ms += 10 * DAY_MS - 1
    assert await expire(desk.database, desk.clock.ms) == 0
    desk.clock.ms += 1
    assert await expire(desk.database, desk.clock.ms) == 1
    assert await desk.balance(anna) == Balance(anna, 0, 20, 0)
    (entry,) = await expiries(desk, anna)
    assert (entry.id, entry.debit, entry.credit, entry.amount_nano, entry.ref) == (
        f"expire/{grant_id}/0", "expired", free(anna), 15, grant_id,
    )  # fmt: skip
    assert await expire(desk.database, desk.clock.ms) == 0
    assert await left(desk, anna) == [(20, 20)]
    await desk.audit()


async def test_a_grant_that_was_spent_ends_without_an_entry(desk, anna):
    await desk.grant(anna, 20, days=1)
    await spend(desk, anna, 20)
    desk.clock.ms += DAY_MS
    assert await expire(desk.database, desk.clock.ms) == 1
    assert await expire(desk.database, desk.clock.ms) == 0
    assert await expiries(desk, anna) == []


async def test_paid_money_does_not_end(desk, anna):
    await desk.top_up(anna, 100)
    await desk.grant(anna, 20, days=1)
    desk.clock.ms += DAY_MS
    await expire(desk.database, desk.clock.ms)
    assert await desk.balance(anna) == Balance(anna, 100, 0, 0)


async def test_what_is_on_lease_is_called_back_and_goes_later(desk, anna):
    await desk.grant(anna, 20, days=1)
    lease = await desk.lease(free(anna), 15)
    await desk.spend(lease, 2)
    desk.clock.ms += DAY_MS
    assert await expire(desk.database, desk.clock.ms) == 1
    assert await desk.balance(anna) == Balance(anna, 0, 13, 13)
    assert await desk.do(lambda session: session.scalar(select(Recall.purse_id))) == free(anna)
    assert await desk.revision("recall") == 1
    await desk.spend(lease, 3)  # spent in time, as far as anyone knows
    await desk.close()
    assert await expire(desk.database, desk.clock.ms) == 1
    assert await desk.balance(anna) == Balance(anna, 0, 0, 0)
    assert sorted(entry.amount_nano for entry in await expiries(desk, anna)) == [5, 10]
    assert await expire(desk.database, desk.clock.ms) == 0
    await desk.audit()


async def test_of_two_grants_the_one_that_lasts_is_on_lease(desk, anna):
    await desk.grant(anna, 20, days=1)
    await desk.grant(anna, 20, days=9)
    await desk.lease(free(anna), 15)
    desk.clock.ms += DAY_MS
    await expire(desk.database, desk.clock.ms)
    assert await desk.balance(anna) == Balance(anna, 0, 20, 15)
    assert await expire(desk.database, desk.clock.ms) == 0


async def test_an_overdrawn_free_purse_is_paid_by_the_next_grant(desk, anna):
    await desk.grant(anna, 10, days=5)
    lease = await desk.lease(free(anna), 10)
    await desk.spend(lease, 13)
    await desk.close()
    assert await left(desk, anna) == []
    await desk.grant(anna, 20, days=5)
    assert await left(desk, anna) == [(20, 17)]
    desk.clock.ms += 5 * DAY_MS
    await expire(desk.database, desk.clock.ms)
    assert await desk.balance(anna) == Balance(anna, 0, 0, 0)
    await desk.audit()


async def test_several_processes_expire_at_once(desk, anna):
    accounts = [anna, *[await desk.account() for _ in range(3)]]
    for account_id in accounts:
        await desk.grant(account_id, 20, days=1)
        await desk.grant(account_id, 7, days=1)
    desk.clock.ms += DAY_MS
    await asyncio.gather(*(expire(desk.database, desk.clock.ms) for _ in range(4)))
    for account_id in accounts:
        assert await desk.balance(account_id) == Balance(account_id, 0, 0, 0)
        assert len(await expiries(desk, account_id)) == 2
    await desk.audit()


async def test_granting_while_it_expires(desk, anna):
    await desk.grant(anna, 20, days=1)
    desk.clock.ms += DAY_MS
    await asyncio.gather(*(expire(desk.database, desk.clock.ms) for _ in range(3)), *(desk.grant(anna, 10, days=1) for _ in range(3)))
    assert (await desk.balance(anna)).free_nano == 30
    await desk.audit()


async def test_end_before_its_time(desk, anna):
    grant_id = await desk.grant(anna, 20)
    await desk.grant(anna, 5)
    ended = await desk.do(lambda session: desk.grants.end(session, CLI, anna, grant_id))
    assert (ended.left_nano, ended.expires_at_ms, ended.expired_at_ms) == (0, desk.clock.ms, desk.clock.ms)
    assert (await desk.balance(anna)).free_nano == 5
    assert [event.action for event in await desk.events()] == ["grant.create", "grant.create", "grant.end"]
    desk.clock.ms += 1
    again = await desk.do(lambda session: desk.grants.end(session, CLI, anna, grant_id))
    assert again.expires_at_ms == desk.clock.ms - 1
    await desk.audit()


async def test_only_the_accounts_own_grants_are_ended(desk, anna):
    grant_id = await desk.grant(await desk.account(), 20)
    for name in (grant_id, "grt_none"):
        with pytest.raises(PenstockError) as refused:
            await desk.do(lambda session, name=name: desk.grants.end(session, CLI, anna, name))
        assert refused.value.code == "not_found"


async def test_an_end_that_has_passed_is_refused(desk, anna):
    with pytest.raises(PenstockError, match="already passed") as refused:
        await desk.do(lambda session: desk.grants.grant(session, CLI, Gift(anna, 5, desk.clock.ms)))
    assert refused.value.param == "expires_at"
    assert await desk.balance(anna) == Balance(anna, 0, 0, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.integers(1, 30), st.sampled_from([1, 2, 3, None])),
        st.tuples(st.just("spend"), st.integers(1, 20), st.none()),
        st.tuples(st.just("wait"), st.integers(0, 2), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_grants_agree_with_a_purse_per_grant(database_url, steps):
    """A model that keeps every grant's money apart and spends it in order: the same is left, and the same expires."""

    async def play() -> None:
        database = Database(database_url)
        try:
            await _play(Desk(database), steps)
        finally:
            await database.close()

    asyncio.run(play())


async def _play(desk: Desk, steps) -> None:
    anna = await desk.account()
    model: list[list[int]] = []  # end, left
    gone = 0
    for step, first, second in steps:
        if step == "grant":
            await desk.grant(anna, first, days=second)
            model.append([2**62 if second is None else desk.clock.ms + second * DAY_MS, first])
            model.sort(key=lambda one: one[0])
        elif step == "spend":
            amount = min(first, sum(rest for _, rest in model))
            if amount:
                await spend(desk, anna, amount)
            for one in model:
                taken = min(one[1], amount)
                one[1] -= taken
                amount -= taken
        else:
            desk.clock.ms += first * DAY_MS
            await expire(desk.database, desk.clock.ms)
            gone += sum(rest for end_ms, rest in model if end_ms <= desk.clock.ms)
            model = [one for one in model if one[0] > desk.clock.ms]
        assert [grant.left_nano for grant in await desk.grants.list(anna)] == [rest for _, rest in model if rest]
        assert (await desk.balance(anna)).free_nano == sum(rest for _, rest in model)
        assert sum(entry.amount_nano for entry in await expiries(desk, anna)) == gone
    await desk.audit(anna)


async def test_a_grant_row_says_when_it_was_over(desk, anna):
    grant_id = await desk.grant(anna, 20, days=1)
    desk.clock.ms += 2 * DAY_MS
    await expire(desk.database, desk.clock.ms)
    grant = await desk.do(lambda session: session.get_one(Grant, grant_id))
    assert (grant.left_nano, grant.expired_at_ms) == (0, desk.clock.ms)
