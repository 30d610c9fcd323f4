from __future__ import annotations

import json

import pytest

from penstock.upstream.usage import Usage
from penstock.upstream.wires.messages import WIRE
from penstock.upstream.wires.wire import Ask, Verdict

START_USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 100,
    "cache_read_input_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
    "output_tokens": 1,
    "service_tier": "standard",
}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-sonnet-4-5", "stop_reason": None}
SEEN = Usage(input_tokens=25, cache_read_tokens=7, cache_write_5m_tokens=60, cache_write_1h_tokens=40, output_tokens=90)


def events(count: int, **delta_usage) -> list[dict]:
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Some words of"}}
    return [
        {"type": "message_start", "message": MESSAGE | {"usage": START_USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *([text] * count),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 90} | delta_usage,
        },
        {"type": "message_stop"},
    ]


def test_the_facts_of_a_request():
    body = b'{"model":"claude-sonnet-4-5","max_tokens":1024,"stream":true,"messages":[],"metadata":{"model":"x"}}'
    assert WIRE.peek(body) == Ask(model="claude-sonnet-4-5", stream=True, output_cap=1024, input_size=len(body))
    assert WIRE.prepare(body, WIRE.peek(body), "claude-x") == body.replace(b"claude-sonnet-4-5", b"claude-x")
    assert WIRE.prepare(body, WIRE.peek(body), None) is body


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize(
    "delta", [{}, {"input_tokens": 0, "cache_read_input_tokens": 0}, {"input_tokens": 25, "cache_creation_input_tokens": 100}]
)
def test_a_stream(stream, sse, ask, delta, compact):
    data = sse(*events(20, **delta), names=True, compact=compact)
    result = stream(WIRE.meter(ask()), data)
    assert (result.usage, result.estimated) == (SEEN, False)
    assert result.shown + result.held == data
    assert result.held == sse({"type": "message_stop"}, names=True, compact=compact)
    assert result.read == 4


def test_a_stream_that_breaks_off_keeps_the_input_it_was_told(stream, sse, ask):
    result = stream(WIRE.meter(ask()), sse(*events(50)[:40], names=True))
    assert result.estimated
    assert (result.usage.input_tokens, result.usage.cache_write_1h_tokens) == (25, 40)
    assert 37 <= result.usage.output_tokens <= 37 * 4


def test_a_stream_that_breaks_off_before_it_says_anything(stream, sse, ask):
    result = stream(WIRE.meter(ask()), sse({"type": "ping"}, names=True))
    assert (result.usage, result.estimated) == (Usage(input_tokens=100), True)


def test_an_error_ends_a_stream(stream, sse, ask):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    for compact in (True, False):
        first = stream(WIRE.meter(ask()), sse(error, names=True, compact=compact))
        assert (first.usage, first.estimated) == (Usage(calls=0), False)
        assert first.held == sse(error, names=True, compact=compact)
        later = stream(WIRE.meter(ask()), sse(*events(20)[:20], error, names=True, compact=compact))
        assert (later.usage.input_tokens, later.estimated) == (25, True)
        assert later.held


def test_text_that_speaks_of_events_is_not_one(ask):
    meter = WIRE.meter(ask())
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 'event: message_stop {"type":"error"}'}}
    assert meter.event(b"event: content_block_delta\ndata: " + json.dumps(delta).encode()) is Verdict.PASS
    tool = {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"usage":{"output_tokens":5}}'}}
    assert meter.event(b"data: " + json.dumps(tool).encode()) is Verdict.PASS
    assert meter.usage()[1]
    assert meter.event(b"event: message_stop\ndata: {") is Verdict.LAST


def test_plain_answers(ask):
    usage = START_USAGE | {"output_tokens": 90, "server_tool_use": {"web_search_requests": 2}, "service_tier": "batch"}
    body = json.dumps(MESSAGE | {"content": [{"type": "text", "text": "x" * 100_000}], "usage": usage}).encode()
    expected = Usage(
        input_tokens=25,
        cache_read_tokens=7,
        cache_write_5m_tokens=60,
        cache_write_1h_tokens=40,
        output_tokens=90,
        web_searches=2,
        service_tier="batch",
    )
    assert WIRE.read(body, ask()) == (expected, False)
    assert WIRE.read(body[-64 * 1024 :], ask()) == (expected, False)
    assert WIRE.read(json.dumps(MESSAGE).encode(), ask())[1]
    assert WIRE.read(b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}', ask()) == (Usage(calls=0), False)
    assert WIRE.read(b"upstream connect error", ask())[1]
