"""The messages wire, as the official SDK sees it."""

from __future__ import annotations

import json

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

PATH = "/v1/messages"
HELLO = [{"role": "user", "content": "hello there"}]
WEATHER = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
THINK = {"type": "enabled", "budget_tokens": 1024}
EVENT = TypeAdapter(RawMessageStreamEvent)


class Person(BaseModel):
    name: str
    age: int


def body(**more):
    return {"model": "demo", "max_tokens": 4096, "messages": HELLO} | more


VARIANTS = [{}, {"thinking": THINK}, {"tools": [WEATHER], "tool_choice": {"type": "any"}}, {"max_tokens": 3}, {"model": "demo-cached"}]


def test_a_plain_answer(claude):
    message = claude.messages.create(**body())
    assert 'You said: "hello there"' in message.content[0].text
    assert (message.stop_reason, message.usage.input_tokens) == ("end_turn", 3)
    assert message.usage.output_tokens == -(-len(message.content[0].text) // 4)


async def test_async_and_raw(async_claude):
    raw = await async_claude.messages.with_raw_response.create(**body())
    assert raw.headers["request-id"].startswith("req_")
    assert (await raw.parse()).content == (await async_claude.messages.create(**body())).content


@pytest.mark.parametrize("more", VARIANTS)
def test_answers_and_events_validate_strictly(http, events, more):
    plain = Message.model_validate(http.post(PATH, json=body(**more)).json())
    found = events(PATH, body(stream=True, **more))
    values = [json.loads(data) for _, data in found]
    assert [name for name, _ in found] == [value["type"] for value in values]
    for value in values:
        if value["type"] != "ping":
            EVENT.validate_python(value)
    assert (values[0]["type"], values[-1]["type"]) == ("message_start", "message_stop")
    assert sum(value["type"] == "ping" for value in values) == 1
    assert values[0]["message"]["usage"]["output_tokens"] == 1
    assert values[-2]["usage"]["output_tokens"] == plain.usage.output_tokens
    assert values[-2]["usage"]["input_tokens"] == plain.usage.input_tokens
    assert values[-2]["delta"]["stop_reason"] == plain.stop_reason


@pytest.mark.parametrize("more", VARIANTS)
def test_the_stream_helper_builds_the_plain_message(claude, more):
    plain = claude.messages.create(**body(**more))
    with claude.messages.stream(**body(**more)) as stream:
        final = stream.get_final_message()
    hidden = {"id", "parsed_output"}
    assert [block.model_dump(exclude=hidden) for block in final.content] == [block.model_dump(exclude=hidden) for block in plain.content]
    assert (final.stop_reason, final.usage.output_tokens) == (plain.stop_reason, plain.usage.output_tokens)


async def test_the_async_stream_helper(async_claude):
    async with async_claude.messages.stream(**body()) as stream:
        text = "".join([piece async for piece in stream.text_stream])
    assert "hello there" in text


def test_thinking_when_asked(claude):
    message = claude.messages.create(**body(thinking=THINK))
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].signature
    assert 0 < message.usage.output_tokens_details.thinking_tokens < message.usage.output_tokens
    assert claude.messages.create(**body(thinking={"type": "disabled"})).content[0].type == "text"


def test_tools(claude):
    message = claude.messages.create(**body(tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"}))
    assert (message.stop_reason, message.content[0].name, message.content[0].input) == ("tool_use", "weather", {"city": "demo"})
    result = {"type": "tool_result", "tool_use_id": message.content[0].id, "content": "sunny"}
    turns = [*HELLO, {"role": "assistant", "content": [message.content[0].model_dump()]}, {"role": "user", "content": [result]}]
    assert claude.messages.create(**body(model="demo-tool", tools=[WEATHER])).stop_reason == "tool_use"
    assert claude.messages.create(**body(model="demo-tool", tools=[WEATHER], messages=turns)).stop_reason == "end_turn"


def test_structured_text(claude):
    assert claude.messages.parse(**body(output_format=Person)).parsed_output == Person(name="demo", age=1)


def test_a_cap_ends_in_max_tokens(claude):
    message = claude.messages.create(**body(max_tokens=2))
    assert (message.content[0].text, message.stop_reason, message.usage.output_tokens) == ("Hello! T", "max_tokens", 2)


def test_cached_tokens_are_beside_the_input(claude):
    usage = claude.messages.create(**body(model="demo-cached")).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (3, 1024, 384)
    assert (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens) == (256, 128)


def test_no_usage(http, events):
    assert "usage" not in http.post(PATH, json=body(model="demo-nousage")).json()
    assert not any("usage" in json.loads(data) for _, data in events(PATH, body(model="demo-nousage", stream=True)))


def test_system_and_tools_are_counted(claude):
    assert claude.messages.count_tokens(model="demo", messages=HELLO).input_tokens == 3
    with_system = claude.messages.count_tokens(model="demo", messages=HELLO, system=[{"type": "text", "text": "x" * 40}])
    assert with_system.input_tokens == 13
    assert claude.messages.count_tokens(model="demo", messages=HELLO, system="x" * 40, tools=[WEATHER]).input_tokens > 13
    assert claude.messages.create(**body(system="x" * 40)).usage.input_tokens == 13


@pytest.mark.parametrize("more", [{"model": "demo-n64"}, {"metadata": {"user_id": "n64d0"}}, {"user": "n64"}])
def test_n_events(events, more):
    found = events(PATH, body(stream=True, **more))
    assert [name for name, _ in found].count("content_block_delta") == 64
    assert json.loads(found[-2][1])["usage"]["output_tokens"] == 64


def test_an_error_in_the_middle(claude):
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(claude.messages.create(**body(stream=True, model="demo-n4-error")))


def test_beta_requests_have_a_query(http):
    assert http.post(f"{PATH}?beta=true", json=body()).status_code == 200


@pytest.mark.parametrize("wrong", [{"max_tokens": None}, {"messages": []}, {"messages": None}])
def test_what_is_wrong_is_said_in_the_dialect(http, wrong):
    answer = http.post(PATH, json=body(**wrong))
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_complete(http, events):
    asked = {"model": "demo", "prompt": "\n\nHuman: hi\n\nAssistant:", "max_tokens_to_sample": 1000}
    plain = http.post("/v1/complete", json=asked).json()
    assert (plain["type"], plain["stop_reason"]) == ("completion", "stop_sequence")
    found = [(name, json.loads(data)) for name, data in events("/v1/complete", asked | {"stream": True})]
    assert found[0][0] == "ping"
    assert "".join(value["completion"] for _, value in found[1:]) == plain["completion"]
    assert found[-1][1]["stop_reason"] == "stop_sequence"
    capped = http.post("/v1/complete", json=asked | {"max_tokens_to_sample": 1}).json()
    assert (capped["completion"], capped["stop_reason"]) == ("Hell", "max_tokens")
    assert http.post("/v1/complete", json={"model": "demo"}).json()["type"] == "error"
