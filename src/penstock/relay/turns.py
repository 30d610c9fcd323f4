"""Turns: the exchanges of one client connection are walked one at a time, and answered in the order in which they were read."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from time import perf_counter_ns
from typing import Any

from mypy_extensions import mypyc_attr

from penstock.kit.walker import Walker
from penstock.relay.estimate import ESTIMATE_PATH, answer_estimate
from penstock.relay.exchange import Exchange
from penstock.relay.model_list import answer_models, is_model_list
from penstock.relay.plane import Plane
from penstock.relay.preflight import answer_preflight
from penstock.relay.walk import ended, walk

READING = frozenset((b"GET", b"HEAD"))
QUEUE_LIMIT = 100
"""So many pipelined exchanges wait on one connection; after them it closes."""


@mypyc_attr(native_class=False)
class Turns:
    """The half of an edge that has exchanges answered; how they are read is the business of the other."""

    active: Exchange | None
    """The exchange that is being walked."""
    plane: Plane
    transport: asyncio.Transport
    flow: Any
    server_state: Any
    _queue: deque[Exchange]
    _advancing: bool
    _holds: set[str]
    """Why nothing is read from the client at the moment."""
    _deaf: bool
    """What still comes is thrown away."""
    _in_head: bool
    _in_body: bool
    _reading: Exchange | None
    _stamp: int
    """The tick of the last sign of life."""
    _head_tick: int
    _paused_tick: int
    """Since when the client takes no more of its answer; -1 while it does."""

    def begin(self, exchange: Exchange) -> None:
        """Walk an exchange that was read, when its turn comes."""
        if self.active is not None or self._paused_tick >= 0:
            self._queue.append(exchange)
            self.hold_reading("pipeline")
            if len(self._queue) > QUEUE_LIMIT:
                self._close_after_last()
            return
        self.active = exchange
        if exchange.target.method == b"OPTIONS":
            answer_preflight(exchange)
            return
        steps = walk
        if exchange.target.method in READING and is_model_list(exchange.target.path) and not self.plane.settings.transparent:
            steps = answer_models
        elif exchange.target.path == ESTIMATE_PATH:
            steps = answer_estimate
        exchange.walker = walker = Walker(steps(exchange, self.plane), partial(ended, exchange, self.plane))
        walker.step(None)

    def finished(self, exchange: Exchange) -> None:
        """An exchange has been answered: go on with the next one."""
        self.server_state.total_requests += 1
        self.active = None
        self._stamp = self.plane.pulse.tick
        if exchange.gone or self.transport.is_closing():
            return
        if exchange.close:
            self._close()
        elif self._queue and not self._advancing:
            self._advance()

    def _advance(self) -> None:
        """Walk the exchanges that wait, each when the one before is answered and the client takes the answers."""
        self._advancing = True
        while self._queue and self.active is None and self._paused_tick < 0:
            exchange = self._queue.popleft()
            exchange.turn_ns = perf_counter_ns()
            self.begin(exchange)
        self._advancing = False
        if not self._queue:
            self.go_on_reading("pipeline")

    def _close_after_last(self) -> None:
        """Take nothing more; the last exchange that is known ends the connection."""
        self._deaf = True
        last = self._queue[-1] if self._queue else self.active
        if last is not None:
            last.close = True
        else:
            self._close()

    def _close(self) -> None:
        self._queue.clear()
        self._holds.clear()
        if self._in_body or self._deaf:
            # Closing now, with unread bytes in the socket, would make the kernel take back the answer.
            self._in_body = self._in_head = False
            self._reading = None
            self._head_tick = self._stamp
            self.flow.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()
        self._deaf = True

    def hold_reading(self, why: str) -> None:
        """Stop reading from the client until every reason is gone."""
        if not self._holds:
            self.flow.pause_reading()
        self._holds.add(why)

    def go_on_reading(self, why: str) -> None:
        """One reason not to read is gone."""
        if why in self._holds:
            self._holds.discard(why)
            self._stamp = self._head_tick = self.plane.pulse.tick
            if not self._holds and not self.transport.is_closing():
                self.flow.resume_reading()
