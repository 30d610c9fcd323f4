from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Format, Text, ToolResult, Turn
from penstock.upstream.bridges.messages import asks_in

HELLO = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}


def read(**fields: Any) -> Asked:
    return asks_in.read_ask(json.dumps(HELLO | fields).encode())


def refused(**fields: Any) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        read(**fields)
    return caught.value


def test_the_smallest_request():
    asked = asks_in.read_ask(json.dumps(HELLO).encode())
    assert asked == Asked("m", [Turn("user", [Text("Hello")])], output_cap=100)


def test_system_blocks_keep_their_order_and_stay_apart():
    billing = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0"}
    marked = {"type": "text", "text": "You are.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    asked = read(system=[billing, marked, {"type": "text", "text": "Last.", "cache_control": {"type": "ephemeral"}}])
    assert asked.turns[0] == Turn("system", [Text(billing["text"]), Text("You are.", "1h"), Text("Last.", "5m")])
    assert read(system="One.").turns[0] == Turn("system", [Text("One.")])


def test_a_system_turn_in_the_middle_stays_there():
    asked = read(messages=[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}, {"role": "user", "content": "c"}])
    assert [turn.role for turn in asked.turns] == ["user", "system", "user"]


def test_everything_that_bounds_the_answer():
    asked = read(
        stop_sequences=["\n\n", "END"],
        temperature=0.5,
        top_k=40,
        top_p=0.9,
        stream=True,
        metadata={"user_id": "u1"},
        service_tier="standard_only",
    )
    assert (asked.stop, asked.temperature, asked.top_k, asked.top_p, asked.stream) == (["\n\n", "END"], 0.5, 40, 0.9, True)
    assert (asked.user, asked.service_tier) == ("u1", "default")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, Choice("auto")),
        ({"type": "any"}, Choice("required")),
        ({"type": "none"}, Choice("none")),
        ({"type": "tool", "name": "f"}, Choice("named", "f")),
    ],
)
def test_tool_choice(choice, expected):
    assert read(tool_choice=choice).choice == expected
    assert read(tool_choice=choice).parallel is None
    assert read(tool_choice=choice | {"disable_parallel_tool_use": True}).parallel is False


def test_tools():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    mine = {"name": "f", "description": "d", "input_schema": schema, "strict": True, "cache_control": {"type": "ephemeral"}}
    asked = read(
        tools=[mine | {"defer_loading": True, "input_examples": []}, {"type": "custom", "name": "g", "input_schema": {"type": "object"}}]
    )
    first, second = asked.tools
    assert (first.name, first.description, first.schema, first.strict, first.kind, first.cache) == (
        "f",
        "d",
        schema,
        True,
        "function",
        "5m",
    )
    assert (second.name, second.kind) == ("g", "function")
    assert sorted(asked.other) == ["tools.defer_loading", "tools.input_examples"]


@pytest.mark.parametrize("kind", ["web_search_20250305", "bash_20250124", "computer_20250124", "text_editor_20250728", "memory_20250818"])
def test_a_tool_of_anthropics_is_hosted(kind):
    tool = {"type": kind, "name": "x", "max_uses": 5}
    found = read(tools=[tool]).tools[0]
    assert (found.name, found.kind, found.raw) == (kind, "hosted", tool)


def test_thinking():
    assert read(thinking={"type": "enabled", "budget_tokens": 2048}).thinking_tokens == 2048
    assert read(thinking={"type": "adaptive"}).adaptive is True
    assert read(thinking={"type": "disabled"}, output_config={"effort": "low"}).effort == "none"
    assert read(thinking={"type": "disabled"}).shows_thoughts is False
    assert read(thinking={"type": "between_tools"}).effort == "none"
    assert read(thinking={"type": "adaptive", "display": "omitted"}).shows_thoughts is False
    assert read(thinking={"type": "adaptive", "display": "summarized"}).shows_thoughts is True
    assert read().shows_thoughts is None
    assert read(output_config={"effort": "xhigh"}).effort == "xhigh"


