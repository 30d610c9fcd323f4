from __future__ import annotations

import pytest

from penstock.upstream.bridges.conversation import Choice, Tool
from penstock.upstream.bridges.responses.tools_in import Tools, choice_of, flat_name

SCHEMA = {"type": "object"}


def read(*entries) -> Tools:
    tools = Tools()
    tools.all(list(entries), "tools")
    return tools


def test_functions_flat_and_nested():
    flat = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
    nested = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}
    assert read(flat).tools == read(nested).tools == [Tool("f", "d", SCHEMA, True)]
    assert read({"name": "g"}).tools == [Tool("g")]


def test_custom_tools_keep_their_grammar():
    form = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    (tool,) = read({"type": "custom", "name": "p", "format": form}).tools
    assert tool.kind == "custom" and tool.raw == {"type": "custom", "name": "p", "format": form}


def test_hosted_tools_are_kept_whole():
    raw = {"type": "web_search", "external_web_access": True}
    assert read(raw, {"type": "local_shell"}).tools == [
        Tool("web_search", kind="hosted", raw=raw),
        Tool("local_shell", kind="hosted", raw={"type": "local_shell"}),
    ]


def test_tools_of_a_namespace_are_taken_out_of_it():
    tools = read(
        {
            "type": "namespace",
            "name": "mcp__files",
            "description": "d",
            "tools": [{"type": "function", "name": "read", "parameters": SCHEMA}, {"type": "custom", "name": "edit"}],
        }
    )
    assert [(tool.name, tool.kind) for tool in tools.tools] == [("mcp__files__read", "function"), ("mcp__files__edit", "custom")]
    assert tools.homes == {"mcp__files__read": ("mcp__files", "read"), "mcp__files__edit": ("mcp__files", "edit")}


def test_a_search_for_tools_is_not_needed_where_all_are_given():
    tools = read({"type": "tool_search"}, {"type": "function", "name": "f", "defer_loading": True})
    assert tools.tools == [Tool("f")] and tools.dropped == ["tools.tool_search"]


def test_the_clients_own_search_for_tools_is_a_function():
    tools = read({"type": "tool_search", "execution": "client", "description": "d", "parameters": SCHEMA})
    assert tools.tools == [Tool("tool_search", "d", SCHEMA)] and tools.searches


def test_a_tool_that_was_found_again_is_there_once():
    assert read({"type": "function", "name": "f"}, {"type": "function", "name": "f", "description": "again"}).tools == [Tool("f")]


def test_codexs_search_in_what_openai_keeps_of_the_web_is_left_out():
    tools = read({"type": "web_search", "external_web_access": False})
    assert tools.tools == [] and tools.dropped == ["tools.web_search"]


def test_flat_names_fit_and_stay_apart():
    assert flat_name("", "any.name") == "any.name" and flat_name("mcp__a__", "b") == "mcp__a__b"
    long = [flat_name("n" * 60, f"tool{number}") for number in range(2)]
    assert len(set(long)) == 2 and all(len(name) <= 64 for name in long)


TOOLS = [Tool("f"), Tool("p", kind="custom"), Tool("web_search", kind="hosted")]


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, None),
        ("auto", Choice("auto")),
        ("none", Choice("none")),
        ("required", Choice("required")),
        ({"type": "function", "name": "f"}, Choice("named", "f")),
        ({"type": "function", "function": {"name": "f"}}, Choice("named", "f")),
        ({"type": "function", "name": "f", "namespace": "n"}, Choice("named", "n__f")),
        ({"type": "custom", "name": "p"}, Choice("named", "p")),
        ({"type": "web_search"}, Choice("named", "web_search")),
    ],
)
def test_choices(value, choice):
    assert choice_of(value, TOOLS) == (choice, TOOLS)


def test_allowed_tools_take_the_others_away():
    value = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}
    assert choice_of(value, TOOLS) == (Choice("required"), [TOOLS[0], TOOLS[2]])
    nested = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "custom", "name": "p"}]}}
    assert choice_of(nested, TOOLS) == (Choice("auto"), [TOOLS[1]])


def test_anthropics_word_for_a_schema_is_understood():
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    (tool,) = read({"name": "Edit", "description": "Edit.", "input_schema": schema}).tools
    assert (tool.name, tool.kind, tool.schema) == ("Edit", "function", schema)
