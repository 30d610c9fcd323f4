from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.chat import WIRE
from penstock.upstream.wires.wire import Ask, Verdict

HEAD = {
    "id": "chatcmpl-A1",
    "object": "chat.completion.chunk",
    "created": 1760000000,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
}
USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
}
SEEN = Usage(input_tokens=11, cache_read_tokens=8, output_tokens=10, reasoning_tokens=4)


def chunk(delta: dict | None = None, *, finish: str | None = None, usage: dict | None = None, **more) -> dict:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return HEAD | {"choices": choices, "usage": usage, "obfuscation": "aB3"} | more


def chunks(count: int, **more) -> list[dict]:
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": " word"}, **more) for _ in range(count)),
        chunk({}, finish="stop"),
    ]


def peek(**fields) -> Ask:
    return WIRE.peek(json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]} | fields).encode())


def test_the_facts_of_a_request():
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
    assert WIRE.peek(body) == Ask(model="gpt-4o", input_size=len(body))
    ask = peek(stream=True, max_tokens=5, max_completion_tokens=100, n=3)
    assert (ask.stream, ask.output_cap, ask.hides_usage, ask.stream_options) == (True, 300, True, False)
    assert peek(max_tokens=7).output_cap == 7
    assert peek(max_output_tokens=9, input="as Cursor sends it").output_cap == 9


@pytest.mark.parametrize("cap", [-1, 0, 0.2, "100", None, True])
def test_caps_that_make_no_sense_are_none(cap):
    assert peek(max_tokens=cap, max_completion_tokens=cap, n=5).output_cap is None


_SAID = {"messages": [{"role": "user", "content": "Hi"}]}
_NESTED = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("fields", "respelled"),
    [
        ({"input": "Hi"}, True),
        ({"input": [], "messages": None}, True),
        ({**_SAID, "tools": [_NESTED, {"type": "function", "name": "f"}]}, True),
        ({**_SAID, "tools": [{"type": "custom", "name": "f", "format": {"type": "text"}}]}, True),
        ({**_SAID, "tools": [{"name": "f", "input_schema": {}}]}, True),
        ({**_SAID, "system": "Be brief."}, True),
        ({**_SAID, "input": "Hi"}, False),
        ({}, False),
        ({"input": None}, False),
        (_SAID, False),
        ({**_SAID, "tools": [_NESTED, {"type": "custom", "custom": {"name": "f"}}, {"type": "web_search"}, {}]}, False),
        ({**_SAID, "tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]}, False),
        ({**_SAID, "tools": [{"type": 1, "name": "f"}]}, False),
        ({**_SAID, "tools": "none"}, False),
        ({**_SAID, "tools": None}, False),
    ],
)
def test_requests_in_the_words_of_responses_are_known(fields, respelled):
    assert WIRE.peek(json.dumps({"model": "m", **fields}).encode()).respelled is respelled


def test_caps_and_choices_are_bounded():
    assert peek(max_tokens=10**40, n=10**40).output_cap == 10**9 * 128


@pytest.mark.parametrize(
    ("options", "hides", "present"),
    [
        ({}, True, False),
        ({"stream_options": None}, True, True),
        ({"stream_options": {}}, True, True),
        ({"stream_options": {"include_usage": False}}, True, True),
        ({"stream_options": {"include_usage": None}}, True, True),
        ({"stream_options": {"include_usage": True}}, False, True),
    ],
)
def test_usage_is_hidden_from_whom_did_not_ask(options, hides, present):
    ask = peek(stream=True, **options)
    assert (ask.hides_usage, ask.stream_options) == (hides, present)
    assert not peek(stream=False, **options).hides_usage


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": None}, "missing_model", "model"),
        ({"model": ""}, "missing_model", "model"),
        ({"model": 5}, "invalid_json", "model"),
        ({"model": ["a"]}, "invalid_json", "model"),
        ({"stream": "true"}, "invalid_json", "stream"),
        ({"stream": 1}, "invalid_json", "stream"),
        ({"stream": True, "stream_options": "x"}, "invalid_json", "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "invalid_json", "stream_options.include_usage"),
        ({"max_tokens": {}}, "invalid_json", "max_tokens"),
    ],
)
def test_refusals_name_the_field(fields, code, param):
    with pytest.raises(PenstockError) as caught:
        peek(**fields)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_the_last_of_two_counts_as_it_does_for_the_provider():
    body = b'{"model":"a","stream":false,"model":"b","stream":true}'
    ask = WIRE.peek(body)
    assert (ask.model, ask.stream) == ("b", True)
    assert WIRE.prepare(body, ask, "c") == b'{"stream_options":{"include_usage":true},"model":"a","stream":false,"model":"c","stream":true}'


