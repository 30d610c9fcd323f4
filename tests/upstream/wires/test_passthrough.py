from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.usage import Usage
from penstock.upstream.wires.passthrough import WIRE
from penstock.upstream.wires.wire import Ask, Verdict

ANSWER = b'{"object":"response","usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}}'


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b"", None),
        (b'{"model":"m","x":1}', "m"),
        (b'\n {"model":"m"}', "m"),
        (b'{"model":5}', None),
        (b'{"model":""}', None),
        (b"{", None),
        (b"--boundary\r\n", None),
        (b"[]", None),
        (b'{"model":"\xff"}', None),
        (b'{"model":[]}', None),
        (b'{"stream":"x","model":"m"}', "m"),
    ],
)
def test_a_model_is_learned_where_there_is_one(body, model):
    assert WIRE.peek(body) == Ask(model=model, input_size=len(body))
    assert WIRE.prepare(body, WIRE.peek(body), None) is body


@settings(deadline=None)
@given(st.binary(max_size=100), st.text(max_size=10))
def test_any_body_goes_through_unchanged(body, model):
    ask = WIRE.peek(body)
    if ask.model is None:
        assert WIRE.prepare(body, ask, model) is body


def test_forms():
    assert WIRE.peek_form({"model": "sora-2", "prompt": "x"}, 7) == Ask(model="sora-2", input_size=7)
    assert WIRE.peek_form({"model": "\x00"}, 1).model is None
    assert WIRE.peek_form({}, 64).input_size == 1


def test_the_model_is_renamed():
    body = b'{"x":{"model":"m"},"model":"m"}'
    assert WIRE.prepare(body, WIRE.peek(body), "n") == b'{"x":{"model":"m"},"model":"n"}'


def test_usage_counts_where_a_model_was_named(ask):
    assert WIRE.read(ANSWER, ask()) == (Usage(input_tokens=5, output_tokens=7), False)
    assert WIRE.read(ANSWER, ask(model=None)) == (Usage(), False)
    assert WIRE.read(b'{"results":[]}', ask()) == (Usage(), False)
    assert WIRE.read(b"\x00binary", ask()) == (Usage(), False)
    assert WIRE.read(b'{"error":{"message":"no"}}', ask()) == (Usage(calls=0), False)


def test_streams(stream, sse, ask):
    last = {"type": "response.completed", "response": json.loads(ANSWER)}
    data = sse({"type": "response.created", "response": {"usage": None}}, {"type": "x"}, {"type": "response.y"}, last, names=True)
    result = stream(WIRE.meter(ask()), data)
    assert (result.usage, result.estimated) == (Usage(input_tokens=5, output_tokens=7), False)
    assert result.held == sse(last, names=True)
    assert stream(WIRE.meter(ask(model=None)), data).usage == Usage()
    assert WIRE.meter(ask()).event(b"data: [DONE]") is Verdict.LAST
    assert WIRE.meter(ask()).event(b'event: message_stop\ndata: {"type":"message_stop"}') is Verdict.LAST
