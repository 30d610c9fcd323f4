from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat.tools_in import choice, function_call, functions, tools, web_search
from penstock.upstream.bridges.conversation import Choice, Tool

SCHEMA = {"type": "object", "properties": {}}
F, G = Tool("f"), Tool("g")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
            Tool("f", "d", SCHEMA, True),
        ),
        ({"type": "function", "name": "f", "parameters": SCHEMA}, Tool("f", schema=SCHEMA)),
        ({"name": "f", "description": "d", "input_schema": SCHEMA}, Tool("f", "d", SCHEMA)),
        ({"type": "custom", "name": "f", "input_schema": SCHEMA}, Tool("f", schema=SCHEMA)),
        (
            {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}},
            Tool("f", cache="5m"),
        ),
    ],
)
def test_functions_nested_flat_and_as_anthropic_has_them(given, expected):
    assert tools([given, None], "tools") == [expected]


@pytest.mark.parametrize(
    "given", [{"type": "custom", "custom": {"name": "c", "description": "d"}}, {"type": "custom", "name": "c", "description": "d"}]
)
def test_custom_tools(given):
    assert tools([given], "tools") == [Tool("c", "d", kind="custom", raw=given)]


def test_hosted_tools_are_kept():
    given = {"type": "web_search_preview", "search_context_size": "low"}
    assert tools([given], "tools") == [Tool("web_search_preview", kind="hosted", raw=given)]


def test_searching_the_web_is_a_hosted_tool():
    place = {"type": "approximate", "approximate": {"city": "Oslo"}}
    raw = {"type": "web_search", "search_context_size": "low", "user_location": {"type": "approximate", "city": "Oslo"}}
    assert web_search({"search_context_size": "low", "user_location": place}).raw == raw


def test_functions_of_old():
    assert functions([{"name": "f", "parameters": SCHEMA}]) == [Tool("f", schema=SCHEMA)]
    assert function_call(None) is None
    assert function_call("none") == Choice("none")
    assert function_call({"name": "f"}) == Choice("named", "f")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("auto", Choice("auto")),
        ("none", Choice("none")),
        ("required", Choice("required")),
        ("any", Choice("required")),
        ({"type": "any"}, Choice("required")),
        ({"type": "auto"}, Choice("auto")),
        ({"type": "function", "function": {"name": "f"}}, Choice("named", "f")),
        ({"type": "function", "name": "f"}, Choice("named", "f")),
        ({"function": {"name": "f"}}, Choice("named", "f")),
        ({"type": "custom", "custom": {"name": "f"}}, Choice("named", "f")),
        ({"type": "tool", "name": "f"}, Choice("named", "f")),
        ({"type": "web_search_preview"}, Choice("named", "web_search_preview")),
    ],
)
def test_choices(given, expected):
    assert choice(given, [F, G]) == (expected, [F, G])


@pytest.mark.parametrize(
    "given",
    [
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
    ],
)
def test_allowed_tools_are_those_that_are_left(given):
    assert choice(given, [F, G]) == (Choice("required"), [G])


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (lambda: tools([5], "tools"), "tools[0]"),
        (lambda: tools([{"type": "function"}], "tools"), "tools[0].name"),
        (lambda: tools([{"type": "function", "function": {"name": "f", "parameters": []}}], "tools"), "tools[0].function.parameters"),
        (lambda: functions([{}]), "functions[0].name"),
        (lambda: function_call("sometimes"), "function_call"),
        (lambda: choice("sometimes", []), "tool_choice"),
        (lambda: choice({"type": "function", "function": {}}, []), "tool_choice.function.name"),
        (lambda: choice({"type": "allowed_tools", "allowed_tools": {"mode": "x"}}, []), "tool_choice.allowed_tools.mode"),
        (lambda: choice({"type": "allowed_tools", "tools": [5]}, []), "tool_choice.tools[0]"),
    ],
)
def test_errors_say_where(call, param):
    with pytest.raises(PenstockError) as caught:
        call()
    assert caught.value.param == param
