"""The walk: one request from its first byte to its last, top to bottom. Read this file first.

Each step is a function with a file of its own; what a step refuses is raised as PenstockError and written by `ended`. The response's
bytes do not pass through here: `splice` connects the two connections and what it gives happens when the answer is whole or broken.
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
from penstock.relay.admit import find_caller, funds_of, look_up, reserve
from penstock.relay.bodies import read_held, read_upload
from penstock.relay.call import Answer, call, splice
from penstock.relay.drain import drained
from penstock.relay.exchange import Exchange, Interruption, stopping
from penstock.relay.facts import CLIENT_CLOSED, NOTHING, billable, failed_record, make_charge, make_record
from penstock.relay.faults import report
from penstock.relay.guard import guard_of
from penstock.relay.limits import show_limits
from penstock.relay.outcome import COMPLETE, STOPPED, UPSTREAM_ERROR
from penstock.relay.permit import permit
from penstock.relay.route import choose, estimate, price_of
from penstock.relay.ruling import known_rules, under_rules
from penstock.relay.running import Running
from penstock.relay.tunnel import refuse_upgrade

if TYPE_CHECKING:
    from penstock.relay.plane import Plane
    from penstock.upstream.usage import Usage
    from penstock.upstream.wires.wire import Ask

_log = logging.getLogger("penstock.relay")
TOKENS_LIMIT = 10**12
"""More tokens than any request can have: a provider that counts more is wrong."""


async def walk(exchange: Exchange, plane: Plane) -> None:
    """Serve one exchange. Raises PenstockError for what is refused before an answer has begun."""
    if exchange.upgrade:
        refuse_upgrade(exchange)  # 426
    caller = find_caller(exchange, plane) or await look_up(exchange, plane)  # 401 503
    if caller.wires is not None or caller.networks is not None:
        permit(caller, exchange, plane)  # 403
    rules = known_rules(caller, plane) or await plane.rules.load(caller.account_id or "")  # 503
    ruled = not (rules.is_empty and plane.rules.operators.is_empty)
    exchange.for_operator = plane.records_all
    exchange.for_owner = caller.record or plane.policies.records(caller.account_id) is True
    record_limit = _record_limit(exchange, plane)
    whole = ruled or caller.models is not None
    ask = read_held(exchange, plane) if exchange.upload is None else await read_upload(exchange, plane, whole=whole)  # 400 413
    exchange.body_ns = perf_counter_ns()
    if ruled:
        ask = under_rules(rules, caller, ask, exchange, plane)  # 400 403
        record_limit = _record_limit(exchange, plane)
    route = choose(caller, ask, exchange, plane)  # 402 403 404 503
    answer = Answer(route.lanes[0])
    price = price_of(answer.lane, caller, plane)
    funds = funds_of(caller, plane)
    nano, tokens = estimate(price, ask, route, caller, exchange, plane)  # 400 413
    if funds.counted and not funds.covers(nano, tokens, exchange.body_ns):
        await reserve(funds, nano, tokens, exchange, plane)  # 402 429 503
    with holding(plane.holds, funds, nano, tokens) as hold:
        if funds.limited:
            show_limits(exchange, funds)
        running = exchange.running = Running(caller, route, answer, ask, price, hold)
        try:
            await call(route, ask, exchange, plane, answer, record_limit)  # 400 502 503 504
            guard = guard_of(running, funds, plane) if ask.stream and funds.counted else None
            told = splice(answer, ask, exchange, record_limit, guard)
            outcome: str = told.value if told.done else await told
        except Interruption as why:  # the client has left, or we stop
            outcome = why.outcome
            if not await drained(why, exchange, funds, record_limit, plane):
                answer.give_up()
            if not answer.sent_ns:
                raise
        if answer.channel.breakers.troubled or (answer.head is not None and answer.head.status >= 400):
            report(answer, exchange)
        ended_ns = perf_counter_ns()
        exchange.marks = (
            exchange.arrived_ns, exchange.turn_ns, exchange.body_ns, answer.called_ns, answer.sent_ns, answer.head_ns or ended_ns, ended_ns,
        )  # fmt: skip
        exchange.walker = exchange.running = None  # from here on it is settled and finished, whoever leaves
        usage, estimated = _usage(answer, outcome, ask, exchange)
        if answer.lane is not route.lanes[0]:
            price = price_of(answer.lane, caller, plane)
        due = billable(answer, exchange)
        cost_nano = price.cost(usage) if due and price is not None else 0
        draws = hold.settle(cost_nano, min(usage.context_tokens() + usage.output_tokens, TOKENS_LIMIT) if funds.limited else 0)
    if due:
        durable = Signal()
        charge = make_charge(exchange, caller, answer, outcome, usage, estimated, cost_nano, price, hold.free_nano, draws)
        plane.books.post(charge, durable.settle)
        await durable
    exchange.marks += (perf_counter_ns(),)
    _finish(exchange, answer, outcome, cost_nano, plane)
    if record_limit:
        plane.recorder.put(make_record(exchange, caller, answer, outcome, ask.stream, record_limit, usage, estimated, cost_nano))
    # Overhead is all the time that was neither the client's upload nor the provider's.
    overhead_ns = (answer.sent_ns - exchange.body_ns) + (perf_counter_ns() - ended_ns)
    first_byte_us = (answer.head_ns - answer.sent_ns) // 1000 if answer.head is not None else 0
    status = exchange.status or CLIENT_CLOSED
    plane.metrics.exchange_ended(exchange.wire.name, status, outcome, overhead_ns // 1000, first_byte_us, usage, cost_nano, exchange.marks)
    if plane.watch is not None:
        plane.watch.answered(exchange, caller, answer, ask, outcome, usage, estimated, cost_nano, overhead_ns)


def ended(exchange: Exchange, plane: Plane, error: BaseException | None) -> None:
    """The walk's edge: whatever left it becomes an answer, or a log line where it should not have happened."""
    if error is not None and plane.watch is not None:
        plane.watch.refused(exchange, error)
    running, exchange.walker, exchange.running = exchange.running, None, None
    if error is None:
        return
    if isinstance(error, Interruption):
        plane.metrics.exchange_ended(exchange.wire.name, CLIENT_CLOSED, error.outcome, 0, 0, None, 0)
        if error.outcome == STOPPED:
            exchange.refuse(stopping())
        else:
            exchange.cut()
        return
    if not isinstance(error, PenstockError):
        _log.error("exchange %s failed", exchange.id, exc_info=error)
        error = PenstockError("internal_error", f"The gateway failed; its log has the request id {exchange.id}.")
    plane.metrics.refused(error.code)
    exchange.refuse(error)
    if running is not None and (exchange.for_owner or exchange.for_operator):
        plane.recorder.put(failed_record(exchange, running, plane.record_limit))
    plane.metrics.exchange_ended(exchange.wire.name, error.status, UPSTREAM_ERROR, 0, 0, None, 0)


