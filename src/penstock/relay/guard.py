"""The guard: has a stream's hold extended while the stream runs, and ends it when the funds for it have ended.

A guard is asked seldom: it says how many bytes the hold certainly pays for, and until these have passed a stream compares two
integers and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.billing.door import Funds, Hold
from penstock.catalog.door import Price
from penstock.kit.errors import PenstockError
from penstock.kit.money import MAX_NANO
from penstock.kit.tasks import spawn
from penstock.relay.route import price_of
from penstock.upstream.usage import Usage

if TYPE_CHECKING:
    from penstock.relay.plane import Plane
    from penstock.relay.running import Running

NEVER = 1 << 62
"""A room that no stream fills."""
ROOM_LIMIT = 16 * 1024
"""The guard is asked at least once in so many bytes: figures that the provider states may be higher than the estimate."""
LEAST_STEP_TOKENS, MOST_STEP_TOKENS = 256, 4096
"""A hold is extended by the price of a quarter of the output so far, but of no less and no more than this."""
LEAST_BYTES = 3
"""No estimate makes a token of fewer bytes: funds for a number of tokens last for three times as many bytes at least."""
TRIES = 3
"""So many times in a row more funds may be promised and then taken by somebody else."""
_log = logging.getLogger("penstock.relay")

More = Callable[[int], Coroutine[Any, Any, None]]
"""Waits until something more can be held, of so much that is wanted. Raises PenstockError when there is nothing to wait for."""


class Guard:
    """Watches the cost of one stream under its hold. `refusal` is why the stream had to end, if it had to.

    `output_cap` is the caller's own bound on the output. No more than that is held for, and an estimate that is a little above it
    is wrong, not the provider; one that is far above it says that the provider does not keep to it.
    """

    __slots__ = ("_asking", "_cap", "_hold", "_more", "_price", "_then", "_tries", "refusal")

    def __init__(self, price: Price, hold: Hold, output_cap: int | None, more: More) -> None:
        self._price = price
        self._hold = hold
        self._cap = output_cap
        self._more = more
        self._asking: asyncio.Task[None] | None = None
        self._then: Callable[[], None] | None = None
        self._tries = 0
        self.refusal = PenstockError("insufficient_funds", "The funds ended while the answer was written. Top up, then ask for the rest.")

    def room(self, usage: Usage) -> int:
        """For how many more bytes of the stream the hold pays, after so much usage; 0 when it is used up and cannot be extended now."""
        hold, price, cap = self._hold, self._price, self._cap
        output = usage.output_tokens
        cost_nano, most_nano = price.cost(usage), MAX_NANO
        if cap is not None and output <= cap + cap // 2:
            most_nano = price.cost(msgspec.structs.replace(usage, output_tokens=cap, reasoning_tokens=min(cap, usage.reasoning_tokens)))
            cost_nano = min(cost_nano, most_nano)
            if most_nano <= hold.covered_nano:
                return ROOM_LIMIT
        step_tokens = min(max(output // 4, LEAST_STEP_TOKENS), MOST_STEP_TOKENS)
        step_nano = price.at_most(0, step_tokens)
        held_nano = hold.covered_nano
        left_nano = held_nano - cost_nano
        if left_nano < step_nano // 4:
            wanted_nano = min(step_nano - min(left_nano, 0), most_nano - held_nano)
            if hold.extend(wanted_nano):
                if hold.covered_nano == held_nano:
                    return NEVER  # nothing is kept of which there could be too little
                left_nano = hold.covered_nano - cost_nano
                self._tries = 0
            if hold.covered_nano < held_nano + wanted_nano and self._asking is None and self._tries < (TRIES if left_nano <= 0 else 1):
                self._ask(wanted_nano)
        if left_nano < 0 or (cost_nano and not left_nano):
            return 0
        return min(ROOM_LIMIT, left_nano * step_tokens // step_nano * LEAST_BYTES + 1)

    def wait(self, then: Callable[[], None]) -> bool:
        """Whether more funds have been asked for; `then` is called when there is an answer."""
        if self._asking is None:
            return False
        self._then = then
        return True

    def _ask(self, wanted_nano: int) -> None:
        self._tries += 1
        self._asking = spawn(self._more(wanted_nano), name="more funds for a stream", awaited=True)
        self._asking.add_done_callback(self._answered)

    def _answered(self, asking: asyncio.Task[None]) -> None:
        self._asking = None
        failure = None if asking.cancelled() else asking.exception()
        if failure is not None or asking.cancelled():
            # Who still had something left goes on, and asks once more when that is used up.
            self._tries = TRIES - 1 if self._then is None else TRIES
        if isinstance(failure, PenstockError):
            self.refusal = failure
        elif failure is not None:
            _log.error("funds could not be asked for", exc_info=failure)
        then, self._then = self._then, None
        if then is not None:
            then()


def guard_of(running: Running, funds: Funds, plane: Plane) -> Guard | None:
    """The guard of a stream that a channel has begun to answer; None where there is nothing to be guarded: no price, no balance, no cap."""
    price, lane = running.price, running.answer.lane
    if lane is not running.route.lanes[0]:
        price = price_of(lane, running.caller, plane)
    if not running.ask.stream or price is None or price.free or not funds.counted:
        return None
    return Guard(price, running.hold, running.ask.output_cap, partial(plane.treasury.replenish, funds))
