"""Running: what the open requests have come to so far, for when this process dies before they end."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.relay.facts import billable, make_charge
from penstock.relay.outcome import INTERRUPTED
from penstock.relay.route import price_of

if TYPE_CHECKING:
    from penstock.billing.door import Charge, Hold
    from penstock.catalog.door import Price
    from penstock.keys.door import Caller
    from penstock.relay.call import Answer
    from penstock.relay.plane import Plane
    from penstock.relay.route import Route
    from penstock.upstream.wires.wire import Ask

LONG_NS = 1_000_000_000
"""Shorter requests are not written down before they end."""


class Running:
    """What the walk knows of a request that is held for."""

    __slots__ = ("answer", "ask", "caller", "hold", "price", "route")

    def __init__(self, caller: Caller, route: Route, answer: Answer, ask: Ask, price: Price | None, hold: Hold) -> None:
        self.caller = caller
        self.route = route
        self.answer = answer
        self.ask = ask
        self.price = price
        self.hold = hold


def running_charges(plane: Plane) -> list[Charge]:
    """The charges that long requests would be if they ended now, flagged as interrupted and estimated."""
    began_before_ns = perf_counter_ns() - LONG_NS
    charges = []
    exchanges = [getattr(connection, "active", None) for connection in plane.connections]
    for exchange in [*exchanges, *(drain.exchange for drain in plane.drains)]:
        if exchange is None or exchange.running is None or exchange.began_ns > began_before_ns:
            continue
        running = exchange.running
        answer, ask, price, hold = running.answer, running.ask, running.price, running.hold
        if not answer.sent_ns or not billable(answer, exchange):
            continue
        if answer.lane is not running.route.lanes[0]:
            price = price_of(answer.lane, running.caller, plane)
        usage = answer.splice.so_far() if answer.splice is not None else exchange.wire.meter(ask).usage()[0]
        cost_nano = price.cost(usage) if price is not None else 0
        draws, free_nano = hold.would_draw(cost_nano)
        charges.append(make_charge(exchange, running.caller, answer, INTERRUPTED, usage, True, cost_nano, price, free_nano, draws))
    return charges
