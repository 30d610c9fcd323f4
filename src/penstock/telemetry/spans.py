"""Spans: one exchange as a server span, each lane that was tried as a client span below it, its phases as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

import penstock
from penstock.records.door import PHASES, without_keys
from penstock.telemetry.content import input_messages, output_messages
from penstock.telemetry.seen import Seen
from penstock.telemetry.words import answered, operation, provider, shown
from penstock.upstream.lane import Lane

_SCOPE = InstrumentationScope("penstock", penstock.__version__)
_FAILED = frozenset(("upstream_died", "upstream_timeout", "upstream_error", "stopped"))
_EVENTS = tuple(f"penstock.{phase}" for phase in PHASES)
"""Each marks the beginning of its phase, which lasts until the next one, or to the end of the span."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

Facts = dict[str, Any]


class Place(NamedTuple):
    """Where spans are put: whose they are, in which trace, below what, with which ids, at which distance of the clocks."""

    resource: Resource
    trace_id: int
    parent: SpanContext | None
    new_id: Callable[[], int]
    offset_ns: int


def server_facts(seen: Seen) -> tuple[str, Facts]:
    """The name and the attributes of the server span: no content, no credential."""
    facts: Facts = {
        "gen_ai.operation.name": operation(seen.wire),
        "http.response.status_code": seen.status,
        "penstock.request_id": seen.id,
        "penstock.wire": seen.wire,
        "penstock.outcome": seen.outcome,
    }
    name = operation(seen.wire)
    lane, ask, usage = seen.lane, seen.ask, seen.usage
    if lane is not None:
        facts["gen_ai.provider.name"] = provider(lane.channel.provider.name)
        facts["penstock.channel"] = lane.channel.name
        if lane.model is not None:
            facts["gen_ai.request.model"] = shown(lane.model)
            name = f"{name} {facts['gen_ai.request.model']}"
    if ask is not None:
        facts["gen_ai.request.stream"] = ask.stream
        if ask.output_cap is not None:
            facts["gen_ai.request.max_tokens"] = ask.output_cap
    if usage is not None and usage.calls:
        facts |= {
            "gen_ai.usage.input_tokens": usage.context_tokens(),
            "gen_ai.usage.output_tokens": usage.output_tokens + usage.output_audio_tokens,
        }
        rare = {
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens + usage.cache_audio_read_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        }
        facts |= {key: tokens for key, tokens in rare.items() if tokens}
        if seen.estimated:
            facts["penstock.usage_is_estimated"] = True
    if lane is not None:
        facts["penstock.cost_nano"] = seen.cost_nano
    if seen.key_id is not None:
        facts["penstock.key"] = seen.key_id
    if ask is not None and ask.stream and len(seen.marks) > 6 and seen.usage is not None:
        facts["gen_ai.response.time_to_first_chunk"] = (seen.marks[5] - seen.marks[0]) / 1e9
    if error := error_of(seen):
        facts["error.type"] = error
    return name, facts


def error_of(seen: Seen) -> str:
    """`error.type`: our error's code, the provider's status, or how the answer broke off; empty for what went well or was not wanted."""
    if seen.code:
        return seen.code
    if seen.outcome in _FAILED:
        return seen.outcome
    return str(seen.status) if seen.status >= 400 and seen.outcome != "client_gone" else ""


def spans_of(seen: Seen, place: Place, name: str, facts: Facts) -> list[ReadableSpan]:
    """All spans of an exchange, the server span last."""
    root = _context(place, place.new_id())
    for key, value in answered(seen.opening, seen.closing).items():
        facts[key] = shown(value) if isinstance(value, str) else value
    if seen.content is not None:
        request, response = seen.content
        facts["gen_ai.input.messages"] = input_messages(without_keys(request))
        facts["gen_ai.output.messages"] = output_messages(without_keys(response))
    spans = list(_attempts(seen, place, root))
    begun = [Event(name, None, began_ns + place.offset_ns) for name, began_ns in zip(_EVENTS, seen.marks[:-1], strict=False)]
    failed = seen.status >= 500 or seen.outcome in _FAILED
    spans.append(
        ReadableSpan(
            name, root, place.parent, place.resource, facts, begun, (), SpanKind.SERVER,
            status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
            start_time=seen.marks[0] + place.offset_ns, end_time=seen.marks[-1] + place.offset_ns, instrumentation_scope=_SCOPE,
        )
    )  # fmt: skip
    return spans


def _attempts(seen: Seen, place: Place, root: SpanContext) -> list[ReadableSpan]:
    """A client span for each lane that was tried."""
    spans: list[ReadableSpan] = []
    for trial in seen.trials:
        facts = _lane_facts(seen, trial.lane, trial.status, len(spans))
        facts["error.type"] = str(trial.status) if trial.status else "no_answer"
        spans.append(_attempt(place, root, trial.span_id, facts, trial.began_ns, trial.ended_ns, failed=True))
    began_ns, status, span_id = seen.trying
    if seen.lane is not None and began_ns and (not seen.trials or seen.trials[-1].began_ns != began_ns):
        facts = _lane_facts(seen, seen.lane, status, len(spans))
        failed = status >= 400 or seen.outcome in _FAILED
        if failed:
            facts["error.type"] = str(status) if status >= 400 else error_of(seen)
        ended_ns = seen.marks[6] if len(seen.marks) > 6 else seen.marks[-1]
        spans.append(_attempt(place, root, span_id, facts, began_ns, ended_ns, failed=failed))
    return spans


def _lane_facts(seen: Seen, lane: Lane, status: int, resent: int) -> Facts:
    origin = lane.channel.pool.origin
    facts: Facts = {
        "gen_ai.operation.name": operation(seen.wire),
        "gen_ai.provider.name": provider(lane.channel.provider.name),
        "server.address": origin.host,
        "server.port": origin.port,
        "penstock.channel": lane.channel.name,
    }
    if lane.served is not None:
        facts["gen_ai.request.model"] = shown(lane.served)
    if status:
        facts["http.response.status_code"] = status
    if resent:
        facts["http.request.resend_count"] = resent
    return facts


def _attempt(place: Place, root: SpanContext, span_id: int, facts: Facts, began_ns: int, ended_ns: int, *, failed: bool) -> ReadableSpan:  # noqa: PLR0913
    name = " ".join(filter(None, (facts["gen_ai.operation.name"], facts.get("gen_ai.request.model", ""))))
    return ReadableSpan(
        name, _context(place, span_id or place.new_id()), root, place.resource, facts, (), (), SpanKind.CLIENT,
        status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
        start_time=began_ns + place.offset_ns, end_time=ended_ns + place.offset_ns, instrumentation_scope=_SCOPE,
    )  # fmt: skip


def _context(place: Place, span_id: int) -> SpanContext:
    state = place.parent.trace_state if place.parent is not None else TraceState()
    return SpanContext(place.trace_id, span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state)
