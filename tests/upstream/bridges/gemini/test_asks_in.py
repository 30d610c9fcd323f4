"""Requests to Gemini, as its SDK writes them and as anybody might."""

from __future__ import annotations

import json

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Format, Image, Text, Tool, Turn
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.gemini import SIDE
from penstock.upstream.bridges.gemini.asks_in import read_ask

HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def asked(**fields) -> Asked:
    return read_ask(json.dumps(HI | fields).encode())


def test_what_the_sdk_sends_is_read(sdk, door):
    door.answers(b'{"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"},"finishReason":"STOP"}]}')
    weather = types.FunctionDeclaration(
        name="weather",
        description="d",
        parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]),
    )
    sdk.models.generate_content(
        model="gemini-x",
        contents=["look", types.Part.from_bytes(data=b"\xff\xfe\xfd", mime_type="image/png")],
        config=types.GenerateContentConfig(
            system_instruction="be nice",
            temperature=0.5,
            top_p=0.9,
            top_k=40,
            max_output_tokens=100,
            stop_sequences=["END"],
            seed=7,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            response_mime_type="application/json",
            response_json_schema={"type": "object"},
            thinking_config=types.ThinkingConfig(thinking_budget=2048, include_thoughts=True),
            tools=[types.Tool(function_declarations=[weather])],
            tool_config=types.ToolConfig(
                function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["weather"])
            ),
            safety_settings=[types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_NONE")],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    found = read_ask(door.heard[0][1])
    assert list(found.other) == ["safetySettings"]
    found.other = {}
    assert found == Asked(
        "",
        [Turn("system", [Text("be nice")]), Turn("user", [Text("look"), Image("image/png", "//79")])],
        [Tool("weather", "d", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})],
        Choice("named", "weather"),
        output_cap=100,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=["END"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        thinking_tokens=2048,
        shows_thoughts=True,
        format=Format("schema", "response", {"type": "object"}),
    )


def test_a_sloppy_client_is_understood():
    found = read_ask(
        json.dumps(
            {
                "contents": {"parts": {"text": "hi"}},
                "system_instruction": "be nice",
                "generation_config": {
                    "max_output_tokens": 5.0,
                    "response_mime_type": "application/json",
                    "response_schema": {"type": "STRING"},
                },
                "tools": {"function_declarations": {"name": "f"}},
                "serviceTier": "SERVICE_TIER_FLEX",
                "labels": {"a": "b"},
                "store": True,
            }
        ).encode()
    )
    assert found.turns == [Turn("system", [Text("be nice")]), Turn("user", [Text("hi")])]
    assert (found.output_cap, found.format) == (5, Format("schema", "response", {"type": "string"}))
    assert (found.tools, found.service_tier, found.metadata, found.store) == ([Tool("f")], "flex", {"a": "b"}, True)


@pytest.mark.parametrize(
    ("calling", "choice", "names"),
    [
        ({"mode": "AUTO"}, Choice("auto"), ["f", "g"]),
        ({"mode": "VALIDATED"}, Choice("auto"), ["f", "g"]),
        ({"mode": "none"}, Choice("none"), ["f", "g"]),
        ({"mode": "ANY"}, Choice("required"), ["f", "g"]),
        ({"mode": "ANY", "allowedFunctionNames": ["g"]}, Choice("named", "g"), ["f", "g"]),
        ({"mode": "ANY", "allowedFunctionNames": ["g", "h"]}, Choice("required"), ["g"]),
        ({}, None, ["f", "g"]),
    ],
)
def test_how_free_the_model_is(calling, choice, names):
    found = asked(tools=[{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}], toolConfig={"functionCallingConfig": calling})
    assert found.choice == choice
    assert [tool.name for tool in found.tools] == names


@pytest.mark.parametrize(
    ("thinking", "read"),
    [
        ({"thinkingBudget": 0}, ("none", None, False)),
        ({"thinkingBudget": -1}, (None, None, True)),
        ({"thinkingBudget": 9}, (None, 9, False)),
        ({"thinkingLevel": "HIGH"}, ("high", None, False)),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, (None, None, False)),
    ],
)
def test_how_hard_to_think(thinking, read):
    found = asked(generationConfig={"thinkingConfig": thinking})
    assert (found.effort, found.thinking_tokens, found.adaptive) == read


def test_tools_that_are_googles_are_hosted():
    assert asked(tools=[{"googleSearch": {}, "codeExecution": {}}]).tools == [
        Tool("googleSearch", kind="hosted", raw={"googleSearch": {}}),
        Tool("codeExecution", kind="hosted", raw={"codeExecution": {}}),
    ]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_request", "contents"),
        ({"contents": []}, "invalid_request", "contents"),
        ({"contents": ["x"]}, "invalid_request", "contents[0]"),
        ({"contents": [{"role": "system"}]}, "invalid_request", "contents[0].role"),
        (HI | {"cachedContent": "cachedContents/x"}, "cannot_translate", "cachedContent"),
        (HI | {"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}, "cannot_translate", "generationConfig.responseModalities"),
        (HI | {"generationConfig": {"responseMimeType": "text/x.enum"}}, "cannot_translate", "generationConfig.responseMimeType"),
        (HI | {"generationConfig": {"responseMimeType": "image/png"}}, "invalid_request", "generationConfig.responseMimeType"),
        (HI | {"generationConfig": {"responseFormat": {}}}, "cannot_translate", "generationConfig.responseFormat"),
        (HI | {"generationConfig": {"temperature": "hot"}}, "invalid_request", "generationConfig.temperature"),
        (HI | {"tools": [{"functionDeclarations": [{}]}]}, "invalid_request", "tools[0].functionDeclarations[0].name"),
        (HI | {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "invalid_request", "toolConfig.functionCallingConfig.mode"),
    ],
)
def test_what_is_refused(body, code, param):
    with pytest.raises(PenstockError) as caught:
        read_ask(json.dumps(body).encode())
    assert (caught.value.code, caught.value.param) == (code, param)


def test_choices_and_logprobs():
    found = asked(generationConfig={"candidateCount": 2, "responseLogprobs": True, "logprobs": 3, "speechConfig": {"a": 1}})
    assert (found.choices, found.logprobs, found.other) == (2, 3, {"speechConfig": {"a": 1}})


KEYS = st.sampled_from(
    [
        "contents", "parts", "role", "text", "thought", "thoughtSignature", "functionCall", "functionResponse", "name", "args",
        "id", "response", "inlineData", "mimeType", "data", "fileData", "fileUri", "systemInstruction", "tools",
        "functionDeclarations", "parameters", "toolConfig", "functionCallingConfig", "mode", "allowedFunctionNames",
        "generationConfig", "topK", "thinkingConfig", "thinkingBudget", "responseMimeType", "responseSchema", "stopSequences",
        "candidateCount", "executableCode", "safetySettings", "type", "items",
    ]
)  # fmt: skip
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["user", "ANY", "image/png", "", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
PART = st.dictionaries(KEYS, ANY, max_size=3)
CONTENT = st.fixed_dictionaries(
    {"parts": st.lists(PART, max_size=3)}, optional={"role": st.sampled_from(["user", "model", "function", "x"])}
)


@given(
    st.one_of(
        st.dictionaries(KEYS, ANY, max_size=5),
        st.builds(
            lambda contents, rest: rest | {"contents": contents}, st.lists(CONTENT, max_size=3), st.dictionaries(KEYS, ANY, max_size=3)
        ),
    )
)
def test_any_json_is_read_or_refused_and_what_is_read_can_be_written(body):
    try:
        found = read_ask(json.dumps(body).encode())
        written = SIDE.write_ask(found, "gemini-3-flash", Dropped())
    except PenstockError as error:
        assert error.code in ("invalid_request", "invalid_json", "cannot_translate")  # noqa: PT017  any of these is right
        return
    again = read_ask(written)
    assert [turn.role for turn in again.turns] == [turn.role for turn in read_ask(SIDE.write_ask(again, "gemini-3-flash", Dropped())).turns]


@given(st.binary(max_size=30))
def test_any_bytes(body):
    with pytest.raises(PenstockError):
        read_ask(body)
