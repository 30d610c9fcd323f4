"""Membership on both engines: the stacking rule, calendar months, and what an administrator sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from money_desk import DAY_MS, DOLLAR, Desk
from penstock.accounts.identity import CLI
from penstock.accounts.models import Membership, Tier
from penstock.billing.membership import Window, add_months, months_for, stack
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError

TABLE = {20: 1, 40: 6}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def tier_of(rows: dict[int, int], window_days: int = 31) -> Tier:
    return Tier(name="vip", earns=[{"amount_nano": dollars, "months": months} for dollars, months in rows.items()], window_days=window_days)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
async def anna(desk: Desk) -> str:
    return await desk.account()


async def ends(desk: Desk, account_id: str) -> dict[str, tuple[int, int]]:
    """Start and end of each membership, in days from the desk's first moment."""
    async with desk.database.session(read_only=True) as session:
        rows = await session.scalars(select(Membership).where(Membership.account_id == account_id))
        return {row.tier: (row.started_at_ms, row.until_ms) for row in rows}


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2026-01-31T10:20:30.400", 1, "2026-02-28T10:20:30.400"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-01-31", 2, "2026-03-31"),
        ("2026-08-31", 6, "2027-02-28"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2026-05-05", 0, "2026-05-05"),
    ],
)
def test_months_are_those_of_the_calendar(start, months, end):
    assert add_months(at(start), months) == at(end)


def test_months_beyond_all_calendars():
    assert at("9998-01-01") < add_months(at("2026-01-31"), 10**9) < at("9999-01-01")


def test_the_highest_row_that_is_reached():
    rows = tier_of({20: 1, 40: 6, 100: 12}).earns
    assert [months_for(rows, paid) for paid in (0, 19, 20, 39, 40, 99, 100, 10**18)] == [0, 0, 1, 1, 6, 6, 12, 12]
    assert months_for([], 100) == 0


def pay(tier: Tier, payments: list[tuple[int, int]], until_ms: int | None = None) -> tuple[Window | None, int | None]:
    """What comes of payments: (moment, amount)."""
    window = None
    for now_ms, amount in payments:
        window, until_ms = stack(tier, window, until_ms, amount, now_ms)
    return window, until_ms


def test_two_payments_of_twenty_are_one_of_forty():
    first, second = at("2026-01-31"), at("2026-02-20")
    assert pay(tier_of(TABLE), [(first, 20)])[1] == at("2026-02-28")
    assert pay(tier_of(TABLE), [(first, 20), (second, 20)])[1] == at("2026-07-31")  # 5 more, counted from the first
    assert pay(tier_of(TABLE), [(first, 40)])[1] == at("2026-07-31")


def test_small_payments_add_up_and_count_from_the_first():
    days = [(at(f"2026-03-{day:02}"), 5) for day in (1, 8, 15, 22)]
    assert pay(tier_of(TABLE), days[:3])[1] is None
    assert pay(tier_of(TABLE), days)[1] == at("2026-04-01")


def test_a_payment_after_the_window_begins_anew_and_comes_after():
    tier = tier_of(TABLE)
    first, later = at("2026-01-01"), at("2026-02-01")  # 31 days: just outside
    assert pay(tier, [(first, 40), (later, 20)])[1] == at("2026-08-01")
    assert pay(tier, [(first, 40), (later, 20), (at("2026-02-10"), 20)])[1] == at("2027-01-01")
    assert pay(tier, [(first, 20), (later - 1, 20)])[1] == at("2026-07-01")  # just inside
    assert pay(tier, [(first, 20), (at("2026-05-05"), 20)])[1] == at("2026-06-05")  # the first has long ended


def test_a_window_longer_than_what_was_earned_in_it():
    tier = tier_of(TABLE, window_days=90)
    assert pay(tier, [(at("2026-01-01"), 20), (at("2026-03-15"), 20)])[1] == at("2026-07-01")


def test_an_end_set_by_hand_is_moved_by_what_is_earned():
    tier, first = tier_of(TABLE), at("2026-01-01")
    window, until_ms = pay(tier, [(first, 20)])
    assert stack(tier, window, until_ms + DAY_MS, 20, first).until_ms == at("2026-07-02")
    assert stack(tier, window, first, 20, first).until_ms == at("2026-07-01")
    assert stack(tier, None, at("2027-01-01"), 20, first).until_ms == at("2027-02-01")


def test_a_clock_that_goes_back_stays_in_the_window():
    first = at("2026-03-10")
    assert pay(tier_of(TABLE), [(first, 20), (first - 5 * DAY_MS, 20)])[1] == at("2026-09-10")


