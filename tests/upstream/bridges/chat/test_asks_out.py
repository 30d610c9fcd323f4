from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat.asks_in import read_ask
from penstock.upstream.bridges.chat.asks_out import write_ask
from penstock.upstream.bridges.conversation import (
    Asked,
    Audio,
    Choice,
    Document,
    Format,
    Image,
    Refusal,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from penstock.upstream.bridges.dropped import Dropped

HI = [Turn("user", [Text("hi")])]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PARAMS = TypeAdapter(completion_create_params.CompletionCreateParams)


def write(model: str = "vendor-model", turns: list[Turn] | None = None, **fields) -> tuple[dict, list[str]]:
    """The body, which is as the SDK's types have it, and what was dropped."""
    dropped = Dropped()
    body = json.loads(write_ask(Asked("public", turns or HI, **fields), model, dropped))
    PARAMS.validate_python(body)
    return body, list(dropped.names)


def refusal(**fields) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        write(**fields)
    return caught.value


def test_the_least():
    assert write() == ({"model": "vendor-model", "messages": [{"role": "user", "content": "hi"}]}, [])


def test_streams_always_ask_for_their_usage():
    body, _ = write(stream=True, shows_usage=False)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "max_tokens"),
        ("llama-3", "max_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("openai/gpt-5.2-codex", "max_completion_tokens"),
        ("o1", "max_completion_tokens"),
        ("gpt-oss-120b", "max_tokens"),
    ],
)
def test_the_bound_has_the_name_that_the_model_knows(model, name):
    body, _ = write(model, output_cap=9)
    assert body[name] == 9 and len({"max_tokens", "max_completion_tokens"} & body.keys()) == 1


def test_style():
    fields = {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logit_bias": {"5": 1},
        "stop": ["a"],
    }
    body, dropped = write(**fields)
    assert {name: body[name] for name in fields} == fields and dropped == []


def test_what_only_openai_knows_goes_only_there():
    fields = {"verbosity": "low", "user": "u", "service_tier": "flex", "cache_key": "k", "metadata": {"a": "b"}, "store": True}
    body, dropped = write("gpt-5.2", **fields)
    assert dropped == []
    assert (body["verbosity"], body["user"], body["prompt_cache_key"], body["store"]) == ("low", "u", "k", True)
    body, dropped = write("llama-3", **fields)
    assert body.keys() == {"model", "messages"}
    assert dropped == ["verbosity", "user", "service_tier", "prompt_cache_key", "store", "metadata"]


def test_what_is_dropped_is_named():
    _, dropped = write("gpt-5.2", top_k=4, service_tier="standard_only", metadata={"a": "b"}, store=False, other={"min_p": 1, "x y": 2})
    assert dropped == ["service_tier", "metadata", "top_k", "min_p", "xy"]


@pytest.mark.parametrize(
    ("model", "fields", "effort"),
    [
        ("gpt-5.2", {"effort": "xhigh"}, "xhigh"),
        ("gpt-5.2", {"effort": "max"}, "xhigh"),
        ("gpt-5.1", {"effort": "max"}, "high"),
        ("gpt-5-mini", {"effort": "none"}, "minimal"),
        ("o3", {"effort": "minimal"}, "low"),
        ("qwen3", {"effort": "max"}, "high"),
        ("qwen3", {"effort": "none"}, "none"),
        ("deepseek-v4", {"effort": "max"}, "max"),
        ("qwen3", {"thinking_tokens": 2048}, "low"),
        ("qwen3", {"thinking_tokens": 8192}, "medium"),
        ("qwen3", {"thinking_tokens": 8193}, "high"),
        ("qwen3", {"thinking_tokens": 9999, "effort": "low"}, "low"),
        ("qwen3", {"adaptive": True}, None),
        ("gpt-4o", {"effort": "none"}, None),
    ],
)
def test_efforts(model, fields, effort):
    body, dropped = write(model, **fields)
    assert (body.get("reasoning_effort"), dropped) == (effort, [])


def test_models_that_do_not_reason_are_not_told_how_hard():
    body, dropped = write("gpt-4.1", effort="high")
    assert ("reasoning_effort" in body, dropped) == (False, ["reasoning_effort"])


def test_deepseek_has_a_switch():
    body, _ = write("deepseek-v4-pro", effort="none")
    assert (body["thinking"], "reasoning_effort" in body) == ({"type": "disabled"}, False)
    assert write("hosted/deepseek-v4-pro", effort="none")[0]["reasoning_effort"] == "none"


def test_formats():
    assert write(format=Format("json"))[0]["response_format"] == {"type": "json_object"}
    body, _ = write(format=Format("schema", "an answer", SCHEMA, True, "d"))
    schema = body["response_format"]["json_schema"]
    assert schema == {"name": schema["name"], "schema": SCHEMA, "strict": True, "description": "d"}
    assert schema["name"].startswith("an_answer_")


def test_tools():
    tools = [Tool("f", "d", SCHEMA, strict=True), Tool("g")]
    body, _ = write(tools=tools, choice=Choice("named", "f"), parallel=False)
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ({"type": "function", "function": {"name": "f"}}, False)
    assert write(tools=tools, choice=Choice("required"))[0]["tool_choice"] == "required"
    assert write(choice=Choice("auto"), parallel=True)[0].keys() == {"model", "messages"}


def test_custom_tools_are_functions_where_nobody_knows_them():
    raw = {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}
    tool = Tool("c", "d", kind="custom", raw=raw)
    body, _ = write("gpt-5.2", tools=[tool], choice=Choice("named", "c"))
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}
    assert body["tools"] == [{"type": "custom", "custom": {"name": "c", "description": "d", "format": grammar}}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "c"}}
    body, _ = write("llama", tools=[tool], choice=Choice("named", "c"))
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "c"}}


