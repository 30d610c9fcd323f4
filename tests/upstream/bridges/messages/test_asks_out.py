from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Document, Format, Image, Text, Thought, Tool, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.messages import SIDE
from penstock.upstream.bridges.messages.asks_out import write_ask
from penstock.upstream.bridges.messages.words import sent_name

USER = Turn("user", [Text("Hello")])
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
SDK = pydantic.TypeAdapter(MessageCreateParamsNonStreaming)


def sent(model: str = "claude-sonnet-4-5", dropped: Dropped | None = None, turns: list[Turn] | None = None, **asked: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(write_ask(Asked("m", turns or [USER], **asked), model, dropped or Dropped()))
    SDK.validate_python(body | {"stream": False})
    return body


def noted(**asked: Any) -> list[str]:
    dropped = Dropped()
    sent(dropped=dropped, **asked)
    return list(dropped.names)


def test_the_smallest_request():
    assert sent() == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }
    assert SIDE.path(Asked("m", []), "x") == ("/v1/messages", b"")


def test_system_turns_before_the_first_word_are_the_system():
    turns = [Turn("system", [Text("a", "1h"), Text("b")]), Turn("system", [Text("c")]), USER, Turn("system", [Text("d")])]
    body = sent(turns=turns)
    assert [block["text"] for block in body["system"]] == ["a", "b", "c"]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert [block["text"] for block in body["messages"][0]["content"]] == ["Hello", "d"]


def test_a_system_turn_alone_is_the_users_word():
    body = sent(turns=[Turn("system", [Text("a")]), Turn("system", [Text("b")])])
    assert [block["text"] for block in body["system"]] == ["a"]
    assert body["messages"][0]["content"][0]["text"] == "b"


def test_tools():
    body = sent(
        tools=[
            Tool("f", "d", SCHEMA, strict=True, cache="5m"),
            Tool("g"),
            Tool("apply_patch", "Patches.", kind="custom", raw={"format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}),
        ]
    )
    first, second, third = body["tools"]
    closed = SCHEMA | {"additionalProperties": False}
    assert first == {"name": "f", "description": "d", "input_schema": closed, "strict": True, "cache_control": {"type": "ephemeral"}}
    assert second == {"name": "g", "input_schema": {"type": "object"}}
    assert third["input_schema"]["required"] == ["input"] and "start: x" in third["description"]
    assert "tool_choice" not in body
    assert "strict" not in sent(model="claude-3-5-haiku-latest", tools=[Tool("f", schema=SCHEMA, strict=True)])["tools"][0]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (Choice("auto"), None, {"type": "auto"}),
        (Choice("auto"), True, {"type": "auto"}),
        (Choice("required"), None, {"type": "any"}),
        (Choice("none"), False, {"type": "none"}),
        (Choice("named", "a.b"), False, {"type": "tool", "name": sent_name("a.b"), "disable_parallel_tool_use": True}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choice(choice, parallel, expected):
    assert sent(tools=[Tool("a.b")], choice=choice, parallel=parallel)["tool_choice"] == expected


def test_a_changed_name_has_an_alias():
    dropped = Dropped()
    sent(tools=[Tool("a.b"), Tool("c")], dropped=dropped)
    assert dropped.aliases == {sent_name("a.b"): "a.b"}


def test_without_tools_there_is_no_choice():
    assert "tool_choice" not in sent(choice=Choice("auto"), parallel=False)


def test_tools_that_were_called_are_declared_and_not_called_again():
    body = sent(
        turns=[USER, Turn("assistant", [ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}")]), Turn("user", [ToolResult("1", [Text("r")])])]
    )
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


def test_a_schema_is_enforced_where_the_model_can_and_told_where_it_cannot():
    wanted = Format("schema", "answer", SCHEMA)
    assert sent(format=wanted)["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}
    for body in (sent(model="glm-4.6", format=wanted), sent(format=Format("schema", schema={"type": "object"}))):
        assert "output_config" not in body and "JSON Schema" in body["system"][-1]["text"]
    assert "JSON object" in sent(format=Format("json"))["system"][-1]["text"]


def test_a_schema_and_an_effort_go_together():
    body = sent(model="claude-opus-5", format=Format("schema", schema=SCHEMA), effort="high")
    assert sorted(body["output_config"]) == ["effort", "format"]


def test_everything_that_bounds_the_answer():
    body = sent(stop=["END", "\n", ""], temperature=0.2, top_k=3, user="u", service_tier="default", stream=True, output_cap=7)
    for name, value in {"stop_sequences": ["END"], "temperature": 0.2, "top_k": 3, "metadata": {"user_id": "u"}, "max_tokens": 7}.items():
        assert body[name] == value
    assert (body["service_tier"], body["stream"]) == ("standard_only", True)


def test_no_more_than_four_marks():
    parts = [Text(str(index), "5m") for index in range(6)]
    body = sent(turns=[Turn("system", [Text("s", "5m")]), Turn("user", [*parts])], tools=[Tool("f", cache="5m")])
    assert json.dumps(body).count("cache_control") == 4
    assert "cache_control" in body["messages"][0]["content"][-1]
    assert "cache_control" not in body["tools"][0]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"verbosity": "low"}, "verbosity"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"store": True}, "store"),
        ({"cache_key": "k"}, "prompt_cache_key"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"stop": ["\n"]}, "stop"),
        ({"other": {"prediction": {}}}, "prediction"),
        ({"temperature": 1.5}, "temperature"),
    ],
)
def test_what_is_left_out_is_named(asked, name):
    assert noted(**asked) == [name]


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"choices": 2}, "n"), ({"logprobs": 0}, "logprobs"), ({"tools": [Tool("web_search", kind="hosted", raw={})]}, "tools")],
)
def test_what_cannot_be_left_out_is_refused(asked, param):
    with pytest.raises(PenstockError) as caught:
        sent(**asked)
    assert (caught.value.code, caught.value.param) == ("cannot_translate", param)