@pytest.mark.parametrize(
    ("body", "prepared"),
    [
        (b'{"model":"a"}', b'{"model":"a"}'),
        (b'{ "stream" : true,"model":"a"}', b'{"stream_options":{"include_usage":true}, "stream" : true,"model":"a"}'),
        (
            b'{"model":"a","stream":true,"stream_options":{"include_obfuscation": false}}',
            b'{"model":"a","stream":true,"stream_options":{"include_usage":true,"include_obfuscation": false}}',
        ),
        (
            b'{"model":"a","stream":true,"stream_options": {"include_usage": false, "x":[1]} }',
            b'{"model":"a","stream":true,"stream_options": {"include_usage": true, "x":[1]} }',
        ),
        (b'{"model":"a","stream":true,"stream_options":null}', b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"model":"a","stream":true,"stream_options":{}}', b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}'),
        (
            b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}',
            b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"model":"a","stream":true,"str\\u0065am_options":{"x":1}}',
            b'{"model":"a","stream":true,"str\\u0065am_options":{"include_usage":true,"x":1}}',
        ),
    ],
)
def test_usage_is_asked_for_and_nothing_else_changes(body, prepared):
    assert WIRE.prepare(body, WIRE.peek(body), None) == prepared
    assert WIRE.prepare(body, WIRE.peek(body), "a") == prepared


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name != "n"),
        st.recursive(st.integers() | st.text(max_size=5), st.lists, max_leaves=4),
        max_size=4,
    ),
    st.booleans(),
)
def test_only_what_is_to_change_changes(fields, ascii_only):
    body = json.dumps({"a": 1} | fields | {"model": "old", "stream": True}, ensure_ascii=ascii_only).encode()
    after = json.loads(WIRE.prepare(body, WIRE.peek(body), 'new "name"'))
    assert after == json.loads(body) | {"model": 'new "name"', "stream_options": {"include_usage": True}}


def test_the_usage_chunk_is_hidden_when_it_was_not_asked_for(stream, sse, ask):
    data = sse(*chunks(8), chunk(usage=USAGE), "[DONE]")
    result = stream(WIRE.meter(ask(hides_usage=True)), data)
    assert (result.usage, result.estimated) == (SEEN, False)
    assert result.shown == sse(*chunks(8))
    assert result.held == sse("[DONE]")
    assert result.read == 4


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("compact", [True, False])
def test_the_usage_chunk_is_shown_when_it_was_asked_for(stream, sse, ask, compact, newline):
    data = sse(*chunks(3), chunk(usage=USAGE), "[DONE]", compact=compact, newline=newline)
    result = stream(WIRE.meter(ask()), data)
    assert (result.usage, result.estimated) == (SEEN, False)
    assert result.shown + result.held == data
    assert b"[DONE]" in result.held


def test_usage_beside_choices_is_always_shown(stream, sse, ask):
    data = sse(*chunks(2), chunk({"content": "x"}, finish="stop", usage=USAGE), "[DONE]")
    result = stream(WIRE.meter(ask(hides_usage=True)), data)
    assert (result.usage, result.estimated) == (SEEN, False)
    assert result.shown + result.held == data


def test_repeated_usage_is_cumulative(stream, sse, ask):
    events = [chunk({"content": "x"}, usage=USAGE | {"completion_tokens": count}) for count in range(1, 6)]
    result = stream(WIRE.meter(ask()), sse(*events, chunk({}, finish="stop", usage=USAGE), "[DONE]", "[DONE]"))
    assert (result.usage, result.estimated) == (SEEN, False)
    cut = stream(WIRE.meter(ask()), sse(*events))
    assert (cut.usage.output_tokens, cut.usage.input_tokens, cut.estimated) == (5, 11, True)


def test_a_trailer_without_choices_is_hidden_too(stream, sse, ask):
    result = stream(WIRE.meter(ask(hides_usage=True)), sse(*chunks(2), {"id": "x", "usage": USAGE}, "[DONE]"))
    assert (result.usage, result.estimated) == (SEEN, False)
    assert b"_tokens" not in result.shown + result.held


