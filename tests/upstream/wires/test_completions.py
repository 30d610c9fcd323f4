from __future__ import annotations

import json

from penstock.upstream.usage import Usage
from penstock.upstream.wires.completions import WIRE
from penstock.upstream.wires.wire import Ask

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def test_the_facts_of_a_request():
    body = b'{"model":"gpt-3.5-turbo-instruct","prompt":"Say","max_tokens":10,"n":2,"best_of":4,"stream":true}'
    expected = Ask(model="gpt-3.5-turbo-instruct", stream=True, output_cap=40, input_size=len(body), hides_usage=True)
    assert WIRE.peek(body) == expected
    assert WIRE.peek(b'{"model":"m","max_tokens":10,"n":2}').output_cap == 20
    assert WIRE.peek(b'{"model":"m"}').output_cap is None


def test_usage_is_asked_for():
    body = b'{"model":"m","prompt":"Say","stream":true}'
    assert json.loads(WIRE.prepare(body, WIRE.peek(body), "n")) == {
        "model": "n",
        "prompt": "Say",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_stream(stream, sse, ask):
    events = [{"object": "text_completion", "choices": [{"text": " a", "index": 0, "finish_reason": None}], "usage": None}] * 5
    result = stream(WIRE.meter(ask(hides_usage=True)), sse(*events, {"choices": [], "usage": USAGE}, "[DONE]"))
    assert (result.usage, result.estimated) == (Usage(input_tokens=5, output_tokens=7), False)
    assert (result.shown, result.held) == (sse(*events), sse("[DONE]"))
    assert stream(WIRE.meter(ask()), sse(*events)).usage.output_tokens == 5


def test_a_plain_answer(ask):
    body = json.dumps({"object": "text_completion", "choices": [{"text": "x"}], "usage": USAGE}).encode()
    assert WIRE.read(body, ask()) == (Usage(input_tokens=5, output_tokens=7), False)