def test_what_cannot_be_written_is_refused():
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"properties": deep}
    for asked in (Asked("m", [USER], tools=[Tool("f", schema=deep, strict=True)]), Asked("m", [Turn("user", [Text("\ud800")])])):
        with pytest.raises(PenstockError) as caught:
            write_ask(asked, "claude-opus-5", Dropped())
        assert caught.value.code == "invalid_request"


def test_a_request_of_a_messages_client_comes_back_as_it_was():
    asked = {
        "model": "claude-opus-5",
        "max_tokens": 1000,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go"}, {"type": "image", "source": {"type": "url", "url": "u"}}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "b"}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "ok"}]}]},
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "medium"},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "stream": True,
    }
    dropped = Dropped()
    assert json.loads(write_ask(SIDE.read_ask(json.dumps(asked).encode()), "claude-opus-5", dropped)) == asked
    assert dropped.header() == b""


PARTS = st.one_of(
    st.builds(Text, st.text(alphabet="ab \n", max_size=4), cache=st.sampled_from([None, "5m", "1h"])),
    st.builds(ToolCall, st.sampled_from(["1", "2"]), st.just("f"), st.sampled_from(["{}", ""])),
    st.builds(ToolResult, st.sampled_from(["1", "2"]), st.lists(st.just(Text("r")), max_size=1)),
    st.builds(Thought, st.just("t"), st.just("s"), wire=st.just("messages")),
    st.just(Image("image/png", "aa")),
    st.just(Document(text="d")),
)
ASKED = st.builds(
    Asked,
    model=st.just("m"),
    turns=st.lists(st.builds(Turn, st.sampled_from(["user", "assistant", "system"]), st.lists(PARTS, max_size=3)), min_size=1, max_size=4),
    tools=st.lists(
        st.builds(Tool, st.sampled_from(["f", "a b"]), schema=st.sampled_from([None, SCHEMA]), strict=st.booleans()), max_size=2
    ),
    choice=st.none() | st.builds(Choice, st.sampled_from(["auto", "none", "required"])),
    output_cap=st.none() | st.integers(1, 9000),
    effort=st.sampled_from([None, "none", "minimal", "low", "xhigh", "max"]),
    thinking_tokens=st.none() | st.integers(0, 50_000),
    temperature=st.none() | st.floats(0, 2),
    format=st.none() | st.builds(Format, st.sampled_from(["json", "schema"]), schema=st.just(SCHEMA)),
)


@settings(max_examples=150)
@given(
    ASKED,
    st.sampled_from(
        ["claude-3-5-haiku", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5", "claude-sonnet-5-5", "claude-fable-5", "kimi-k2"]
    ),
)
def test_any_request_is_one_that_the_sdk_knows_and_the_rules_hold(asked, model):
    body = json.loads(write_ask(asked, model, Dropped()))
    SDK.validate_python(body | {"stream": False})
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
        assert body.get("tool_choice", {}).get("type") not in ("any", "tool")
    if thinking.get("type") in ("enabled", "adaptive"):
        assert "temperature" not in body and "top_k" not in body
    assert json.dumps(body).count("cache_control") <= 4
