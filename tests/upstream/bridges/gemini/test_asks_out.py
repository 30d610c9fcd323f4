"""Requests to Google: its SDK's types take them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from google.genai import types

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Format, Image, Text, Tool, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.gemini import SIDE
from penstock.upstream.bridges.gemini.asks_out import DROPS, write_ask

HI = [Turn("user", [Text("hi")])]
SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}


def written(asked: Asked, model: str = "gemini-2.5-flash", dropped: Dropped | None = None) -> dict:
    found = json.loads(write_ask(asked, model, dropped or Dropped()))
    assert found["contents"]
    for content in found["contents"]:
        types.Content.model_validate(content)
    roles = [content["role"] for content in found["contents"]]
    assert roles[0] == "user"
    assert all(one != other for one, other in pairwise(roles))
    for tool in found.get("tools", ()):
        types.Tool.model_validate(tool)
    if "toolConfig" in found:
        types.ToolConfig.model_validate(found["toolConfig"])
    if "generationConfig" in found:
        types.GenerationConfig.model_validate(found["generationConfig"])
    return found


def test_a_whole_request():
    dropped = Dropped()
    body = written(
        Asked(
            "m",
            [
                Turn("system", [Text("one"), Text("two")]),
                Turn("system", [Text("three")]),
                Turn("user", [Text("a")]),
                Turn("user", [Text("b")], name="bob"),
                Turn("assistant", [ToolCall("c1", "f", '{"x":1}')]),
                Turn("user", [ToolResult("c1", [Text("r")])]),
                Turn("system", [Text("late")]),
            ],
            [Tool("f", "does f", SCHEMA, strict=True), Tool("g", kind="custom", description="free")],
            Choice("named", "f"),
            parallel=False,
            output_cap=9,
            temperature=0.1,
            top_p=0.2,
            top_k=3,
            stop=["X"],
            effort="low",
            shows_thoughts=True,
            format=Format("schema", "n", SCHEMA),
            seed=1,
            frequency_penalty=0.3,
            presence_penalty=0.4,
            user="u",
            metadata={"a": "b"},
            service_tier="flex",
            verbosity="low",
            store=True,
            cache_key="k",
            logit_bias={"1": 1},
            other={"odd": 1},
        ),
        dropped=dropped,
    )
    assert body["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}, {"text": "three"}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][0]["parts"] == [{"text": "a"}, {"text": "b"}]
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == "f"
    assert body["contents"][2]["parts"][1] == {"text": "late"}
    functions = body["tools"][0]["functionDeclarations"]
    assert functions[0] == {
        "name": "f",
        "description": "does f",
        "parametersJsonSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}},
    }
    assert functions[1]["parametersJsonSchema"]["required"] == ["input"]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
    assert body["generationConfig"] == {
        "temperature": 0.1,
        "topP": 0.2,
        "topK": 3,
        "maxOutputTokens": 9,
        "stopSequences": ["X"],
        "presencePenalty": 0.4,
        "frequencyPenalty": 0.3,
        "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True},
        "seed": 1,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}},
    }
    assert set(dropped.names) == {
        "logit_bias", "user", "metadata", "service_tier", "verbosity", "store", "prompt_cache_key", "parallel_tool_calls", "name", "odd",
        "strict",
    }  # fmt: skip
    assert set(dropped.names) <= {*DROPS, "odd"}


def test_there_is_always_something_said_by_the_user_first():
    assert written(Asked("m", [Turn("assistant", [Text("hello")])]))["contents"][0] == {"role": "user", "parts": [{"text": " "}]}
    assert written(Asked("m", []))["contents"] == [{"role": "user", "parts": [{"text": " "}]}]
    only = written(Asked("m", [Turn("system", [Text("alone")])]))
    assert (only["contents"], "systemInstruction" in only) == ([{"role": "user", "parts": [{"text": "alone"}]}], False)


def test_models_that_take_no_system_prompt_are_told_by_the_user():
    body = written(Asked("m", [Turn("system", [Text("be nice")]), *HI]), "gemma-3-27b-it")
    assert body == {"contents": [{"role": "user", "parts": [{"text": "be nice"}, {"text": "hi"}]}]}


def test_little_is_said_of_what_nobody_asked():
    assert written(Asked("m", HI)) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert written(Asked("m", HI, format=Format("json")))["generationConfig"] == {"responseMimeType": "application/json"}
    dropped = Dropped()
    assert "generationConfig" not in written(
        Asked("m", HI, seed=2**40, choice=Choice("none"), service_tier="auto", store=False), dropped=dropped
    )
    assert list(dropped.names) == ["seed"]


@pytest.mark.parametrize(("mode", "googles"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")])
def test_choices(mode, googles):
    body = written(Asked("m", HI, [Tool("f", schema={})], Choice(mode)))
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": googles}}
    assert body["tools"] == [{"functionDeclarations": [{"name": "f", "description": "f"}]}]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked("m", HI, logprobs=0), "logprobs"),
        (Asked("m", HI, choices=2), "More than one choice"),
        (Asked("m", HI, stop=list("abcdef")), "More than 5 stop sequences"),
        (Asked("m", HI, [Tool("web_search", kind="hosted", raw={"type": "web_search"})]), "hosted tool 'web_search'"),
        (Asked("m", [Turn("system", [Image("image/png", "AA")])]), "anything but text"),
    ],
)
def test_what_is_refused(asked, words):
    with pytest.raises(PenstockError, match=words) as caught:
        write_ask(asked, "gemini-3-flash", Dropped())
    assert caught.value.code == "cannot_translate"


def test_where_it_is_posted():
    assert SIDE.path(Asked("m", HI), "gemini-2.5-flash") == ("/v1beta/models/gemini-2.5-flash:generateContent", b"")
    assert SIDE.path(Asked("m", HI, stream=True), "tunedModels/a b") == ("/v1beta/tunedModels/a%20b:streamGenerateContent", b"alt=sse")
