"""The walk: one request from its first byte to its last, top to bottom. Read this file first.

Each step is a function with a file of its own; what a step refuses is raised as PenstockError and written by `ended`. The response's
bytes do not pass through here: `splice` connects the two connections and comes back when the answer is whole or broken.
Nothing that tells a client "complete" is written before the charge is durable.
"""

from __future__ import annotations

import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.billing.door import holding
from penstock.kit.errors import PenstockError
from penstock.kit.money import dollars
from penstock.kit.walker import Signal
from penstock.relay.admit import admit
from penstock.relay.bodies import read_ask
from penstock.relay.call import Answer, call, splice
from penstock.relay.exchange import Exchange, Interruption
from penstock.relay.facts import CLIENT_CLOSED, billable, make_charge, make_record
from penstock.relay.outcome import COMPLETE, STOPPED, UPSTREAM_ERROR
from penstock.relay.route import Route, choose
from penstock.relay.tunnel import refuse_upgrade
from penstock.upstream.usage import Usage

if TYPE_CHECKING:
    from penstock.billing.door import Charge
    from penstock.catalog.door import Price
    from penstock.relay.plane import Plane
    from penstock.upstream.channel import Channel
    from penstock.upstream.wires.wire import Ask

_log = logging.getLogger("penstock.relay")
NOTHING = Usage(calls=0)


async def walk(exchange: Exchange, plane: Plane) -> None:
    """Serve one exchange. Raises PenstockError for what is refused before an answer has begun."""
    refuse_upgrade(exchange)  # 426
    caller = await admit(exchange, plane)  # 401
    ask = await read_ask(exchange, plane)  # 400 413
    exchange.body_ns = perf_counter_ns()
    route = choose(caller, ask, exchange, plane)  # 403 404 503
    record_limit = plane.settings.record_body_limit if plane.records_all or caller.record else 0
    with holding(plane.purse, _estimate(ask, route, plane)) as hold:
        answer = await call(route, ask, exchange, plane)  # 502 503 504
        outcome = await splice(answer, ask, exchange, record_limit)
        exchange.walker = None  # from here on it is settled and finished, whoever leaves
        usage, estimated = _usage(answer, outcome, ask, exchange)
        price = _price(answer.channel, route, plane)
        cost_nano = price.cost(usage) if price is not None else 0
        hold.settle(cost_nano)
    if billable(answer, exchange):
        await _durable(plane, make_charge(exchange, caller, route, answer, outcome, usage, estimated, cost_nano, price))
    _finish(exchange, answer, outcome, cost_nano, plane)
    if record_limit:
        plane.recorder.put(make_record(exchange, caller, route, answer, outcome, ask.stream, record_limit))
    _count(exchange, answer, outcome, usage, cost_nano, plane)


def ended(exchange: Exchange, plane: Plane, error: BaseException | None) -> None:
    """The walk's edge: whatever left it becomes an answer, or a log line where it should not have happened."""
    exchange.walker = None
    if error is None:
        return
    if isinstance(error, Interruption):
        plane.metrics.exchange_ended(exchange.wire.name, CLIENT_CLOSED, error.outcome, 0, 0, None, 0)
        if error.outcome == STOPPED and not exchange.started:
            exchange.refuse(PenstockError("shutting_down", "The gateway is stopping; send the request again.", retry_after_s=1))
        else:
            exchange.cut()
        return
    if not isinstance(error, PenstockError):
        _log.error("exchange %s failed", exchange.id, exc_info=error)
        error = PenstockError("internal_error", f"The gateway failed; its log has the request id {exchange.id}.")
    plane.metrics.refused(error.code)
    exchange.refuse(error)
    plane.metrics.exchange_ended(exchange.wire.name, error.status, UPSTREAM_ERROR, 0, 0, None, 0)


def _price(channel: Channel, route: Route, plane: Plane) -> Price | None:
    return plane.catalog.price(channel.provider.name, route.served) if route.served is not None else None


def _estimate(ask: Ask, route: Route, plane: Plane) -> int:
    """What the request may cost: its bytes as input, its output cap as output."""
    price = _price(route.channels[0], route, plane)
    if price is None or route.served is None:
        return 0
    cap = ask.output_cap
    if cap is None:
        cap = plane.catalog.output_cap(route.channels[0].provider.name, route.served)
    return price.cost(Usage(input_tokens=ask.input_size // 4, output_tokens=cap))


def _usage(answer: Answer, outcome: str, ask: Ask, exchange: Exchange) -> tuple[Usage, bool]:
    """What was consumed, and whether that is an estimate. A plain answer that broke off gave the client nothing: it is free."""
    if answer.splice is not None:
        if outcome != COMPLETE and not exchange.started and not exchange.gone:
            return NOTHING, True
        usage, estimated = answer.splice.usage()
        return usage, estimated
    if exchange.wire.name == "passthrough":
        return NOTHING, True
    return exchange.wire.meter(ask).usage()


async def _durable(plane: Plane, charge: Charge) -> None:
    signal = Signal()
    plane.books.post(charge, signal.set)
    await signal


def _finish(exchange: Exchange, answer: Answer, outcome: str, cost_nano: int, plane: Plane) -> None:
    if exchange.gone:
        exchange.finish()
        return
    if answer.splice is None:
        exchange.refuse(PenstockError("shutting_down", "The gateway is stopping; send the request again.", retry_after_s=1))
        return
    answer.splice.finish(outcome, _shown(exchange, answer, cost_nano, plane))


def _shown(exchange: Exchange, answer: Answer, cost_nano: int, plane: Plane) -> list[bytes]:
    """The header lines that settings add to an answer whose head has not left; a stream gets the cost as a comment at its end."""
    settings = plane.settings
    if not (settings.show_cost or settings.show_channel or settings.show_overhead):
        return []
    if exchange.started:
        return [b": cost %b\n\n" % dollars(cost_nano).encode()] if settings.show_cost else []
    lines = []
    if settings.show_cost:
        lines.append(b"x-penstock-cost: %b\r\n" % dollars(cost_nano).encode())
    if settings.show_channel:
        lines.append(b"x-penstock-channel: %b\r\n" % answer.channel.name.encode())
    if settings.show_overhead:
        spent_ns = (answer.sent_ns - exchange.body_ns) + (perf_counter_ns() - answer.ended_ns)
        lines.append(b"x-penstock-overhead-ms: %.3f\r\n" % (spent_ns / 1e6))
    return lines


def _count(exchange: Exchange, answer: Answer, outcome: str, usage: Usage, cost_nano: int, plane: Plane) -> None:
    """Count it. Overhead is all the time that was neither the client's upload nor the provider's."""
    now_ns = perf_counter_ns()
    overhead_ns = (answer.sent_ns - exchange.body_ns) + (now_ns - answer.ended_ns)
    first_byte_us = (answer.head_ns - answer.sent_ns) // 1000 if answer.head is not None else 0
    plane.metrics.exchange_ended(exchange.wire.name, exchange.status or CLIENT_CLOSED, outcome, overhead_ns // 1000, first_byte_us, usage, cost_nano)
