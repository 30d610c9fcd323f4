from __future__ import annotations

import json

import pytest

from penstock.upstream.usage import Usage
from penstock.upstream.wires.responses import WIRE
from penstock.upstream.wires.wire import Ask, Verdict

USAGE = {
    "input_tokens": 328,
    "input_tokens_details": {"cached_tokens": 128, "cache_write_tokens": 0},
    "output_tokens": 52,
    "output_tokens_details": {"reasoning_tokens": 32},
    "total_tokens": 380,
}
SEEN = Usage(input_tokens=200, cache_read_tokens=128, output_tokens=52, reasoning_tokens=32)


def response(status: str, usage: dict | None = None, **more) -> dict:
    return {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "error": None,
        "model": "gpt-5",
        "output": [],
        "service_tier": "default",
        "usage": usage,
        "metadata": {},
    } | more


def events(count: int, *last: dict) -> list[dict]:
    begun = [
        {"type": f"response.{name}", "response": response("in_progress", instructions="x" * 3000)} for name in ("created", "in_progress")
    ]
    delta = {"type": "response.output_text.delta", "item_id": "msg_" + "0" * 50, "output_index": 0, "content_index": 0, "delta": " word"}
    middle = [delta | {"logprobs": [], "obfuscation": "x" * 11}] * count
    return [item | {"sequence_number": number} for number, item in enumerate([*begun, *middle, *last])]


def test_the_facts_of_a_request():
    body = b'{"model":"gpt-5","input":"hi","stream":true,"max_output_tokens":99,"max_tokens":5,"stream_options":{"x":1}}'
    assert WIRE.peek(body) == Ask(model="gpt-5", stream=True, output_cap=99, input_size=len(body))
    assert WIRE.prepare(body, WIRE.peek(body), "gpt-6") == body.replace(b"gpt-5", b"gpt-6")


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("kind", ["completed", "incomplete"])
def test_a_stream_ends_with_its_response(stream, sse, ask, kind, names):
    last = {"type": f"response.{kind}", "response": response(kind, USAGE, service_tier="priority")}
    data = sse(*events(20, last), names=names)
    result = stream(WIRE.meter(ask()), data)
    assert result.usage == Usage(input_tokens=200, cache_read_tokens=128, output_tokens=52, reasoning_tokens=32, service_tier="priority")
    assert not result.estimated
    assert result.shown + result.held == data
    assert result.held.count(b"\n\n") == 1
    assert result.read == 3


def test_billable_searches_are_counted(ask):
    body = response("completed", USAGE, tool_usage={"web_search": {"num_requests": 3}, "image_gen": {"input_tokens": 0}})
    usage, estimated = WIRE.read(json.dumps(body).encode(), ask())
    assert (usage.web_searches, usage.input_tokens, estimated) == (3, 200, False)
    for tools in (None, {}, {"web_search": None}):
        assert WIRE.read(json.dumps(response("completed", USAGE, tool_usage=tools)).encode(), ask()) == (SEEN, False)


def test_failures_end_a_stream_and_cost_what_was_made(stream, sse, ask):
    failed = {"type": "response.failed", "response": response("failed", error={"code": "server_error", "message": "no"})}
    result = stream(WIRE.meter(ask()), sse(*events(0, failed)))
    assert (result.usage, result.estimated) == (Usage(calls=0), False)
    assert b"response.failed" in result.held
    later = stream(WIRE.meter(ask()), sse(*events(30, failed)))
    assert (later.usage.output_tokens, later.usage.input_tokens, later.estimated) == (30, 100, True)
    stated = stream(WIRE.meter(ask()), sse(*events(30, failed | {"response": response("failed", USAGE)})))
    assert (stated.usage, stated.estimated) == (SEEN, False)


@pytest.mark.parametrize(
    "error", [{"type": "error", "code": "x", "message": "no", "param": None}, {"error": {"message": "no"}, "type": ""}]
)
def test_errors_end_a_stream(stream, sse, ask, error):
    result = stream(WIRE.meter(ask()), sse(*events(0, error), compact=False))
    assert result.usage == Usage(calls=0)
    assert result.held


def test_a_stream_that_breaks_off_is_estimated_without_what_it_repeats(stream, sse, ask):
    result = stream(WIRE.meter(ask()), sse(*events(100), names=True))
    assert result.estimated
    assert (result.usage.input_tokens, result.usage.output_tokens) == (100, 100)


def test_text_that_speaks_of_events_is_not_one(ask):
    meter = WIRE.meter(ask())
    delta = {"type": "response.output_text.delta", "delta": 'Then "response.completed" comes, or event: error, or [DONE]'}
    assert meter.event(b"event: response.output_text.delta\ndata: " + json.dumps(delta).encode()) is Verdict.PASS
    assert meter.event(b"data: [DONE]") is Verdict.LAST


def test_the_beginning_of_a_long_last_event_is_recognised_and_its_end_read(ask):
    whole = {"type": "response.completed", "sequence_number": 9, "response": response("completed", USAGE, output=[{"text": "x" * 200_000}])}
    for named in (b"event: response.completed\n", b""):
        event = named + b"data: " + json.dumps(whole).encode()
        meter = WIRE.meter(ask())
        assert meter.event(event[:1024]) is Verdict.LAST
        assert meter.usage()[1]
        assert meter.event(event[:1024] + event[-64 * 1024 :]) is Verdict.LAST
        assert meter.usage() == (SEEN, False)


def test_plain_answers(ask):
    body = json.dumps(response("completed", USAGE, output=[{"type": "message", "usage": {"input_tokens": 1}}])).encode()
    assert WIRE.read(body, ask()) == (SEEN, False)
    assert WIRE.read(body[body.index(b'"usage": {"input_tokens": 328') - 20 :], ask())[0] == SEEN
    failed = json.dumps(response("failed", error={"code": "x", "message": "no"})).encode()
    assert WIRE.read(failed, ask()) == (Usage(calls=0), False)
    queued = json.dumps(response("queued")).encode()
    assert WIRE.read(queued, ask())[1]
