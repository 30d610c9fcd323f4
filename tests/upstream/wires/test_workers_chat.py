from __future__ import annotations

import json

import pytest

from fake_workers_ai import LLAMA, PLAIN, STREAMS
from penstock.upstream.usage import Usage
from penstock.upstream.wires import wire_for
from penstock.upstream.wires.wire import Ask
from penstock.upstream.wires.workers_chat import WIRE

STATED = Usage(input_tokens=8, cache_read_tokens=3, output_tokens=5)


def test_no_client_speaks_it():
    assert WIRE.paths == () and wire_for("POST", "/v1/chat/completions").name == "chat"


def test_the_facts_of_a_request():
    body = b'{"model":"@cf/a/b","messages":[],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}'
    assert WIRE.peek(body) == Ask("@cf/a/b", stream=True, output_cap=5, input_size=len(body), stream_options=True)


@pytest.mark.parametrize("model", ["llama-3.1-8b-instruct", "bare", "usage-each", "wrapped"])
def test_usage_of_a_stream_is_not_added_up(stream, sse, ask, model):
    result = stream(WIRE.meter(ask()), sse(*STREAMS[model]))
    assert (result.usage, result.estimated) == (STATED, False)


@pytest.mark.parametrize("model", ["odd", "tools", "native-tools", "no-done"])
def test_a_stream_without_usage_is_estimated(stream, sse, ask, model):
    result = stream(WIRE.meter(ask()), sse(*STREAMS[model]))
    assert result.estimated and result.usage.output_tokens > 0 and result.usage.input_tokens == 100


def test_figures_that_shrink_are_not_believed(stream, sse, ask):
    events = [
        {"response": "a", "usage": {"prompt_tokens": 9, "completion_tokens": 9}},
        {"response": "", "usage": {"prompt_tokens": 0}},
        "[DONE]",
    ]
    assert stream(WIRE.meter(ask()), sse(*events)).usage == Usage(input_tokens=9, output_tokens=9)


def test_a_stream_that_only_fails_costs_nothing(stream, sse, ask):
    events = [{"errors": [{"code": 3040, "message": "m"}], "success": False}]
    assert stream(WIRE.meter(ask()), sse(*events)).usage == Usage(calls=0)


@pytest.mark.parametrize(
    ("body", "usage", "estimated"),
    [
        (PLAIN[LLAMA.rpartition("/")[2]], STATED, False),
        (PLAIN["json-stream"], STATED, False),
        (PLAIN["json-mode"], Usage(input_tokens=4, output_tokens=2), False),
        ({"result": {}, "success": True}, Usage(calls=0), False),
        ({"result": None, "success": False, "errors": [{"code": 3040}]}, Usage(calls=0), False),
        ({"result": {"response": "a" * 800}}, Usage(input_tokens=100, output_tokens=106), True),
        ({"result": "odd"}, Usage(input_tokens=100, output_tokens=1), True),
        ([], Usage(input_tokens=100, output_tokens=1), True),
    ],
)
def test_plain_answers(ask, body, usage, estimated):
    assert WIRE.read(json.dumps(body, separators=(",", ":")).encode(), ask()) == (usage, estimated)


def test_the_end_of_a_long_answer(ask):
    body = json.dumps(PLAIN[LLAMA.rpartition("/")[2]]).encode()
    assert WIRE.read(body[20:], ask())[0] == STATED
