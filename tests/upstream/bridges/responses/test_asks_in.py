from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_responses import JSON
from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Format, Text, Turn
from penstock.upstream.bridges.responses.asks_in import ResponsesAsked, read_ask


def read(**fields) -> Asked:
    return read_ask(json.dumps({"model": "m", "input": "Hi", **fields}).encode())


def refused(body) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        read_ask(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


def test_what_codex_sends_is_read():
    asked = read(
        instructions="You are Codex.",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules"}]},
            {"role": "user", "content": "Fix it"},
        ],
        tools=[
            {"type": "function", "name": "exec_command", "description": "d", "strict": False, "parameters": {"type": "object"}},
            {"type": "custom", "name": "apply_patch", "description": "p", "format": {"type": "text"}},
        ],
        tool_choice="auto", parallel_tool_calls=True, reasoning={"effort": "high", "summary": "auto"}, store=False, stream=True,
        include=["reasoning.encrypted_content"], prompt_cache_key="thread", text={"verbosity": "low"}, service_tier="priority",
        client_metadata={"x": "y"}, generate=False, stream_options={"include_obfuscation": False},
    )  # fmt: skip
    assert [(turn.role, turn.parts[0].text) for turn in asked.turns] == [
        ("system", "You are Codex."),
        ("system", "Rules"),
        ("user", "Fix it"),
    ]
    assert [(tool.name, tool.kind) for tool in asked.tools] == [("exec_command", "function"), ("apply_patch", "custom")]
    assert asked.choice == Choice("auto") and asked.parallel is True and asked.stream is True and asked.store is None
    assert (asked.effort, asked.shows_thoughts, asked.verbosity) == ("high", True, "low")
    assert (asked.cache_key, asked.service_tier) == ("thread", "priority")
    assert list(asked.other) == ["client_metadata"]


def test_plain_text_is_one_turn_of_the_user():
    assert read().turns == [Turn("user", [Text("Hi")])]


def test_numbers_and_names():
    asked = read(
        max_output_tokens=100,
        temperature=0,
        top_p=0.5,
        user="u",
        metadata={"a": "b"},
        max_tool_calls=3,
        truncation="auto",
        surprise=1,
        nothing=None,
    )
    assert (asked.output_cap, asked.temperature, asked.top_p, asked.user, asked.metadata) == (100, 0.0, 0.5, "u", {"a": "b"})
    assert sorted(asked.other) == ["max_tool_calls", "surprise", "truncation"]
    assert read(truncation="disabled").other == {} and read(safety_identifier="s").user == "s"
    assert read(include=["web_search_call.results"], top_logprobs=2).other == {"include.web_search_call.results": True, "top_logprobs": 2}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format("json")),
        (
            {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
            Format("schema", "n", {"type": "object"}, True),
        ),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "description": "d"}}, Format("schema", "n", {}, None, "d")),
    ],
)
def test_formats(form, expected):
    assert read(text={"format": form}).format == expected


def test_a_model_may_be_missing():
    assert read_ask(b'{"input":"Hi"}').model == ""


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0]"),
    ],
)
def test_what_needs_openais_memory_is_refused_with_a_way_out(fields, param):
    error = refused({"model": "m", "input": "Hi", **fields})
    assert (error.code, error.param) == ("cannot_translate", param)
    assert "not available" in error.message and ("Send" in error.message or "Leave" in error.message)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"type": "nonsense"}]}, "input[0].type"),
        ({"input": [{"role": "critic", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_smell"}]}]}, "input[0].content[0].type"),
        ({"instructions": ["x"]}, "instructions"),
        ({"tools": "x"}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"metadata": []}, "metadata"),
        ({"model": []}, "model"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields, param):
    error = refused({"model": "m", "input": "Hi", **fields})
    assert (error.code, error.param) == ("invalid_request", param)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"input": "\xff"}', b'{"input":' + b"[" * 100_000])
def test_what_is_not_json_is_refused(body):
    assert refused(body).code == "invalid_json"


_FIELDS = st.sampled_from(
    [
        *("input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens", "reasoning", "text", "temperature"),
        *("top_p", "include", "stream", "store", "metadata", "user", "prompt_cache_key", "service_tier", "top_logprobs", "model"),
    ]
)
_PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "input_image", "input_file", "input_audio", "refusal", "text"]) | JSON},
    optional=dict.fromkeys(("text", "file", "prompt_cache_breakpoint", "input_audio", "detail"), JSON)
    | {"image_url": JSON | st.just("data:x"), "file_data": JSON | st.just("data:,%")},
)
_KINDS = ["message", "function_call", "custom_tool_call_output", "reasoning", "local_shell_call", "shell_call_output", "additional_tools"]
_KINDS += ["tool_search_call", "tool_search_output"]
_ITEM = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("arguments", "output", "summary", "action", "namespace", "input", "status", "tools"), JSON)
    | {
        "type": st.sampled_from(_KINDS) | JSON,
        "role": st.sampled_from(["user", "assistant", "developer"]) | JSON,
        "content": st.lists(_PART, max_size=2) | JSON,
        "call_id": JSON | st.just("c"),
        "name": JSON | st.just("n"),
        "encrypted_content": JSON | st.just("~psk1.!"),
    },
)
_TOOL = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "custom", "namespace", "web_search"]) | JSON},
    optional={"name": JSON, "function": JSON, "custom": JSON, "tools": JSON, "parameters": JSON, "strict": JSON, "format": JSON},
)


_CHOICE = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "allowed_tools", "web_search"]) | JSON}, optional={"name": JSON, "tools": JSON, "mode": JSON}
)


@given(st.dictionaries(_FIELDS, JSON, max_size=4), st.lists(_ITEM, max_size=3) | JSON, st.lists(_TOOL, max_size=2) | JSON, _CHOICE | JSON)
def test_nothing_but_our_own_error_escapes(fields, items, tools, choice):
    body = json.dumps({"model": "m", "input": items, "tools": tools, "tool_choice": choice, **fields})
    try:
        code = "" if isinstance(read_ask(body.encode()), ResponsesAsked) else "nothing"
    except PenstockError as error:
        code = error.code
    assert code in ("", "invalid_request", "invalid_json", "cannot_translate")
