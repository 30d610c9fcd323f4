"""What the chat wires have in common."""

from __future__ import annotations

import json

import msgspec
import pytest

from penstock.upstream.demo.answer import RefusedError
from penstock.upstream.demo.manners import PLAIN, Manners
from penstock.upstream.demo.talk import Message, length_of, reply, said, tool_call

NESTED = {"type": "function", "function": {"name": "nested", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}
FLAT = {"type": "function", "name": "flat", "parameters": {}}
ANTHROPIC = {"name": "claude", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
CUSTOM = {"type": "custom", "custom": {"name": "grammar"}}
HOSTED = {"type": "web_search"}


def messages(*values):
    return msgspec.convert(values, list[Message])


HELLO = messages({"role": "user", "content": "hello"})
RESULTS = [
    {"role": "tool", "content": "sunny"},
    {"role": "user", "content": [{"type": "tool_result", "content": "sunny"}]},
    {"type": "function_call_output", "call_id": "1", "output": "sunny"},
]


def test_what_was_said_last():
    turns = messages(
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "image"}, {"type": "input_text", "text": "third"}]},
        {"role": "assistant", "content": "fourth"},
        {"role": "user", "content": [{"type": "image", "source": {}}]},
    )
    assert said(turns) == "second\nthird"
    assert said([]) == ""


def test_the_whole_input_is_measured():
    assert length_of(HELLO, None, "four") == 9
    assert length_of(messages({"type": "function_call_output", "output": "sunny"}), None) == 5
    assert length_of(HELLO, [FLAT]) == 5 + len(json.dumps([FLAT], separators=(",", ":")))


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "nested"),
        ({"type": "any"}, "nested"),
        ({"type": "function", "function": {"name": "flat"}}, "flat"),
        ({"type": "function", "name": "nested"}, "nested"),
        ({"type": "tool", "name": "claude"}, "claude"),
        ({"type": "custom", "name": "grammar"}, "grammar"),
        ("auto", None),
        (None, None),
        ("none", None),
        ({"type": "none"}, None),
        ({"type": "auto"}, None),
    ],
)
def test_a_tool_is_called_when_it_is_required(choice, name):
    call = tool_call([NESTED, FLAT, ANTHROPIC, CUSTOM, HOSTED], choice, HELLO, PLAIN)
    assert (call.name if call else None) == name


def test_arguments_fit_the_schema():
    assert tool_call([NESTED], "required", HELLO, PLAIN).json == '{"a":"demo"}'
    assert tool_call([ANTHROPIC], {"type": "any"}, HELLO, PLAIN).arguments == {"a": 1}
    assert tool_call([FLAT], "required", HELLO, PLAIN).arguments == {}


def test_the_manners_call_a_tool_until_there_is_a_result():
    manners = Manners(tool=True)
    assert tool_call([FLAT], None, HELLO, manners).name == "flat"
    assert tool_call([], None, HELLO, manners) is None
    for result in RESULTS:
        assert tool_call([FLAT], None, [*HELLO, *messages(result)], manners) is None


def test_a_tool_that_is_not_there_is_refused():
    with pytest.raises(RefusedError):
        tool_call([FLAT], {"type": "function", "name": "other"}, HELLO, PLAIN)


@pytest.mark.parametrize("shape", [None, {"type": "text"}, "odd"])
def test_the_reply_is_the_greeting(shape):
    assert 'You said: "hello"' in reply(HELLO, shape)


def test_the_reply_is_json_when_asked():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert json.loads(reply(HELLO, {"type": "json_object"}))["answer"]
    assert reply(HELLO, {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}) == '{"a":1}'
    assert reply(HELLO, {"type": "json_schema", "schema": schema}) == '{"a":1}'
