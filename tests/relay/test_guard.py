"""The guard: a hold lasts exactly as long as its money, is extended while there is more, and ends the stream when there is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank import Bank
from guarded import IN, OUT, PRICE, Bursar, guarded, lease, nothing
from penstock.billing.door import UNCOUNTED, Hold, Holds
from penstock.catalog.prices import free_price
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError
from penstock.relay.admit import OWN_CREDENTIALS
from penstock.relay.guard import LEAST_BYTES, LEAST_STEP_TOKENS, NEVER, ROOM_LIMIT, TRIES, Guard, guard_of
from penstock.relay.running import Running
from penstock.upstream.lane import Lane
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask

STEP_TOKENS = LEAST_STEP_TOKENS
"""What a hold is extended by while a stream is short."""
STEP = PRICE.at_most(0, STEP_TOKENS)


@pytest.fixture
def held():
    """A guard and its open hold of `nano`, with `more_nano` beyond it on lease."""
    return guarded


def lasts(room: int, tokens: int) -> bool:
    """The room is that of so many tokens, or a little less."""
    return tokens - 1 <= room / LEAST_BYTES <= tokens + 1


def spent(output: int, input_: int = 0) -> Usage:
    return Usage(input_tokens=input_, output_tokens=output)


def test_room_is_what_the_hold_certainly_pays_for(held):
    guard, _ = held(10_000 * OUT)
    assert guard.room(spent(0)) == ROOM_LIMIT
    assert lasts(guard.room(spent(5_500)), 4_500)
    assert lasts(guard.room(spent(8_000)), 2_000)


async def test_little_is_left_and_then_nothing(held):
    guard, _ = held(100 * OUT)
    assert lasts(guard.room(spent(40)), 60)
    assert guard.room(spent(99)) > 0
    assert guard.room(spent(100)) == 0
    assert guard.room(spent(101)) == 0


async def test_input_counts_as_soon_as_it_is_known(held):
    guard, _ = held(100 * OUT)
    assert lasts(guard.room(spent(0, input_=150)), 25)
    assert guard.room(spent(0, input_=1_000)) == 0


@given(events=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 90)), max_size=60), tokens=st.integers(0, 3_000))
def test_no_stream_gets_more_than_one_event_beyond_its_hold(events, tokens):
    """Whatever its events are like: an event is shown, and then it is asked only if the room is used up, as a stream does it."""

    async def run() -> None:
        hold = Hold(Holds(), lease(tokens * OUT), tokens * OUT)
        with hold:
            guard = Guard(PRICE, hold, None, nothing)
            room = seen = shown = 0
            for around, text in events:
                assert seen <= tokens, "it was shown an event after the funds had ended"
                written = max(1, text // LEAST_BYTES)
                seen, shown = seen + written, shown + around + text
                if shown > room:
                    room, shown = guard.room(spent(seen)), 0
                    if not room:
                        assert seen >= tokens
                        break
            hold.settle(0)

    asyncio.run(run())


def test_a_hold_is_extended_before_it_is_used_up(held):
    guard, hold = held(STEP, 10 * STEP)
    assert guard.room(spent(STEP_TOKENS // 2)) > 0
    assert hold.amount_nano == STEP
    assert guard.room(spent(STEP_TOKENS * 7 // 8)) > 0
    assert hold.amount_nano == 2 * STEP


def test_a_cost_far_above_the_hold_is_covered_in_one_step(held):
    guard, _ = held(STEP, 10 * STEP)
    assert guard.room(spent(5 * STEP_TOKENS)) > 0
    assert lasts(guard.room(spent(5 * STEP_TOKENS)), 5 * STEP_TOKENS // 4)


async def test_the_last_of_the_money_is_used_before_the_stream_ends(held):
    guard, hold = held(STEP, 10 * OUT)
    assert lasts(guard.room(spent(STEP_TOKENS)), 10)
    assert hold.amount_nano == STEP + 10 * OUT
    assert guard.room(spent(STEP_TOKENS + 9)) > 0
    assert guard.room(spent(STEP_TOKENS + 11)) == 0


def test_without_a_balance_or_cap_there_is_no_bound(held):
    guard, hold = held(100, kind="rpm")
    assert guard.room(spent(1_000_000)) == NEVER
    assert hold.amount_nano == 100


async def test_a_cap_bounds_as_money_does(held):
    guard, hold = held(100 * OUT, 50 * OUT, kind="day")
    assert guard.room(spent(149)) > 0
    assert hold.amount_nano == 150 * OUT
    assert guard.room(spent(150)) == 0


@pytest.mark.parametrize(("output", "tokens"), [(0, 256), (1_000, 256), (4_000, 1_000), (16_384, 4_096), (1_000_000, 4_096)])
def test_steps_grow_with_the_output(held, output, tokens):
    guard, hold = held((output + 10) * OUT, 10**12)
    guard.room(spent(output))
    assert hold.amount_nano == (output + 10) * OUT + PRICE.at_most(0, tokens)


@pytest.mark.parametrize(("output", "goes_on"), [(99, True), (100, False), (101, False), (150, False), (151, False)])
async def test_without_a_cap_the_estimate_counts(held, output, goes_on):
    guard, _ = held(100 * OUT)
    assert bool(guard.room(spent(output))) is goes_on


@pytest.mark.parametrize(("output", "goes_on"), [(100, True), (101, True), (150, True), (151, False), (1_000, False)])
async def test_an_estimate_a_little_above_the_callers_own_bound_is_wrong(held, output, goes_on):
    guard, _ = held(100 * OUT, cap=100)
    assert bool(guard.room(spent(output))) is goes_on


async def test_no_more_is_held_than_the_callers_own_bound_can_cost(held):
    guard, hold = held(100 * OUT, 10_000 * OUT, cap=100)
    assert guard.room(spent(99)) == ROOM_LIMIT and hold.amount_nano == 100 * OUT
    assert guard.room(spent(99, input_=50)) > 0
    assert hold.amount_nano == 100 * OUT + 50 * IN
    assert guard.room(spent(100, input_=50)) == ROOM_LIMIT


async def test_what_costs_nothing_goes_on(held):
    guard, _ = held(0, price=free_price("free"))
    assert guard.room(spent(1_000_000)) > 0


# more is asked for


async def test_more_is_asked_for_once_while_something_is_left(held):
    bursar = Bursar()
    guard, hold = held(STEP, more=bursar.more)
    for output in range(STEP_TOKENS - 40, STEP_TOKENS, 10):
        assert guard.room(spent(output)) > 0
        await asyncio.sleep(0)
    assert bursar.asked == [STEP]
    hold._funds.paid.amount += 10 * STEP
    await bursar.answers()
    assert guard.room(spent(STEP_TOKENS)) > 0
    assert hold.amount_nano == 2 * STEP


async def test_who_has_nothing_left_waits_for_the_answer(held):
    bursar, told = Bursar(), []
    guard, hold = held(STEP, more=bursar.more)
    assert guard.room(spent(STEP_TOKENS + 1)) == 0
    assert guard.wait(lambda: told.append(guard.room(spent(STEP_TOKENS + 1))))
    hold._funds.paid.amount += 10 * STEP
    await bursar.answers()
    assert len(told) == 1 and lasts(told[0], STEP_TOKENS)


async def test_a_refusal_is_the_reason_that_is_given(held):
    bursar, told = Bursar(), []
    guard, _ = held(STEP, more=bursar.more)
    assert guard.room(spent(STEP_TOKENS + 1)) == 0
    assert guard.wait(lambda: told.append(guard.room(spent(STEP_TOKENS + 1))))
    await bursar.answers(PenstockError("budget_exceeded", "The cap is used up."))
    assert told == [0]
    assert not guard.wait(lambda: None)
    assert guard.refusal.code == "budget_exceeded"
    assert len(bursar.asked) == 1


async def test_who_was_refused_early_asks_again_when_all_is_used_up(held):
    bursar = Bursar()
    guard, _ = held(STEP, more=bursar.more)
    assert guard.room(spent(STEP_TOKENS - 10)) > 0
    await bursar.answers(PenstockError("insufficient_funds", "There is no more."))
    assert guard.room(spent(STEP_TOKENS - 5)) > 0
    assert len(bursar.asked) == 1
    assert guard.room(spent(STEP_TOKENS + 1)) == 0
    assert guard.wait(lambda: None)
    await bursar.answers(PenstockError("insufficient_funds", "There is no more."))
    assert guard.room(spent(STEP_TOKENS + 1)) == 0
    assert not guard.wait(lambda: None)
    assert len(bursar.asked) == 2


async def test_promises_that_are_not_kept_end_too(held):
    bursar = Bursar()
    guard, _ = held(STEP, more=bursar.more)
    for _ in range(TRIES):
        assert guard.room(spent(STEP_TOKENS + 1)) == 0
        assert guard.wait(lambda: None)
        await bursar.answers()
    assert guard.room(spent(STEP_TOKENS + 1)) == 0
    assert not guard.wait(lambda: None)
    assert guard.refusal.code == "insufficient_funds"


async def test_a_failure_ends_the_stream_and_is_logged(held, caplog):
    bursar = Bursar()
    guard, _ = held(STEP, more=bursar.more)
    assert guard.room(spent(STEP_TOKENS + 1)) == 0
    assert guard.wait(lambda: None)
    with caplog.at_level(logging.ERROR):
        await bursar.answers(RuntimeError("so it is"))
    assert guard.room(spent(STEP_TOKENS + 1)) == 0 and not guard.wait(lambda: None)
    assert guard.refusal.code == "insufficient_funds" and "so it is" in caplog.text


# with a treasury


@pytest.fixture
async def bank(database: Database, database_url: str) -> AsyncIterator[Bank]:
    opened = Bank(database, database_url)
    yield opened
    await opened.close()
    await opened.check()
    assert await opened.open_leases() == []


async def test_a_stream_draws_on_the_whole_account_and_not_only_on_what_is_on_lease(bank):
    account, wants = await bank.account(paid_nano=5 * STEP)
    teller = await bank.teller()
    with await teller.reserve(wants, 100) as hold:
        guard = Guard(PRICE, hold, None, lambda nano: teller.treasury.replenish(teller.treasury.funds(wants), nano))
        output = 0
        while True:
            if guard.room(spent(output)):
                output += 100
                continue
            told = asyncio.Event()
            if not guard.wait(told.set):
                break
            await told.wait()
        assert 5 * STEP_TOKENS <= output < 5 * STEP_TOKENS + 100
        assert hold.amount_nano == 5 * STEP
        assert guard.refusal.code == "insufficient_funds"
        charge = teller.settle(hold, account, PRICE.cost(spent(output)))
    await teller.write(charge)


@pytest.mark.interpreted
def test_who_is_guarded():
    ask, funds = Ask(model="m", stream=True), lease(5)
    prices: Any = SimpleNamespace(price=lambda provider, *_: PRICE if provider == "priced" else None)
    plane: Any = SimpleNamespace(treasury=funds.treasury, catalog=prices)
    first, second = (Lane(SimpleNamespace(provider=SimpleNamespace(price_name=name)), "m", "m") for name in ("priced", "other"))  # type: ignore[arg-type]
    route = SimpleNamespace(lanes=[first, second])

    def is_guarded(*, price=PRICE, asked=ask, funds=funds, lane=first) -> bool:
        running: Any = Running(OWN_CREDENTIALS, route, SimpleNamespace(lane=lane), asked, price, Hold(Holds(), funds, 5))
        return guard_of(running, funds, plane) is not None

    assert is_guarded()
    assert not is_guarded(asked=Ask(model="m"))
    assert not is_guarded(price=None) and not is_guarded(price=free_price("free"))
    assert not is_guarded(funds=UNCOUNTED)
    assert not is_guarded(lane=second), "the price is that of the lane that answers"
