"""Purses: their windows, their limits, and balances that stay within 64 bits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank import Bank
from penstock.billing.models import Purse
from penstock.billing.purses import Want, add, ensure, locked, renew, wants_of, window
from penstock.kit.errors import PenstockError
from penstock.kit.limits import Limits
from penstock.kit.money import MAX_NANO

MOMENTS = st.integers(0, 4_000_000_000_000)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@given(MOMENTS, st.sampled_from(["rpm", "tpm", "day", "week", "month"]), st.booleans())
def test_a_window_contains_the_moment_it_was_asked_for(now_ms, kind, rolling):
    span = window(kind, now_ms, rolling=rolling)
    assert span.from_ms <= now_ms < span.until_ms


@given(MOMENTS, st.sampled_from(["rpm", "tpm", "day", "week", "month"]))
def test_windows_of_the_calendar_follow_each_other_without_a_gap(now_ms, kind):
    span = window(kind, now_ms, rolling=False)
    assert window(kind, span.until_ms, rolling=False).from_ms == span.until_ms
    assert window(kind, span.until_ms - 1, rolling=False) == span


@pytest.mark.parametrize(
    ("kind", "since", "until"),
    [
        ("rpm", "2026-02-28T23:59:00", "2026-03-01T00:00:00"),
        ("day", "2026-02-28T00:00:00", "2026-03-01T00:00:00"),
        ("week", "2026-02-23T00:00:00", "2026-03-02T00:00:00"),
        ("month", "2026-02-01T00:00:00", "2026-03-01T00:00:00"),
    ],
)
def test_windows_of_the_calendar(kind, since, until):
    assert window(kind, ms("2026-02-28T23:59:59"), rolling=False) == (ms(since), ms(until))


def test_what_has_no_end():
    assert window("total", 1, rolling=False) is None
    assert window("concurrency", 1, rolling=True) is None


def test_only_limits_that_are_set_have_a_purse():
    limits = Limits(day_nano=5, rpm=3, window="rolling")
    assert wants_of("key_a", "acc_a", limits) == [
        Want("key_a/day", "acc_a", "day", 5, True),
        Want("key_a/rpm", "acc_a", "rpm", 3, True),
    ]


async def test_a_limit_is_full_when_its_window_begins(database, database_url):
    account, _ = await Bank(database, database_url).account()
    want = Want("key_a/day", account, "day", 100)
    async with database.session() as session:
        await ensure(session, [want], 0)
        await ensure(session, [want], 0)
        purse = (await locked(session, [want.purse_id]))[want.purse_id]
        assert (purse.balance, purse.from_ms, purse.until_ms) == (100, 0, 86_400_000)
        purse.balance = 7
        renew(purse, want, 86_399_999)
        assert purse.balance == 7
        renew(purse, want, 86_400_000)
        assert (purse.balance, purse.from_ms) == (100, 86_400_000)


def test_a_changed_limit_moves_what_is_left():
    purse = Purse(id="p", account_id="a", kind="day", limit_units=100, balance=30, from_ms=0, until_ms=10)
    renew(purse, Want("p", "a", "day", 150), 5)
    assert (purse.balance, purse.limit_units) == (80, 150)
    renew(purse, Want("p", "a", "day", 50), 5)
    assert (purse.balance, purse.limit_units) == (-20, 50)


def test_a_clock_that_goes_back_gives_nothing_anew():
    purse = Purse(id="p", account_id="a", kind="day", limit_units=100, balance=30, from_ms=86_400_000, until_ms=172_800_000)
    renew(purse, Want("p", "a", "day", 100), 86_399_000)
    assert (purse.balance, purse.from_ms) == (30, 86_400_000)


async def test_balances_stay_within_64_bits_and_above_a_floor(database, database_url):
    account, _ = await Bank(database, database_url).account()
    purse_id = f"{account}/paid"
    for amount, floor, code in ((MAX_NANO, None, "invalid_request"), (-11, 0, "insufficient_funds")):
        async with database.session() as session:
            await add(session, purse_id, 10)
        with pytest.raises(PenstockError) as caught:
            async with database.session() as session:
                await add(session, purse_id, amount, floor=floor)
        assert caught.value.code == code
        async with database.session() as session:
            await add(session, purse_id, -10, floor=0)
    with pytest.raises(PenstockError) as caught:
        async with database.session() as session:
            await add(session, "acc_nobody/paid", 1)
    assert caught.value.code == "not_found"
