from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.bridges.chat.replies_in import read_reply
from penstock.upstream.bridges.conversation import Image, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.usage import Usage


def body(message: object, finish: object = "stop", **more) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "created": 5, "model": "m", "choices": [choice]} | more).encode()


def parts(message: object, finish: object = "stop") -> list:
    return read_reply(body(message, finish)).parts


def test_a_reply():
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}
    reply = read_reply(body({"role": "assistant", "content": "Hi"}, usage=usage, service_tier="flex"))
    assert reply == Reply("chatcmpl-1", "m", [Text("Hi")], "end", Usage(6, 4, output_tokens=5, service_tier="flex"), 5)


def test_everything_that_a_message_may_have():
    message = {
        "content": [{"type": "thinking", "thinking": "more"}, {"type": "text", "text": "So"}, "."],
        "reasoning": "hm",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "SIG"}],
        "refusal": "No",
        "images": [{"image_url": {"url": "data:image/png;base64,QUJD"}}],
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
            {"id": "b", "type": "custom", "custom": {"name": "c", "input": "free"}},
            {"function": {"name": None}},
            5,
        ],
    }
    first, second, *rest = parts(message)
    assert (first.text, first.wire, "SIG" in first.signature) == ("hm", "chat", True)
    assert second == Thought("more")
    calls = [ToolCall("a", "f", '{"x":1}'), ToolCall("b", "c", "free", custom=True)]
    assert rest == [Text("So."), Refusal("No"), Image("image/png", "QUJD"), *calls]


def test_ids_that_are_missing_are_made_and_functions_of_old_are_calls():
    [call] = parts({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call")
    assert (call.name, call.arguments, call.id.startswith("call_")) == ("f", "{}", True)
    assert parts({"tool_calls": [{"name": "flat", "arguments": "{}"}]})[0].name == "flat"


@pytest.mark.parametrize(
    ("message", "finish", "stop"),
    [
        ({"content": "a"}, None, "end"),
        ({"content": "a"}, "odd", "end"),
        ({"content": "a"}, "length", "length"),
        ({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "stop", "tools"),
        ({"content": "a"}, "tool_calls", "end"),
        ({"content": None, "refusal": "No"}, "stop", "refusal"),
        ({"content": ""}, "length", "length"),
    ],
)
def test_reasons(message, finish, stop):
    assert read_reply(body(message, finish)).stop == stop


@pytest.mark.parametrize("usage", [None, {}, 5, {"prompt_tokens": "x"}])
def test_usage_that_says_nothing(usage):
    assert read_reply(body({"content": 7}, usage=usage)) == Reply("chatcmpl-1", "m", [Text("7")], "end", Usage(), 5)


def test_of_several_choices_the_first():
    choices = [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]
    assert read_reply(json.dumps({"choices": choices}).encode()).parts == [Text("a")]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 9999, "not JSON"),
        (b"{}", "no choices"),
        (b'{"choices":[]}', "no choices"),
        (b'{"choices":[{}]}', "no message"),
        (b'{"error":{"message":"out of order"}}', "out of order"),
        (body({"content": ""}, "error"), "error"),
    ],
)
def test_what_is_not_a_reply(answer, why):
    with pytest.raises(ValueError, match=why):
        read_reply(answer)


NAMES = re.findall(
    r"\w+",
    """
    content type text tool_calls function name arguments id reasoning_details signature data images image_url url
    """,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=200)
@given(JSON, JSON, st.fixed_dictionaries({}, optional=dict.fromkeys(["usage", "id", "model", "created", "error"], JSON)))
def test_only_what_the_contract_says_is_raised(message, finish, more):
    try:
        read_reply(body(message, finish, **more))
    except ValueError:
        pass
