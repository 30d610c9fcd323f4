from __future__ import annotations

import json

import pytest
from openai.types.responses import ResponseInputParam
from pydantic import TypeAdapter

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Format, Text, Tool, Turn
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.responses.asks_out import write_ask

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def write(model="gpt-5.2", **fields):
    dropped = Dropped()
    body = json.loads(write_ask(Asked("public", [Turn("user", [Text("Hi")])], **fields), model, dropped))
    TypeAdapter(ResponseInputParam).validate_python(body["input"])
    return body, list(dropped.names), dropped


def test_the_least_that_is_said():
    body, dropped, _ = write(model="some-model")
    assert body == {
        "model": "some-model",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        "store": False,
    }
    assert dropped == []


def test_openais_reasoning_models_give_their_thoughts_encrypted():
    body, dropped, _ = write(stream=True, effort="max", shows_thoughts=True, temperature=1.0, verbosity="low", output_cap=1)
    assert body["include"] == ["reasoning.encrypted_content"] and body["reasoning"] == {"effort": "xhigh", "summary": "auto"}
    assert body["stream"] is True and body["stream_options"] == {"include_obfuscation": False}
    assert body["text"] == {"verbosity": "low"} and body["max_output_tokens"] == 16
    assert dropped == [] and "temperature" not in body


@pytest.mark.parametrize(
    ("model", "effort", "tokens", "sent"),
    [
        ("gpt-5", "none", None, "minimal"),
        ("gpt-5.1", "none", None, "none"),
        ("o4-mini", "minimal", None, "low"),
        ("gpt-5.2", None, 0, "none"),
        ("gpt-5", None, 1024, "low"),
        ("gpt-5", None, 8000, "medium"),
        ("gpt-5", None, 32000, "high"),
        ("grok-9", "xhigh", None, "high"),
    ],
)
def test_efforts_and_budgets(model, effort, tokens, sent):
    assert write(model, effort=effort, thinking_tokens=tokens)[0]["reasoning"]["effort"] == sent


def test_models_that_do_not_think_are_not_asked_to():
    body, dropped, _ = write("gpt-4o", effort="high", shows_thoughts=True, temperature=0.5, verbosity="low")
    assert "reasoning" not in body and "include" not in body and "text" not in body and body["temperature"] == 0.5
    assert dropped == ["reasoning_effort", "verbosity"]


def test_models_that_think_take_no_temperature_unless_they_do_not():
    body, dropped, _ = write(temperature=0.2, top_p=0.9)
    assert "temperature" not in body and dropped == ["temperature", "top_p"]
    assert write(temperature=0.2, effort="none")[0]["temperature"] == 0.2
    assert write("gpt-5", temperature=0.2, effort="none")[1] == ["temperature"]


def test_tools_and_choices():
    raw = {"custom": {"name": "p", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}}}
    tools = [Tool("f", "d", SCHEMA, True), Tool("g"), Tool("p", "e", kind="custom", raw=raw), Tool("a.b")]
    body, _, dropped = write(tools=tools, choice=Choice("named", "p"), parallel=False)
    function, bare, custom, renamed = body["tools"]
    assert function == {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
    assert bare == {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": False}
    assert custom == {
        "type": "custom",
        "name": "p",
        "description": "e",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
    }
    assert dropped.aliases == {renamed["name"]: "a.b"}
    assert body["tool_choice"] == {"type": "custom", "name": "p"} and body["parallel_tool_calls"] is False
    assert write(tools=tools, choice=Choice("required"))[0]["tool_choice"] == "required"


def test_custom_tools_are_functions_for_models_that_know_no_others():
    body, _, _ = write("o3", tools=[Tool("p", kind="custom")], choice=Choice("named", "p"))
    assert body["tools"][0]["type"] == "function" and list(body["tools"][0]["parameters"]["properties"]) == ["input"]
    assert body["tool_choice"] == {"type": "function", "name": "p"}


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (Format("json"), {"type": "json_object"}),
        (Format("schema", "n m", SCHEMA, True, "d"), {"type": "json_schema", "schema": SCHEMA, "strict": True, "description": "d"}),
        (Format("schema"), {"type": "json_object"}),
    ],
)
def test_formats(form, sent):
    written = write(format=form)[0]["text"]["format"]
    written.pop("name", None)
    assert written == sent


def test_names_are_short_enough():
    body, dropped, _ = write(user="u" * 99, cache_key="k", service_tier="flex", metadata={"a": "b"}, store=False)
    assert 0 < len(body["user"]) <= 64
    assert body["prompt_cache_key"] == "k" and body["service_tier"] == "flex" and body["metadata"] == {"a": "b"}
    assert dropped == []


def test_what_can_be_left_is_named():
    _, dropped, _ = write(
        seed=1, top_k=2, frequency_penalty=0.1, presence_penalty=0.1, logit_bias={"1": 1}, store=True, service_tier="standard_only",
        metadata={"a": 1}, other={"thing": 1},
    )  # fmt: skip
    assert dropped == ["service_tier", "store", "metadata", "top_k", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "thing"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"choices": 2}, "n"),
        ({"stop": ["x"]}, "stop"),
        ({"logprobs": 0}, "logprobs"),
        ({"tools": [Tool("web_search", kind="hosted", raw={})]}, "tools"),
    ],
)
def test_what_would_make_another_answer_is_refused(fields, param):
    with pytest.raises(PenstockError) as caught:
        write(**fields)
    assert (caught.value.code, caught.value.param) == ("cannot_translate", param)


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(PenstockError) as caught:
        write(user="half \ud800")
    assert caught.value.code == "invalid_request"