def test_names_that_are_not_allowed_are_changed_and_known_by_their_own():
    dropped = Dropped()
    long = "mcp__" + "x" * 80
    asked = Asked("m", [Turn("assistant", [ToolCall("a", "my.tool", "{}")])], [Tool("my.tool"), Tool(long)], Choice("named", "my.tool"))
    body = json.loads(write_ask(asked, "m", dropped))
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert [dropped.aliases[name] for name in names] == ["my.tool", long] and all(len(name) <= 64 for name in names)
    assert body["tool_choice"]["function"]["name"] == body["messages"][0]["tool_calls"][0]["function"]["name"] == names[0]


def test_marks_are_for_anthropics_models():
    turns = [Turn("system", [Text("s", "1h")]), Turn("user", [Text("a"), Text("b", "5m")])]
    body, _ = write("anthropic/claude-sonnet-5", turns, tools=[Tool("f", cache="5m")])
    assert body["messages"][0]["content"] == [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    assert body["messages"][1]["content"][1]["cache_control"] == body["tools"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in json.dumps(write("gpt-5.2", turns, tools=[Tool("f", cache="5m")])[0])


def test_hosted_tools():
    raw = {"type": "web_search", "search_context_size": "low", "user_location": {"type": "approximate", "city": "Oslo"}}
    tool = Tool("web_search", kind="hosted", raw=raw)
    body, _ = write("gpt-5-search-api", tools=[tool], choice=Choice("auto"))
    place = {"type": "approximate", "approximate": {"city": "Oslo"}}
    assert body["web_search_options"] == {"search_context_size": "low", "user_location": place} and "tools" not in body
    assert "web_search" in refusal(model="gpt-5.2", tools=[tool]).message


@pytest.mark.parametrize("fields", [{"choices": 2}, {"logprobs": 0}, {"tools": [Tool("code_interpreter", kind="hosted", raw={})]}])
def test_what_cannot_be_said_is_refused(fields):
    assert refusal(**fields).code == "cannot_translate"


TURNS = st.lists(
    st.one_of(
        st.builds(Turn, st.just("system"), st.lists(st.builds(Text, st.text(min_size=1)), min_size=1, max_size=2)),
        st.builds(Turn, st.just("user"), st.lists(st.builds(Text, st.text(min_size=1)), min_size=1, max_size=2)),
        st.builds(
            lambda text, name: [
                Turn("assistant", [Text(text), ToolCall("call_" + name, name, "{}")]),
                Turn("user", [ToolResult("call_" + name, [Text(text)])]),
            ],
            st.text(min_size=1),
            st.text("abc", min_size=1, max_size=8),
        ),
    ),
    min_size=1,
    max_size=6,
).map(lambda turns: [turn for one in turns for turn in (one if isinstance(one, list) else [one])])


SHORT = st.text(max_size=4)
PARTS = st.one_of(
    st.builds(Text, SHORT, st.sampled_from([None, "5m", "1h"])),
    st.builds(Image, SHORT, SHORT, SHORT, SHORT, SHORT),
    st.builds(Document, st.sampled_from(["", "text/plain", "application/pdf"]), SHORT, SHORT, SHORT, SHORT, SHORT),
    st.builds(Audio, SHORT, SHORT),
    st.builds(Thought, SHORT, SHORT, SHORT, SHORT, st.sampled_from(["", "chat", "messages"])),
    st.builds(Refusal, SHORT),
    st.builds(ToolCall, SHORT, SHORT, SHORT, st.booleans(), SHORT),
    st.builds(ToolResult, SHORT, st.lists(st.builds(Text, SHORT) | st.builds(Image, SHORT, SHORT), max_size=2), failed=st.booleans()),
)
TOOLS = st.builds(
    Tool,
    SHORT,
    SHORT,
    st.none() | st.dictionaries(SHORT, st.integers() | SHORT, max_size=2),
    kind=st.sampled_from(["function", "custom", "hosted"]),
    raw=st.none() | st.dictionaries(SHORT, SHORT, max_size=2),
)


@settings(max_examples=150)
@given(
    st.lists(st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), st.lists(PARTS, max_size=4), SHORT), max_size=4),
    st.lists(TOOLS, max_size=2),
    st.sampled_from(["gpt-5.2", "gpt-4o", "deepseek-v4", "mistral-large", "anthropic/claude-x", "gemini-3", "m"]),
)
def test_whatever_is_asked_it_is_written_or_refused(turns, tools, model):
    dropped = Dropped()
    try:
        body = json.loads(write_ask(Asked("m", turns, tools, Choice("named", "x")), model, dropped))
    except PenstockError as error:
        assert error.code == "cannot_translate"  # noqa: PT017  only if it raises
        return
    roles = [message["role"] for message in body["messages"]]
    assert set(roles) <= {"system", "user", "assistant", "tool"}


@given(TURNS)
def test_what_is_written_is_read_again(turns):
    asked = read_ask(write_ask(Asked("m", turns), "m", Dropped()))
    joined: list[Turn] = []
    for turn in turns:  # results that follow each other are read as one turn
        if joined and all(isinstance(part, ToolResult) for part in (*turn.parts, *joined[-1].parts)):
            joined[-1].parts += turn.parts
        else:
            joined.append(Turn(turn.role, list(turn.parts)))
    assert asked.turns == joined