def test_formats_old_and_new():
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    assert read(output_config={"format": wanted}).format == Format("schema", schema={"type": "object"})
    assert read(output_format=wanted).format == Format("schema", schema={"type": "object"})
    assert refused(output_config={"format": {"type": "xml"}}).param == "output_config.format.type"


def test_what_claude_code_sends_besides_is_left_out_by_name():
    asked = read(context_management={"edits": []}, betas=["x"], output_config={"task_budget": {"type": "tokens"}}, speed=None)
    assert sorted(asked.other) == ["betas", "context_management", "output_config.task_budget"]


@pytest.mark.parametrize("field", ["mcp_servers", "container", "thread"])
def test_what_only_anthropic_runs_is_refused(field):
    caught = refused(**{field: [{"type": "url"}]})
    assert (caught.code, caught.param) == ("cannot_translate", field)
    assert read(**{field: None}).other == {}


def test_a_mark_for_all_is_put_on_the_last_block():
    asked = read(
        cache_control={"type": "ephemeral", "ttl": "1h"},
        messages=[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}],
    )
    part = asked.turns[0].parts[0]
    assert isinstance(part, ToolResult) and part.cache == "1h"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"system": 5}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tools": [{"description": "no name"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences[0]"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"model": 5}, "model"),
    ],
)
def test_what_makes_no_sense_is_named(fields, param):
    caught = refused(**fields)
    assert (caught.code, caught.param) == ("invalid_request", param)


def test_without_a_bound_the_message_is_anthropics():
    assert refused(max_tokens=None).message == "max_tokens: Field required."


def test_counting_needs_no_bound_and_refuses_nothing():
    asked = asks_in.asked_of({"model": "m", "messages": HELLO["messages"], "mcp_servers": [{}]}, counting=True)
    assert asked.output_cap is None


def test_a_body_nested_too_deeply_is_refused():
    for depth in (300, 900, 990, 1000, 100_000):
        tool = b'{"type":"tool_use","id":"a","name":"f","input":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        body = b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[' + tool + b"]}]}"
        code = ""
        try:
            asks_in.read_ask(body)
        except PenstockError as caught:
            code = caught.code
        assert code in ("", "invalid_json", "invalid_request")


KEYS = st.sampled_from(
    [
        "model",
        "messages",
        "system",
        "max_tokens",
        "tools",
        "tool_choice",
        "stop_sequences",
        "temperature",
        "top_k",
        "stream",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "cache_control",
        "role",
        "content",
        "type",
        "text",
        "source",
        "data",
        "media_type",
        "url",
        "file_id",
        "id",
        "name",
        "input",
        "tool_use_id",
        "is_error",
        "signature",
        "budget_tokens",
        "effort",
        "format",
        "schema",
        "title",
        "context",
        "citations",
        "input_schema",
        "strict",
    ]
)
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system",
        "text",
        "image",
        "document",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "search_result",
        "base64",
        "url",
        "file",
        "content",
        "json_schema",
        "enabled",
        "adaptive",
        "auto",
        "any",
        "tool",
        "ephemeral",
        "server_tool_use",
        "~psk1.e30",
    ]
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2000) | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=300)
@given(st.dictionaries(KEYS, ANY, max_size=8), st.lists(st.fixed_dictionaries({"role": WORDS, "content": ANY}), max_size=3))
def test_nothing_but_refusals_comes_of_any_json(fields, messages):
    for body in (fields, HELLO | fields, HELLO | {"messages": messages}):
        try:
            assert isinstance(asks_in.read_ask(json.dumps(body).encode()), Asked)
        except PenstockError:
            pass


@given(st.binary(max_size=60))
def test_nothing_but_refusals_comes_of_any_bytes(body):
    with pytest.raises(PenstockError):
        asks_in.read_ask(body)
