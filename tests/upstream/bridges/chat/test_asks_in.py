from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat.asks_in import ChatAsked, read_ask
from penstock.upstream.bridges.conversation import Choice, Format, Text, Tool, ToolCall, Turn

HI = [{"role": "user", "content": "hi"}]


def read(**fields) -> ChatAsked:
    return read_ask(json.dumps({"model": "gpt-x", "messages": HI} | fields).encode())


def refused(**fields) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        read(**fields)
    return caught.value


def code_of(body: bytes) -> str:
    """The code of the error that a body raises; empty if it can be read."""
    try:
        read_ask(body)
    except PenstockError as error:
        return error.code
    return ""


def test_the_least():
    assert read() == ChatAsked("gpt-x", [Turn("user", [Text("hi")])], shows_usage=False)
    assert read(temperature=None, tools=None, stop=None, metadata=None, foo=None) == read()


def test_a_model_may_be_missing_for_the_wire_has_looked_at_it():
    assert read(model=None).model == ""


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_bounds(name):
    assert read(**{name: 5}).output_cap == 5
    assert read(**{name: 5.0}).output_cap == 5
    assert read(**{name: 0}).output_cap is read(**{name: -1}).output_cap is None
    assert refused(**{name: "5"}).param == name


def test_the_newer_bound_counts():
    assert read(max_tokens=5, max_completion_tokens=9).output_cap == 9


def test_stops():
    assert read(stop="a").stop == ["a"]
    assert read(stop=["a", "", "b"]).stop == ["a", "b"]
    assert refused(stop=[1]).param == refused(stop=5).param == "stop"


def test_streams_and_their_usage():
    assert (read(stream=True).stream, read(stream=True).shows_usage) == (True, False)
    assert read(stream=True, stream_options={"include_usage": True}).shows_usage
    assert read(stream_options={"include_usage": True}).other == {}
    assert refused(stream="yes").param == "stream"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "high"}, {"effort": "high"}),
        ({"reasoning_effort": "auto"}, {}),
        ({"reasoning": {"effort": "low", "exclude": True}}, {"effort": "low", "shows_thoughts": False}),
        ({"reasoning": {"max_tokens": 2000}}, {"thinking_tokens": 2000}),
        ({"reasoning": {"enabled": True}}, {"effort": "medium"}),
        ({"reasoning": {"enabled": False}}, {"effort": "none"}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"effort": "high", "shows_thoughts": True}),
        ({"include_reasoning": True}, {"shows_thoughts": True}),
        ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, {"thinking_tokens": 4000}),
        ({"thinking": {"type": "enabled"}}, {"adaptive": True}),
        ({"thinking": {"type": "adaptive"}}, {"adaptive": True}),
        ({"thinking": {"type": "disabled"}}, {"effort": "none"}),
    ],
)
def test_reasoning_in_all_its_shapes(fields, expected):
    asked = read(**fields)
    seen = {name: getattr(asked, name) for name in ("effort", "thinking_tokens", "adaptive", "shows_thoughts")}
    assert {name: value for name, value in seen.items() if value not in (None, False) or name in expected} == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format("json")),
        ({"type": "json_object", "schema": {"type": "object"}}, Format("schema", "answer", {"type": "object"})),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True, "description": "d"}},
            Format("schema", "n", {"type": "object"}, True, "d"),
        ),
        ({"type": "json_schema", "json_schema": {"type": "object"}}, Format("schema", "answer", {"type": "object"})),
        ({"type": "json_schema", "schema": {"type": "object"}}, Format("schema", "answer", {"type": "object"})),
    ],
)
def test_formats(given, expected):
    assert read(response_format=given).format == expected


def test_style_and_the_rest():
    asked = read(
        temperature=0.5,
        top_p=1,
        top_k=40,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        logit_bias={"50256": -100},
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        prompt_cache_key="k",
        store=True,
        n=2,
        logprobs=True,
        top_logprobs=3,
        prediction={"type": "content", "content": "x"},
        min_p=0.1,
    )
    assert (asked.temperature, asked.top_p, asked.top_k, asked.seed) == (0.5, 1, 40, 7)
    assert (asked.frequency_penalty, asked.presence_penalty, asked.logit_bias) == (0.1, -0.1, {"50256": -100})
    assert (asked.verbosity, asked.user, asked.metadata, asked.service_tier) == ("low", "u", {"a": "b"}, "flex")
    assert (asked.cache_key, asked.store, asked.choices, asked.logprobs) == ("k", True, 2, 3)
    assert asked.other == {"prediction": {"type": "content", "content": "x"}, "min_p": 0.1}
    assert read(safety_identifier="s").user == "s"
    assert (read(logprobs=True).logprobs, read(logprobs=False, top_logprobs=2).logprobs) == (0, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"),
        ("temperature", True),
        ("top_k", 1.5),
        ("n", 0),
        ("messages", "hi"),
        ("messages", []),
        ("tools", {}),
        ("store", 1),
        ("user", 5),
        ("metadata", []),
        ("reasoning_effort", "extreme"),
        ("response_format", "json"),
        ("tool_choice", "always"),
        ("tool_choice", 5),
    ],
)
def test_what_makes_no_sense_is_named(name, value):
    error = refused(**{name: value})
    assert (error.code, error.param) == ("invalid_request", name)


