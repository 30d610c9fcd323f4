"""What is written down of an exchange: its charge and its record."""

from __future__ import annotations

import json
import time
from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.billing.door import Charge, Draws
from penstock.records.door import Record
from penstock.relay.headers import NAMING
from penstock.relay.outcome import STOPPED, UPSTREAM_DIED, UPSTREAM_ERROR, UPSTREAM_TIMEOUT
from penstock.relay.phases import phases_us
from penstock.relay.tape import Tape
from penstock.upstream.channel import HIDDEN
from penstock.upstream.usage import Usage

if TYPE_CHECKING:
    from penstock.catalog.door import Price
    from penstock.keys.door import Caller
    from penstock.relay.call import Answer
    from penstock.relay.exchange import Exchange
    from penstock.relay.running import Running

_RARE = (
    "input_audio_tokens", "cache_audio_read_tokens", "output_audio_tokens", "input_image_tokens", "output_image_tokens", "images",
    "characters", "audio_seconds", "web_searches", "service_tier",
)  # fmt: skip
_SHOWN_AS = {STOPPED: 503, UPSTREAM_DIED: 502, UPSTREAM_TIMEOUT: 504}
"""The status that a client gets instead of an answer that ended like this before it had begun."""
NOTHING = Usage(calls=0)
CLIENT_CLOSED = 499
"""The status written down when no answer could be shown: nginx's number for a client that closed."""


def billable(answer: Answer, exchange: Exchange) -> bool:
    """Something may have been consumed: a POST (or a session, or a call of a wire with other methods) that was not refused."""
    asks = exchange.target.method == b"POST" or exchange.wire.name != "passthrough"
    if answer.head is None:
        return asks and exchange.wire.name != "realtime" and (exchange.upload is None or exchange.upload.done)
    if answer.splice is not None and answer.splice.refused:
        return False
    return answer.head.status == 101 or (asks and answer.head.status < 400)


def make_charge(  # noqa: PLR0913, PLR0917  the facts of one exchange, handed over once
    exchange: Exchange, caller: Caller, answer: Answer, outcome: str, usage: Usage, estimated: bool, cost_nano: int, price: Price | None,
    free_nano: int, draws: Draws,
) -> Charge:  # fmt: skip
    """The charge. Given by position, which is four times faster than by name: the order is that of the columns."""
    now_ns = perf_counter_ns()
    began_ns, lane = exchange.began_ns, answer.lane
    return Charge(
        exchange.id,
        time.time_ns() // 1_000_000,
        caller.account_id,
        caller.key_id,
        exchange.wire.name,
        lane.channel.provider.price_name,
        lane.channel.name,
        lane.model or "",
        lane.served or "",
        exchange.status or _status(answer, outcome),
        outcome,
        exchange.started,
        estimated,
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        extra_usage(usage),
        cost_nano,
        free_nano,
        price.multiplier_micro if price is not None else 1_000_000,
        price.version if price is not None else None,
        (answer.sent_ns - began_ns) // 1_000_000,
        ((answer.head_ns or now_ns) - began_ns) // 1_000_000,
        (now_ns - began_ns) // 1_000_000,
        answer.attempts,
        draws,
    )


def _status(answer: Answer, outcome: str) -> int:
    """What the client is about to be shown, or would have been."""
    if outcome in _SHOWN_AS:
        return _SHOWN_AS[outcome]
    return answer.head.status if answer.head is not None else CLIENT_CLOSED


def extra_usage(usage: Usage) -> str | None:
    """The rarer quantities that are not zero, and `calls` unless there was one, as a JSON object; None when there is nothing to say."""
    if usage.service_tier is None and not (
        usage.input_audio_tokens
        or usage.cache_audio_read_tokens
        or usage.output_audio_tokens
        or usage.input_image_tokens
        or usage.output_image_tokens
        or usage.images
        or usage.characters
        or usage.audio_seconds
        or usage.web_searches
    ):
        return None if usage.calls == 1 else json.dumps({"calls": usage.calls})
    calls = {} if usage.calls == 1 else {"calls": usage.calls}
    return json.dumps({name: getattr(usage, name) for name in _RARE if getattr(usage, name)} | calls)


def make_record(  # noqa: PLR0913, PLR0917  the facts of one exchange, handed over once
    exchange: Exchange, caller: Caller, answer: Answer, outcome: str, streams: bool, limit: int, usage: Usage, estimated: bool,
    cost_nano: int,
) -> Record:  # fmt: skip
    """The record; bodies up to `limit` bytes. Secrets are taken out when it is written, off the hot path."""
    target, head, splice, ruling = exchange.target, answer.head, answer.splice, exchange.ruling
    taped, shown = exchange.upload.tape if exchange.upload is not None else None, splice.tape if splice is not None else None
    body = ruled = exchange.body or b""
    if ruling is not None:
        body = ruling.came
    sent, came, told = answer.sent, splice.came() if splice is not None else None, exchange.told
    if told and came is None and splice is not None:
        came = Tape(limit)
        came.add(answer.channel.without_secret(splice.beginning(limit)))
    return Record(
        exchange.id,
        time.time_ns() // 1_000_000,
        caller.key_id,
        target.method.decode("ascii"),
        target.path + ("?" + target.query.decode("ascii") if target.query else ""),
        exchange.wire.name,
        ruling.asked if ruling is not None else answer.lane.model,
        answer.lane.served,
        exchange.headers,
        b"".join(taped.pieces) if taped is not None else body[:limit],
        exchange.status or (head.status if head is not None else None),
        _headers(head.headers, exchange, answer) if head is not None else [],
        [told] if told else shown.pieces if shown is not None else [],
        (perf_counter_ns() - exchange.began_ns) // 1_000_000,
        streams,
        outcome,
        taped.cut if taped is not None else len(body) > limit,
        shown is not None and shown.cut,
        answer.channel.name,
        answer.tried,
        caller.account_id,
        exchange.for_owner,
        exchange.for_operator,
        cost_nano,
        usage.context_tokens(),
        usage.output_tokens,
        estimated,
        ruling.fired if ruling is not None else (),
        ruling.shadowed if ruling is not None else (),
        None if ruled is body else ruled[:limit],
        sent.head if sent is not None else b"",
        sent.body if sent is not None else None,
        sent is not None and sent.cut,
        head.status if came is not None and head is not None else None,
        came.pieces if came is not None else None,
        came is not None and came.cut,
        phases_us(exchange.marks),
    )


def _headers(headers: list[tuple[bytes, bytes]], exchange: Exchange, answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer; who the operator is to the provider, no account is told, as the client is not."""
    if not exchange.for_owner or answer.channel.transparent:
        return headers
    return [(name, HIDDEN if name in NAMING else value) for name, value in headers]


def failed_record(exchange: Exchange, running: Running, limit: int) -> Record:
    """The record of an exchange that no channel has answered: the client was told why."""
    answer = running.answer
    record = make_record(exchange, running.caller, answer, UPSTREAM_ERROR, running.ask.stream, limit, NOTHING, False, 0)
    record.came_status = answer.head.status if answer.head is not None else None
    return record