def _record_limit(exchange: Exchange, plane: Plane) -> int:
    """How many bytes of each body are recorded; of what is being sent from now on."""
    limit = plane.record_limit if exchange.for_owner or exchange.for_operator else 0
    if limit and exchange.upload is not None and exchange.upload.tape is None:
        exchange.upload.record(limit)
    return limit


def _usage(answer: Answer, outcome: str, ask: Ask, exchange: Exchange) -> tuple[Usage, bool]:
    """What was consumed, and whether that is an estimate. A plain answer that broke off gave the client nothing: it is free."""
    if answer.splice is not None:
        if outcome != COMPLETE and not exchange.started and not exchange.gone:
            return NOTHING, True
        return answer.splice.usage()
    if exchange.wire.name == "passthrough" or answer.lane.errand is not None or outcome == STOPPED:
        return NOTHING, True
    return exchange.wire.meter(ask).usage()


def _finish(exchange: Exchange, answer: Answer, outcome: str, cost_nano: int, plane: Plane) -> None:
    if exchange.gone:
        exchange.finish()
    elif answer.splice is None:
        exchange.refuse(stopping())
    else:
        answer.splice.finish(outcome, _lines(exchange, answer, cost_nano, plane) if plane.shows else [])


def _lines(exchange: Exchange, answer: Answer, cost_nano: int, plane: Plane) -> list[bytes]:
    """The header lines that settings add to an answer whose head has not left; a stream gets the cost as a comment at its end."""
    settings = plane.settings
    cost = dollars(cost_nano).encode()
    if exchange.started:
        return [b": cost %b\n\n" % cost] if settings.show_cost else []
    lines = []
    if settings.show_cost:
        lines.append(b"x-penstock-cost: %b\r\n" % cost)
    if settings.show_overhead:
        spent_ns = (answer.sent_ns - exchange.began_ns) + (perf_counter_ns() - answer.head_ns)
        lines.append(b"x-penstock-overhead-ms: %.3f\r\n" % (spent_ns / 1e6))
    return lines
