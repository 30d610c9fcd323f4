"""Spans: what the parts of one exchange become. How they leave is in tests/walk/test_telemetry.py."""

from __future__ import annotations

import itertools

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind, StatusCode

from penstock.telemetry.seen import Trial
from penstock.telemetry.spans import Place, error_of, server_facts, spans_of

OFFSET = 10**18


@pytest.fixture
def told(seen):
    """The spans of an exchange, the server span first."""

    def tell(**given):
        exchange = seen(**given)
        ids = itertools.count(1)
        name, facts = server_facts(exchange)
        *attempts, server = spans_of(exchange, Place(Resource({}), 77, None, lambda: next(ids), OFFSET), name, facts)
        return server, attempts

    return tell


def test_times_are_those_of_the_world(told, seen):
    server, (attempt,) = told()
    marks = seen().marks
    assert (server.start_time, server.end_time) == (marks[0] + OFFSET, marks[7] + OFFSET)
    assert (attempt.start_time, attempt.end_time) == (marks[3] + OFFSET, marks[6] + OFFSET)
    assert [event.timestamp for event in server.events] == [mark + OFFSET for mark in marks[:7]]
    assert (server.kind, attempt.kind, attempt.parent) == (SpanKind.SERVER, SpanKind.CLIENT, server.context)


def test_each_lane_that_failed_has_a_span(told, make_lane):
    trials = (
        Trial(make_lane("anthropic"), 4_000_000, 4_200_000, 529, "overloaded"),
        Trial(make_lane("groq"), 4_200_000, 4_300_000, 0, "no", 5),
    )
    _, attempts = told(trials=trials, trying=(4_300_000, 200, 9))
    assert [attempt.attributes["gen_ai.provider.name"] for attempt in attempts] == ["anthropic", "groq", "openai"]
    assert [attempt.attributes.get("error.type") for attempt in attempts] == ["529", "no_answer", None]
    assert [attempt.attributes.get("http.request.resend_count") for attempt in attempts] == [None, 1, 2]
    assert [attempt.status.status_code for attempt in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert [attempt.context.span_id for attempt in attempts][1:] == [5, 9], "what the provider was told"
    assert (attempts[0].attributes["server.address"], attempts[0].attributes["server.port"]) == ("api.example.com", 8443)


def test_the_last_lane_that_failed_has_one_span_and_not_two(told, make_lane, seen):
    trial = Trial(make_lane(), 4_000_000, 4_200_000, 0, "no")
    _, attempts = told(trials=(trial,), trying=(4_000_000, 0, 0), marks=seen().marks[:5], code="upstream_refused", status=502, usage=None)
    assert len(attempts) == 1


def test_what_never_reached_a_lane(told, seen):
    server, attempts = told(
        lane=None, trying=(0, 0, 0), ask=None, usage=None, marks=seen().marks[:3], status=401, code="invalid_key", outcome="refused"
    )
    assert attempts == [] and server.name == "chat"
    assert server.attributes["error.type"] == "invalid_key" and server.status.status_code is StatusCode.UNSET
    assert not any(name.startswith(("gen_ai.request", "gen_ai.usage", "penstock.cost")) for name in server.attributes)


@pytest.mark.parametrize(("facts", "error"), [
    ({}, ""), ({"status": 404}, "404"), ({"status": 499, "outcome": "client_gone"}, ""), ({"code": "x", "status": 503}, "x"),
    ({"outcome": "upstream_died"}, "upstream_died"), ({"outcome": "out_of_funds"}, ""),
])  # fmt: skip
def test_what_counts_as_an_error(seen, facts, error):
    assert error_of(seen(**facts)) == error


def test_a_call_without_a_model_is_called_after_its_operation(told, make_lane):
    server, (attempt,) = told(lane=make_lane(model=None), wire="passthrough")
    assert (server.name, attempt.name) == ("passthrough", "passthrough")


def test_estimates_are_marked_and_zeros_left_out(told):
    server, _ = told(estimated=True)
    assert server.attributes["penstock.usage_is_estimated"] is True
    assert server.attributes["gen_ai.usage.input_tokens"] == 13, "those from a cache are input too"
    assert server.attributes["gen_ai.usage.cache_read.input_tokens"] == 3
    assert "gen_ai.usage.reasoning.output_tokens" not in server.attributes
