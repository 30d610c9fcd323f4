from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.workers.calls import LEAK_LIMIT, Leak, argument_text, leaked, new_id, whole_calls

TOOLS = frozenset(("weather", "time"))
CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'


def test_ids_are_new():
    assert new_id() != new_id() and new_id().startswith("call_")


def test_arguments_are_text():
    assert [argument_text(value) for value in ('{"a":1}', {"a": 1}, None, 7)] == ['{"a":1}', '{"a":1}', "", "7"]


def test_calls_of_either_shape():
    found = whole_calls(
        [{"name": "a", "arguments": {"x": 1}}, {"id": "call_1", "function": {"name": "b"}}, {"function": {}}, 7, {"name": 7}]
    )
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in found] == [("a", '{"x":1}'), ("b", "{}")]
    assert found[1]["id"] == "call_1"
    assert whole_calls(None) == [] == whole_calls({"a": 1})


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"\n{CALL}\n",
        f"[{CALL}]",
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<|python_tag|>{CALL}",
        f"[TOOL_CALLS] [{CALL}]",
        '{"type": "function", "name": "weather", "parameters": {"city": "Oslo"}}',
        '{"type": "function", "function": {"name": "weather", "arguments": "{\\"city\\":\\"Oslo\\"}"}}',
        '{"function": "weather", "arguments": {"city": "Oslo"}}',
        '{"tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]}',
    ],
)
def test_text_that_is_a_call(text):
    (call,) = leaked(text, TOOLS)
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("weather", {"city": "Oslo"})
    leak = Leak(TOOLS)
    assert "".join(leak.more(letter) for letter in text) == ""
    assert len(leak.end()[0]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weather",
        f"I call {CALL}",
        f"{CALL} now",
        '{"name": "other", "arguments": {}}',
        '{"name": "weather"}',
        '{"name": "weather", "arguments": {}, "why": "so"}',
        '{"name": "weather", "arguments": [1]}',
        "[]",
        "[1, 2]",
        '{"names": []}',
        '{"tool_calls": [1]}',
        "{",
    ],
)
def test_text_that_is_none(text):
    assert leaked(text, TOOLS) == []
    leak = Leak(TOOLS)
    shown = "".join(leak.more(letter) for letter in text)
    calls, rest = leak.end()
    assert (calls, shown + rest) == ([], text)


def test_prose_is_not_held_back():
    for text in ("H", "{x", '{"na,', '["a"', "<b>", "[T]", "1", '{"city": ', " " * 70):
        leak = Leak(TOOLS)
        assert leak.more(text) == text
        assert not leak.open


def test_without_tools_nothing_is():
    leak = Leak(frozenset())
    assert leak.more('{"name"') == '{"name"'
    assert leaked(CALL, frozenset()) == []


def test_it_does_not_hold_for_ever():
    leak = Leak(TOOLS)
    assert leak.more('{"name": "') == ""
    long = "x" * LEAK_LIMIT
    assert leak.more(long) == '{"name": "' + long


@given(st.lists(st.text(alphabet='{["name: ]}<tool_call>|', max_size=8), max_size=10))
def test_no_text_is_lost(pieces):
    leak = Leak(TOOLS)
    shown = "".join(leak.more(piece) for piece in pieces)
    calls, rest = leak.end()
    assert calls or shown + rest == "".join(pieces)
