"""Holds: whatever happens in their block, each is resolved exactly once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from penstock.billing.funds import UNCOUNTED
from penstock.billing.holds import Hold, Holds, holding

amounts = st.integers(0, 2**63 - 1)


def counts(purse: Holds) -> tuple[int, ...]:
    return purse.open, purse.held_nano, purse.spent_nano, purse.taken, purse.settled, purse.released


def test_settled():
    purse = Holds()
    with holding(purse, UNCOUNTED, 100) as hold:
        assert counts(purse) == (1, 100, 0, 1, 0, 0)
        hold.settle(130)
        assert counts(purse) == (0, 0, 130, 1, 1, 0)
    assert counts(purse) == (0, 0, 130, 1, 1, 0)


def test_released_when_not_settled():
    purse = Holds()
    with holding(purse, UNCOUNTED, 100):
        pass
    assert counts(purse) == (0, 0, 0, 1, 0, 1)


def test_released_when_the_block_raises():
    purse = Holds()
    with pytest.raises(ZeroDivisionError), holding(purse, UNCOUNTED, 100):
        1 / 0  # noqa: B018
    assert counts(purse) == (0, 0, 0, 1, 0, 1)


async def test_released_when_the_task_is_cancelled():
    purse = Holds()

    async def walk() -> None:
        with holding(purse, UNCOUNTED, 100):
            await asyncio.sleep(60)

    task = asyncio.get_running_loop().create_task(walk())
    await asyncio.sleep(0)
    assert purse.open == 1
    task.cancel()
    await asyncio.wait([task])
    assert counts(purse) == (0, 0, 0, 1, 0, 1)


class Resolving(RuleBasedStateMachine):
    """Holds that are open at the same time, taken from one purse and left in any order."""

    fresh: Bundle[Hold] = Bundle("fresh")
    open_ones: Bundle[Hold] = Bundle("open_ones")
    resolved: Bundle[Hold] = Bundle("resolved")

    def __init__(self) -> None:
        super().__init__()
        self.purse = Holds()
        self.held: dict[Hold, int] = {}
        self.spent = self.settled = self.released = 0

    @rule(target=fresh, amount=amounts)
    def make(self, amount):
        return holding(self.purse, UNCOUNTED, amount)

    @rule(target=open_ones, hold=consumes(fresh))
    def enter(self, hold):
        assert hold.__enter__() is hold
        self.held[hold] = hold.amount_nano
        return hold

    @rule(target=resolved, hold=consumes(open_ones), cost=amounts)
    def settle(self, hold, cost):
        hold.settle(cost)
        del self.held[hold]
        self.spent += cost
        self.settled += 1
        return hold

    @rule(target=resolved, hold=consumes(open_ones), failure=st.sampled_from([None, ValueError(), asyncio.CancelledError()]))
    def leave(self, hold, failure):
        assert not hold.__exit__(type(failure), failure, None)
        del self.held[hold]
        self.released += 1
        return hold

    @rule(hold=resolved, cost=amounts)
    def settle_again(self, hold, cost):
        with pytest.raises(RuntimeError):
            hold.settle(cost)

    @rule(hold=resolved)
    def leave_again(self, hold):
        hold.__exit__(None, None, None)

    @rule(hold=st.one_of(resolved, open_ones))
    def enter_again(self, hold):
        with pytest.raises(RuntimeError):
            hold.__enter__()

    @rule(hold=fresh, cost=amounts)
    def settle_outside(self, hold, cost):
        with pytest.raises(RuntimeError):
            hold.settle(cost)

    @invariant()
    def the_purse_counts(self):
        taken = len(self.held) + self.settled + self.released
        assert counts(self.purse) == (len(self.held), sum(self.held.values()), self.spent, taken, self.settled, self.released)


TestHolds = Resolving.TestCase