def test_the_tier_that_served_is_kept(stream, sse, ask):
    events = [chunk({"content": "x"}, service_tier="flex"), {"choices": [], "usage": USAGE}]
    assert stream(WIRE.meter(ask()), sse(*events, "[DONE]")).usage.service_tier == "flex"


def test_a_stream_that_breaks_off_is_estimated(stream, sse, ask):
    result = stream(WIRE.meter(ask(hides_usage=True)), sse(*chunks(50)[:-1]))
    assert result.estimated
    assert (result.usage.input_tokens, result.usage.output_tokens) == (100, 50)
    assert result.usage.calls == 1


def test_a_broken_stream_of_large_pieces(stream, sse, ask):
    text = "This is a sentence of some length, as Gemini sends them. " * 4
    events = [chunk({"role": "assistant", "content": text}), *(chunk({"content": text}) for _ in range(20))]
    result = stream(WIRE.meter(ask()), sse(*events))
    assert abs(result.usage.output_tokens - 21 * len(text) // 4) < 60


def test_a_broken_stream_of_tool_calls(stream, sse, ask):
    call = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]}
    deltas = [{"tool_calls": [{"index": 0, "function": {"arguments": '{"'}}]}] * 40
    result = stream(WIRE.meter(ask()), sse(chunk({"role": "assistant", "content": None}), chunk(call), *map(chunk, deltas)))
    assert (result.usage.output_tokens, result.estimated) == (40, True)


def test_an_error_alone_has_consumed_nothing(stream, sse, ask):
    error = {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}}
    result = stream(WIRE.meter(ask(hides_usage=True)), sse(error))
    assert (result.usage, result.estimated) == (Usage(calls=0), False)
    assert result.shown == sse(error)
    later = stream(WIRE.meter(ask()), sse(*chunks(5), error))
    assert (later.estimated, later.held) == (True, b"")
    assert later.usage.output_tokens >= 5


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"data:",
        b"data: {",
        b"data: [DONE",
        b": comment",
        b"event: x",
        b'data: {"usage":{"prompt_tokens"',
        b'data: {"choices":5,"usage":"x"}',
        b'data: {"choices":[1,null,{"delta":[]},{"delta":{"tool_calls":[3,{"function":1}]}}]}',
        b"data: [1]",
        b"\xff\xfe",
        b"data: " + b"[" * 9999,
    ],
)
def test_malformed_events_pass(event, ask):
    meter = WIRE.meter(ask(hides_usage=True))
    assert meter.event(event) is Verdict.PASS
    assert meter.usage()[1]


def test_what_vendors_make_of_content_does_not_break_it(ask):
    meter = WIRE.meter(ask())
    assert meter.event(b'data: {"choices":[{"delta":{"content":1}}]}') is Verdict.PASS
    assert meter.event(b'data:{"choices":[{"delta":{"content":"**"}}]}') is Verdict.PASS
    assert meter.event(b"data:[DONE]") is Verdict.LAST


def test_a_plain_answer(ask):
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"message": {"content": "x" * 99}}],
        "usage": USAGE,
        "service_tier": "flex",
    }
    expected = Usage(input_tokens=11, cache_read_tokens=8, output_tokens=10, reasoning_tokens=4, service_tier="flex")
    assert WIRE.read(json.dumps(body, indent=1).encode(), ask()) == (expected, False)


def test_the_end_of_a_long_answer(ask):
    text = json.dumps({"choices": [{"message": {"content": '"usage":{"prompt_tokens":1} ' * 5000}}], "usage": USAGE}).encode()
    assert WIRE.read(text[-64 * 1024 :], ask()) == (SEEN, False)


def test_a_plain_answer_without_usage_is_estimated(ask):
    usage, estimated = WIRE.read(b'{"choices":[{"message":{"content":"' + b"x" * 4000 + b'"}}]}', ask())
    assert estimated
    assert usage.input_tokens == 100
    assert 850 < usage.output_tokens <= 1000
    assert WIRE.read(b"<html>", ask())[1]


def test_an_error_body_has_consumed_nothing(ask):
    assert WIRE.read(b'{"error":{"message":"no","type":"x","param":null,"code":null}}', ask()) == (Usage(calls=0), False)


def test_forms_are_refused():
    with pytest.raises(PenstockError) as caught:
        WIRE.peek_form({"model": "a"}, 10)
    assert caught.value.code == "invalid_json"