def test_spoken_answers_cannot_be_had():
    error = refused(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    assert (error.code, error.param) == ("cannot_translate", "modalities")
    assert read(modalities=["text"]).other == {}
    assert read(modalities=["text", "image"]).other == {"modalities": ["text", "image"]}
    assert refused(response_format={"type": "grammar", "grammar": "x"}).code == "cannot_translate"


def test_tools_and_functions():
    asked = read(functions=[{"name": "f", "parameters": {"type": "object"}}], function_call={"name": "f"})
    assert (asked.tools, asked.choice, asked.functions) == ([Tool("f", schema={"type": "object"})], Choice("named", "f"), True)
    assert asked.parallel is False
    assert read(tools=[{"type": "custom", "name": "c"}]).enveloped
    assert not read(tools=[{"type": "custom", "custom": {"name": "c"}}]).enveloped
    assert read(web_search_options={}).tools == [Tool("web_search", kind="hosted", raw={"type": "web_search"})]


def test_cursors_requests_which_are_responses():
    body = {
        "model": "gpt-x",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}, {"type": "custom", "name": "ApplyPatch"}],
    }
    asked = read_ask(json.dumps(body).encode())
    assert isinstance(asked, ChatAsked) and asked.enveloped and asked.shows_usage and asked.stream
    assert [turn.role for turn in asked.turns] == ["system", "user"]
    assert asked.turns[1].parts == [Text("hi")]
    assert [tool.name for tool in asked.tools] == ["f", "ApplyPatch"]
    assert (asked.output_cap, "stream_options" in asked.other) == (50, False)
    body["input"] += [
        {"type": "function_call", "call_id": "a", "name": "ApplyPatch", "arguments": "*** Begin Patch"},
        {"type": "function_call_output", "call_id": "a", "output": "done"},
    ]
    calls = [part for turn in read_ask(json.dumps(body).encode()).turns for part in turn.parts if isinstance(part, ToolCall)]
    assert calls == [ToolCall("a", "ApplyPatch", "*** Begin Patch", custom=True)]
    del body["stream_options"]
    assert not read_ask(json.dumps(body).encode()).shows_usage


def test_who_mixes_anthropics_fields_in_is_understood():
    asked = read(system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}], stop_sequences=["###"])
    assert (asked.turns[0], asked.stop, asked.other) == (Turn("system", [Text("Be brief.", "5m")]), ["###"], {})
    assert refused(system=5).param == "system"
    assert refused(stop_sequences=5).param == "stop_sequences"


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b'{"a":"\xff"}', b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_what_is_not_an_object(body):
    with pytest.raises(PenstockError) as caught:
        read_ask(body)
    assert caught.value.code == "invalid_json"


NAMES = re.findall(
    r"\w+",
    """
    role content type text image_url url file file_data tool_calls function name arguments custom id tool_call_id parameters
    reasoning_details signature data cache_control source input thinking effort json_schema schema allowed_tools tools mode
    """,
)
NAMES_2 = re.findall(
    r"\w+",
    """
    text image_url file input_audio refusal tool_use tool_result thinking image document video_url
    """,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "function"])},
    optional={
        "content": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(NAMES_2)},
                optional=dict.fromkeys(
                    ["text", "image_url", "file", "input_audio", "source", "content", "tool_use_id", "input", "id", "name"], JSON
                ),
            ),
            max_size=3,
        )
        | JSON,
        "tool_calls": st.lists(JSON, max_size=2) | JSON,
        "tool_call_id": st.text(max_size=3),
        "function_call": JSON,
        "reasoning_details": JSON,
        "cache_control": JSON,
        "name": JSON,
    },
)
FIELDS = [
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "reasoning",
    "thinking",
    "stop",
    "stream_options",
    "system",
    "n",
    "web_search_options",
]


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_a_system_prompt_beside_the_messages_comes_first(system):
    first = read(system=system).turns[0]
    assert (first.role, [part.text for part in first.parts]) == ("system", ["Be brief."])
    assert read(system=None).turns[0].role == read(system="").turns[0].role == "user"


@settings(max_examples=150)
@given(st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=4) | JSON}, optional=dict.fromkeys(FIELDS, JSON)))
def test_nothing_but_errors_of_ours_whatever_is_asked(body):
    assert code_of(json.dumps(body).encode()) in ("", "invalid_json", "invalid_request", "cannot_translate")


@given(
    (JSON | st.dictionaries(st.sampled_from(["input", "tools", "text", "model"]), JSON)).map(json.dumps).map(str.encode)
    | st.binary(max_size=20)
)
def test_nor_whatever_the_body_is(body):
    assert code_of(body) in ("", "invalid_json", "invalid_request", "missing_model", "cannot_translate")