def test_a_table_that_gives_less_than_before_takes_nothing_back():
    first = at("2026-01-01")
    window, until_ms = pay(tier_of(TABLE), [(first, 40)])
    assert stack(tier_of({20: 1, 40: 2}), window, until_ms, 20, first) == (window._replace(paid_nano=60), until_ms)


PAYMENTS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), max_size=12)


@given(payments=PAYMENTS, window_days=st.integers(1, 60), rows=st.dictionaries(st.integers(1, 120), st.integers(1, 24), max_size=4))
def test_stacking_agrees_with_the_whole_history(payments, window_days, rows):
    """What one payment after the other comes to is what looking back on all of them, window by window, comes to."""
    tier, moment, history = tier_of(rows, window_days), at("2026-01-31T07:00"), []
    for wait_days, amount in payments:
        moment += wait_days * DAY_MS
        history.append((moment, amount))
    windows: list[list[tuple[int, int]]] = []
    for payment in history:
        if windows and payment[0] < windows[-1][0][0] + window_days * DAY_MS:
            windows[-1].append(payment)
        else:
            windows.append([payment])
    until_ms = None
    for window in windows:
        months = max((rows[row] for row in rows if row <= sum(amount for _, amount in window)), default=0)
        if months:
            until_ms = add_months(max(window[0][0], until_ms or 0), months)
    assert pay(tier, history)[1] == until_ms


