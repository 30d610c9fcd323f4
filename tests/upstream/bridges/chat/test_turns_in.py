from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat import details
from penstock.upstream.bridges.chat.turns_in import Turns, signature_of
from penstock.upstream.bridges.conversation import Image, Refusal, Text, Thought, ToolCall, ToolResult, Turn


def read(*messages: dict, customs: frozenset[str] = frozenset()) -> list[Turn]:
    return Turns(customs).read(list(messages))


def call(call_id: str = "a", name: str = "f", arguments: object = "{}", **more) -> dict:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}} | more


def test_system_and_developer_keep_their_order_and_their_place():
    turns = read(
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "system", "content": "later"},
    )
    assert turns == [
        Turn("system", [Text("one")]),
        Turn("system", [Text("two"), Text("three")]),
        Turn("user", [Text("hi")], "ann"),
        Turn("system", [Text("later")]),
    ]


def test_an_assistant_with_all_that_it_may_say():
    message = {"role": "assistant", "content": "So", "refusal": "No", "reasoning_content": "hm", "tool_calls": [call()]}
    assert read(message) == [Turn("assistant", [Thought("hm"), Text("So"), Refusal("No"), ToolCall("a", "f", "{}")])]


def test_pictures_that_a_model_has_made_come_back():
    shown = {"index": 0, "type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    assert read({"role": "assistant", "content": "so", "images": [shown, 5]})[0].parts == [Text("so"), Image("image/png", "QUJD")]


@pytest.mark.parametrize("message", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_an_assistant_who_says_nothing(message):
    assert read({"role": "assistant"} | message) == [Turn("assistant", [])]


def test_calls_in_all_their_shapes():
    extra = {"google": {"thought_signature": "SIG"}}
    [turn] = read(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                call("a", "f", {"x": 1}, extra_content=extra),
                {"id": "b", "type": "custom", "custom": {"name": "c", "input": "free"}},
                {"id": "c", "type": "function", "name": "flat", "arguments": "{}"},
                call("d", "patch", "*** Begin"),
                {"type": "function", "function": {"name": "idless"}},
            ],
        },
        customs=frozenset(("patch",)),
    )
    assert turn.parts == [
        ToolCall("a", "f", '{"x":1}', signature="SIG"),
        ToolCall("b", "c", "free", custom=True),
        ToolCall("c", "flat", "{}"),
        ToolCall("d", "patch", "*** Begin", custom=True),
        ToolCall("call_of_turn_1", "idless", ""),
    ]


def test_results_of_calls_that_were_made_together_are_one_turn():
    turns = read(
        {"role": "assistant", "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "name": "f"},
        {"role": "user", "content": "go on"},
    )
    assert turns[1:] == [
        Turn("user", [ToolResult("a", [Text("1")]), ToolResult("b", [Text("2")], "f")]),
        Turn("user", [Text("go on")]),
    ]


def test_function_calls_of_old_find_their_results():
    turns = read(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    )
    [made], [result] = turns[0].parts, turns[1].parts
    assert (made.name, made.id) == (result.name, result.id)


def test_thoughts_come_back_to_whose_they_are():
    theirs = Thought("hm", "SIG", wire="messages")
    [turn] = read({"role": "assistant", "content": "x", "reasoning_content": "hm", "reasoning_details": [details.sealed(theirs, 0)]})
    assert turn.parts == [theirs, Text("x")]


def test_marks_of_messages_are_on_their_last_part():
    mark = {"type": "ephemeral", "ttl": "1h"}
    turns = read(
        {"role": "user", "content": "a", "cache_control": mark},
        {"role": "tool", "tool_call_id": "a", "content": "b", "cache_control": mark},
    )
    assert turns == [Turn("user", [Text("a", "1h")]), Turn("user", [ToolResult("a", [Text("b")], cache="1h")])]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hi", "messages[0]"),
        ({"role": "robot"}, "messages[0].role"),
        ({}, "messages[0].role"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "hologram"}]}, "messages[0].content[0].type"),
        ({"role": "system", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}, "messages[0].content"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]}, "messages[0].tool_calls[0].function.name"),
        ({"role": "assistant", "tool_calls": "x"}, "messages[0].tool_calls"),
        ({"role": "assistant", "audio": {"id": "x"}}, "messages[0].audio"),
    ],
)
def test_errors_say_where(message, param):
    with pytest.raises(PenstockError) as caught:
        read(message)
    assert caught.value.param == param


def test_signatures():
    assert signature_of({"google": {"thought_signature": "x"}}) == "x"
    assert signature_of(None) == signature_of({"google": 5}) == signature_of({"google": {"thought_signature": 5}}) == ""
