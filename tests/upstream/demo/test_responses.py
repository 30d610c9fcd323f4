"""The responses wire, as the official SDK sees it."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

PATH = "/v1/responses"
WEATHER = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
}
EVENT = TypeAdapter(ResponseStreamEvent)


class Person(BaseModel):
    name: str
    age: int


def body(**more):
    return {"model": "demo", "input": "hello there"} | more


VARIANTS = [{}, {"reasoning": {"effort": "low"}}, {"tools": [WEATHER], "tool_choice": "required"}, {"max_output_tokens": 3}]


def test_a_plain_answer(client):
    answer = client.responses.create(**body())
    assert 'You said: "hello there"' in answer.output_text
    assert (answer.status, answer.usage.input_tokens) == ("completed", 3)
    assert answer.usage.total_tokens == 3 + answer.usage.output_tokens


async def test_async_and_raw(async_client):
    raw = await async_client.responses.with_raw_response.create(**body())
    assert raw.headers["openai-version"] == "2020-10-01"
    assert raw.parse().output_text == (await async_client.responses.create(**body())).output_text


@pytest.mark.parametrize("more", VARIANTS)
def test_answers_and_events_validate_strictly(http, events, more):
    plain = Response.model_validate(http.post(PATH, json=body(**more)).json())
    found = events(PATH, body(stream=True, **more))
    values = [json.loads(data) for _, data in found]
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    assert [name for name, _ in found] == [value["type"] for value in values]
    for value in values:
        EVENT.validate_python(value)
    assert [value["type"] for value in values[:2]] == ["response.created", "response.in_progress"]
    final = Response.model_validate(values[-1]["response"])
    assert values[-1]["type"] == f"response.{final.status}"
    assert [item.type for item in final.output] == [item.type for item in plain.output]
    assert (final.output_text, final.usage) == (plain.output_text, plain.usage)


def test_the_events_of_a_text_in_order(events):
    kinds = [name.removeprefix("response.") for name, _ in events(PATH, body(stream=True, model="demo-n2"))]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_the_stream_helper(client):
    with client.responses.stream(**body()) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == final.output_text


async def test_the_async_stream_helper_with_a_tool(async_client):
    async with async_client.responses.stream(**body(tools=[WEATHER], tool_choice={"type": "function", "name": "weather"})) as stream:
        final = await stream.get_final_response()
    assert final.output[0].name == "weather"
    assert json.loads(final.output[0].arguments) == {"city": "demo"}


def test_a_loop_of_tools_ends(client):
    first = client.responses.create(**body(model="demo-tool", tools=[WEATHER]))
    call = first.output[0]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    turns = [{"role": "user", "content": "hello there"}, call.model_dump(exclude_none=True), result]
    second = client.responses.create(**body(model="demo-tool", tools=[WEATHER], input=turns))
    assert "hello there" in second.output_text
    assert second.usage.input_tokens > first.usage.input_tokens


def test_reasoning_is_an_item_and_is_counted(client):
    answer = client.responses.create(**body(reasoning={"effort": "low", "summary": "auto"}))
    assert answer.output[0].summary[0].text
    assert 0 < answer.usage.output_tokens_details.reasoning_tokens < answer.usage.output_tokens
    assert client.responses.create(**body(reasoning={"effort": "none"})).output[0].type == "message"


def test_a_cap_leaves_it_incomplete(client):
    answer = client.responses.create(**body(max_output_tokens=2))
    assert (answer.status, answer.incomplete_details.reason, answer.output_text) == ("incomplete", "max_output_tokens", "Hello! T")


def test_structured_text(client):
    assert client.responses.parse(**body(text_format=Person)).output_parsed == Person(name="demo", age=1)


def test_cached_tokens(client):
    usage = client.responses.create(**body(model="demo-cached")).usage
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens) == (3 + 1024 + 256, 1024)
    assert usage.input_tokens_details.cache_write_tokens == 256


def test_no_usage(client, events):
    assert client.responses.create(**body(model="demo-nousage")).usage is None
    assert json.loads(events(PATH, body(model="demo-nousage", stream=True))[-1][1])["response"]["usage"] is None


def test_n_events(events):
    found = events(PATH, body(stream=True, model="demo-n64"))
    assert [name for name, _ in found].count("response.output_text.delta") == 64
    assert json.loads(found[-1][1])["response"]["usage"]["output_tokens"] == 64


def test_an_error_in_the_middle(client):
    stream = client.responses.create(**body(stream=True, model="demo-n4-error"))
    found = list(stream)
    assert found[-1].type == "error"
    assert [event.sequence_number for event in found] == list(range(len(found)))


def test_stored_responses(client):
    made = client.responses.create(**body(instructions="be nice"))
    assert client.responses.retrieve(made.id) == made
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(made.id)


def test_what_is_not_to_be_stored_is_not(client):
    made = client.responses.create(**body(store=False))
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_counting_input_tokens(client):
    assert client.responses.input_tokens.count(model="demo", input="hello there").input_tokens == 3