@given(parts=st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_how_a_sum_is_cut_does_not_matter(parts):
    first = at("2026-01-31")
    whole, cut = (
        pay(tier_of(TABLE), [(first, sum(parts))]),
        pay(tier_of(TABLE), [(first + place, part) for place, part in enumerate(parts)]),
    )
    assert whole == cut


async def test_top_ups_earn(desk, anna):
    await desk.earns("vip", TABLE)
    start = desk.clock.ms
    await desk.top_up(anna, 20 * DOLLAR)
    assert await ends(desk, anna) == {"vip": (start, add_months(start, 1))}
    desk.clock.ms += 10 * DAY_MS
    await desk.top_up(anna, 20 * DOLLAR)
    assert await ends(desk, anna) == {"vip": (start, add_months(start, 6))}
    assert (await desk.balance(anna)).paid_nano == 40 * DOLLAR  # a gift
    assert [set(event.detail["earned"]) for event in await desk.events()] == [{"vip"}, {"vip"}]


async def test_too_little_earns_nothing(desk, anna):
    await desk.earns("vip", TABLE)
    await desk.top_up(anna, 20 * DOLLAR - 1)
    assert await ends(desk, anna) == {}
    assert await desk.revision("keys") == 0
    await desk.top_up(anna, 1)
    assert await ends(desk, anna) == {"vip": (desk.clock.ms, add_months(desk.clock.ms, 1))}
    assert await desk.revision("keys") == 1


async def test_nothing_is_earned_by_default(desk, anna):
    await desk.top_up(anna, 10**18)
    assert await ends(desk, anna) == {}


async def test_each_tier_has_its_own_table_and_end(desk, anna):
    await desk.earns("vip", TABLE)
    await desk.earns("premium", {100: 12}, window_days=7)
    await desk.top_up(anna, 60 * DOLLAR)
    desk.clock.ms += 5 * DAY_MS
    first = desk.clock.ms - 5 * DAY_MS
    await desk.top_up(anna, 60 * DOLLAR)
    assert await ends(desk, anna) == {"vip": (first, add_months(first, 6)), "premium": (first, add_months(first, 12))}
    held = await desk.memberships.of(anna)
    assert (held.standing.tier.name, held.standing.until_ms) == ("premium", add_months(first, 12))
    assert [(one.tier.name, one.paid_nano, one.window_until_ms) for one in held.tiers] == [
        ("premium", 120 * DOLLAR, first + 7 * DAY_MS),
        ("vip", 120 * DOLLAR, first + 31 * DAY_MS),
    ]


async def test_free_is_never_earned(desk, anna):
    await desk.earns("free", {1: 1})
    await desk.top_up(anna, 20 * DOLLAR)
    assert await ends(desk, anna) == {}


async def test_a_membership_that_has_ended_starts_again(desk, anna):
    await desk.earns("vip", {20: 1})
    await desk.top_up(anna, 20 * DOLLAR)
    desk.clock.ms += 90 * DAY_MS
    assert (await desk.memberships.of(anna)).standing.tier.name == "free"
    await desk.top_up(anna, 20 * DOLLAR)
    assert await ends(desk, anna) == {"vip": (desk.clock.ms, add_months(desk.clock.ms, 1))}


async def test_payments_at_once_are_all_counted(desk, anna):
    await desk.earns("vip", {20: 1, 100: 12})
    await asyncio.gather(*(desk.top_up(anna, 10 * DOLLAR) for _ in range(10)))
    assert await ends(desk, anna) == {"vip": (desk.clock.ms, add_months(desk.clock.ms, 12))}


async def test_a_repeated_top_up_earns_once(desk, anna):
    await desk.earns("vip", TABLE)
    for _ in range(3):
        await desk.top_up(anna, 20 * DOLLAR, ref="order-1")
    assert await ends(desk, anna) == {"vip": (desk.clock.ms, add_months(desk.clock.ms, 1))}


async def test_what_was_refunded_earns_nothing_more(desk, anna):
    await desk.earns("vip", TABLE)
    start = desk.clock.ms
    for _ in range(3):
        desk.clock.ms += 1000
        await desk.refund(await desk.top_up(anna, 20 * DOLLAR), 20 * DOLLAR)
    assert await ends(desk, anna) == {"vip": (start + 1000, add_months(start + 1000, 1))}  # kept, not stacked
    await desk.top_up(anna, 40 * DOLLAR)
    assert await ends(desk, anna) == {"vip": (start + 1000, add_months(start + 1000, 6))}


async def test_a_refund_of_an_old_top_up_leaves_the_new_window(desk, anna):
    await desk.earns("vip", TABLE)
    old = await desk.top_up(anna, 20 * DOLLAR)
    desk.clock.ms += 40 * DAY_MS
    await desk.top_up(anna, 20 * DOLLAR)
    await desk.refund(old, 20 * DOLLAR)
    assert (await desk.memberships.of(anna)).tiers[1].paid_nano == 20 * DOLLAR


async def test_set_by_an_administrator(desk, anna):
    until_ms = desk.clock.ms + 10 * DAY_MS
    held = await desk.do(lambda session: desk.memberships.set(session, CLI, anna, "premium", until_ms))
    assert (held.standing.tier.name, held.standing.until_ms) == ("premium", until_ms)
    assert await desk.revision("keys") == 1
    (event,) = await desk.events()
    assert (event.action, event.account_id, event.detail["tier"]) == ("membership.set", anna, "premium")
    desk.clock.ms += DAY_MS
    held = await desk.do(lambda session: desk.memberships.set(session, CLI, anna, "premium", None))
    assert (held.standing.tier.name, held.tiers[0].until_ms) == ("free", desk.clock.ms)
    assert await desk.revision("keys") == 2
    desk.clock.ms += DAY_MS
    await desk.do(lambda session: desk.memberships.set(session, CLI, anna, "premium", None))
    assert (await desk.memberships.of(anna)).tiers[0].until_ms == desk.clock.ms - DAY_MS  # it had ended before


async def test_what_is_set_by_hand_and_what_is_earned_go_together(desk, anna):
    await desk.earns("vip", TABLE)
    await desk.top_up(anna, 20 * DOLLAR)
    start = desk.clock.ms
    longer = add_months(start, 1) + 3 * DAY_MS
    await desk.do(lambda session: desk.memberships.set(session, CLI, anna, "vip", longer))
    await desk.top_up(anna, 20 * DOLLAR)
    assert await ends(desk, anna) == {"vip": (start, add_months(start, 6) + 3 * DAY_MS)}


@pytest.mark.parametrize(
    ("tier", "later_ms", "code", "param"),
    [("gold", DAY_MS, "not_found", "tier"), ("free", DAY_MS, "invalid_request", "tier"), ("vip", 0, "invalid_request", "until_at")],
)
async def test_what_cannot_be_set(desk, anna, tier, later_ms, code, param):
    with pytest.raises(PenstockError) as refused:
        await desk.do(lambda session: desk.memberships.set(session, CLI, anna, tier, desk.clock.ms + later_ms))
    assert (refused.value.code, refused.value.param) == (code, param)
    assert await desk.revision("keys") == 0


async def test_accounts_without_membership_to_have(desk):
    gone = await desk.account(deleted_at_ms=1)
    for account_id in (gone, "acc_none"):
        with pytest.raises(PenstockError) as refused:
            await desk.do(lambda session, account_id=account_id: desk.memberships.set(session, CLI, account_id, "vip", desk.clock.ms + 1))
        assert refused.value.code == "not_found"
    with pytest.raises(PenstockError):
        await desk.memberships.of("acc_none")
