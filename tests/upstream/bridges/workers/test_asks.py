from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.workers.asks import DEFAULT_OUTPUT_TOKENS, DROPS, REFUSES, session_line, write

HELLO = [{"role": "user", "content": "Hello"}]
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
NAMES = ["role", "content", "type", "name", "function", "text"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)  # fmt: skip
FIELDS = st.sampled_from(
    [
        "messages",
        "tools",
        "tool_choice",
        "max_tokens",
        "stream",
        "response_format",
        "temperature",
        "reasoning",
        "user",
        "n",
        "stream_options",
    ]
)


def sent(model="@cf/a/b", **fields):
    return json.loads(write(json.dumps({"model": "public", "messages": HELLO, **fields}).encode(), model, Dropped()).body)


def refused(**fields):
    with pytest.raises(PenstockError) as error:
        sent(**fields)
    return error.value.code, error.value.param


def test_what_need_not_be_changed_stays():
    assert sent(temperature=0.5, lora="x", options={"rejectIfBusy": True}, seed=7, stop="a", new_field=[1]) == {
        "model": "@cf/a/b", "messages": HELLO, "temperature": 0.5, "lora": "x", "options": {"rejectIfBusy": True}, "seed": 7, "stop": "a",
        "new_field": [1], "max_tokens": DEFAULT_OUTPUT_TOKENS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "cap"),
    [
        ({}, DEFAULT_OUTPUT_TOKENS),
        ({"max_tokens": None}, DEFAULT_OUTPUT_TOKENS),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6, "max_tokens": 5}, 6),
        ({"max_output_tokens": 7.0}, 7),
        ({"max_tokens": "8"}, 8),
    ],
)
def test_the_bound_of_the_output(fields, cap):
    found = sent(**fields)
    assert found["max_tokens"] == cap
    assert not {"max_completion_tokens", "max_output_tokens"} & found.keys()


def test_usage_is_asked_for_in_streams():
    for options in (None, {}, {"include_usage": False}):
        made = write(json.dumps({"messages": HELLO, "stream": True, "stream_options": options}).encode(), "m", Dropped())
        assert json.loads(made.body)["stream_options"] == {"include_usage": True}
        assert (made.stream, made.shows_usage) == (True, False)
    assert "stream_options" not in sent(stream_options={"include_usage": True})


@pytest.mark.parametrize(
    ("given_choice", "choice"),
    [
        ("any", "required"),
        ("auto", "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "f"}}]}}, "required"),
    ],
)
def test_the_choice_of_tools(given_choice, choice):
    found = sent(tools=[FUNCTION], tool_choice=given_choice)
    assert found["tool_choice"] == choice and len(found["tools"]) == 1


def test_tools():
    flat = {"type": "function", "name": "g", "strict": True, "description": None}
    made = write(json.dumps({"messages": HELLO, "tools": [FUNCTION, flat]}).encode(), "m", Dropped())
    assert json.loads(made.body)["tools"][1] == {
        "type": "function",
        "function": {"name": "g", "parameters": {"type": "object", "properties": {}}},
    }
    assert made.tools == {"f", "g"}
    assert "tool_choice" not in sent(tools=[], tool_choice="auto")
    only = sent(tools=[FUNCTION, flat], tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]})
    assert [tool["function"]["name"] for tool in only["tools"]] == ["g"]


def test_schemas_are_bare_for_cloudflares_own_models():
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}}}
    assert sent(response_format=wanted)["response_format"] == {"type": "json_schema", "json_schema": {"type": "object"}}
    assert sent(model="openai/gpt-5", response_format=wanted)["response_format"] == wanted
    assert sent(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}
    assert "response_format" not in sent(response_format={"type": "text"})


def test_effort():
    assert sent(reasoning={"effort": "low"})["reasoning_effort"] == "low"
    assert sent(reasoning={"effort": "low"}, reasoning_effort="high")["reasoning_effort"] == "high"
    assert "reasoning" not in sent(reasoning={"summary": "auto"})
    assert [sent(reasoning_effort=effort)["reasoning_effort"] for effort in ("minimal", "low", "xhigh", "max")] == [
        "low",
        "low",
        "high",
        "high",
    ]
    never = sent(reasoning_effort="none", chat_template_kwargs={"a": 1})
    assert never["chat_template_kwargs"] == {"a": 1, "enable_thinking": False} and "reasoning_effort" not in never


def test_numbers_as_text():
    assert sent(temperature="0.5", top_k="4") | {"temperature": 0.5, "top_k": 4} == sent(temperature="0.5", top_k="4")
    assert refused(temperature="warm") == ("invalid_request", "temperature")
    assert refused(temperature="nan") == ("invalid_request", "temperature")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ],
)
def test_what_is_refused(fields, param):
    assert refused(**fields) == ("cannot_translate", param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": [1]}, "max_tokens"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_makes_no_sense(fields, param):
    assert refused(**fields) == ("invalid_request", param)


def test_what_is_dropped_is_noted():
    dropped = Dropped()
    body = {"messages": HELLO, **{name: {} for name in DROPS}, **dict.fromkeys(REFUSES), "n": 1, "logprobs": False}
    assert not {*DROPS, *REFUSES} & json.loads(write(json.dumps(body).encode(), "m", dropped).body).keys()
    assert list(dropped.names) == list(DROPS)


def test_the_session_says_nothing_of_who():
    assert session_line("") == b""
    assert b"alice" not in session_line("alice@example.com\r\nx: y")
    assert session_line("a").count(b"\r\n") == 1


@given(st.dictionaries(FIELDS, JSON, max_size=5))
def test_only_refusals_escape(fields):
    with contextlib.suppress(PenstockError):
        sent(**fields)
