from __future__ import annotations

import json

import pytest

from penstock.upstream.usage import Usage
from penstock.upstream.wires.complete import WIRE
from penstock.upstream.wires.wire import Ask, Verdict


def piece(text: str, reason: str | None = None) -> dict:
    return {"type": "completion", "id": "compl_1", "completion": text, "stop_reason": reason, "model": "claude-2.1", "log_id": "compl_1"}


def test_the_facts_of_a_request():
    body = b'{"model":"claude-2.1","prompt":"\\n\\nHuman: hi","max_tokens_to_sample":256,"stream":true}'
    assert WIRE.peek(body) == Ask(model="claude-2.1", stream=True, output_cap=256, input_size=len(body))


@pytest.mark.parametrize("compact", [True, False])
def test_a_stream_ends_with_a_reason_and_is_estimated(stream, sse, ask, compact):
    data = sse({"type": "ping"}, *([piece(" word")] * 20), piece("", "stop_sequence"), names=True, compact=compact)
    result = stream(WIRE.meter(ask()), data)
    assert result.estimated
    assert (result.usage.input_tokens, result.usage.output_tokens) == (100, 20)
    assert b"stop_sequence" in result.held
    assert result.shown + result.held == data


def test_errors(stream, sse, ask):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}
    result = stream(WIRE.meter(ask()), sse(error, names=True))
    assert (result.usage, result.estimated) == (Usage(calls=0), False)
    assert WIRE.meter(ask()).event(b"event: error\ndata: {") is Verdict.LAST
    assert WIRE.meter(ask()).event(b"event: completion\ndata: {") is Verdict.PASS
    assert WIRE.meter(ask()).event(b"data: [DONE]") is Verdict.LAST
    assert WIRE.read(json.dumps(error).encode(), ask()) == (Usage(calls=0), False)


def test_plain_answers_are_estimated(ask):
    usage, estimated = WIRE.read(json.dumps(piece("x" * 1400, "max_tokens")).encode(), ask())
    assert estimated
    assert 250 < usage.output_tokens < 400
