"""The official SDK, over loopback, reads what this side writes; the bytes of streams arrive one by one."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import openai
import pydantic
import pytest
from openai import AsyncOpenAI

from fake_provider import FakeProvider, close, dribble
from made_responses import TOOLS, about_of
from penstock.upstream.bridges.conversation import Asked, Failure, Format, Reply, Text, Tool, ToolCall
from penstock.upstream.bridges.responses import SIDE
from penstock.upstream.usage import Usage

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nconnection: close\r\n\r\n"


class Weather(pydantic.BaseModel):
    city: str
    warm: bool


@asynccontextmanager
async def client_of(head: bytes, body: bytes):
    async with FakeProvider() as provider:
        provider.script(head, dribble(body), close)
        async with AsyncOpenAI(api_key="sk-test", base_url=f"{provider.url}/v1", max_retries=0) as client:
            yield client


def stream_of(*steps, asked=None) -> bytes:
    teller = SIDE.teller(about_of(asked))
    for name, *arguments in steps:
        getattr(teller, name)(*arguments)
    return teller.take()


WEATHER = '{"city":"Oslo","warm":false}'
TALK = stream_of(
    ("begin", "msg_1", "served"),
    ("thought", "Where "),
    ("thought", "am I?"),
    ("signed", "sig", "messages"),
    ("text", WEATHER[:9]),
    ("text", WEATHER[9:]),
    ("tool", 0, "call_1", "look"),
    ("arguments", 0, '{"at":'),
    ("arguments", 0, '"sea"}'),
    ("tool", 1, "call_2", "patch"),
    ("arguments", 1, '{"input":"*** Begin'),
    ("arguments", 1, ' Patch"}'),
    ("end", "tools", Usage(9, 3, output_tokens=7, reasoning_tokens=2)),
    asked=Asked("m", [], TOOLS),
)


async def test_the_stream_helper_accumulates_and_parses():
    async with client_of(HEAD % b"text/event-stream", TALK) as client:
        tools = [openai.pydantic_function_tool(Weather, name="look")["function"] | {"type": "function"}]
        async with client.responses.stream(model="m", input="Hi", text_format=Weather, tools=tools[:0]) as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
    assert final.output_parsed == Weather(city="Oslo", warm=False)
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "custom_tool_call"]
    assert final.output[0].summary[0].text == "Where am I?" and final.output[2].arguments == '{"at":"sea"}'
    assert final.output[3].input == "*** Begin Patch"
    assert (final.usage.input_tokens, final.usage.input_tokens_details.cached_tokens, final.usage.total_tokens) == (12, 3, 19)


async def test_plain_iteration_sees_every_delta():
    async with client_of(HEAD % b"text/event-stream", TALK) as client:
        events = [event async for event in await client.responses.create(model="m", input="Hi", stream=True)]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == WEATHER
    assert "".join(event.delta for event in events if event.type == "response.reasoning_summary_text.delta") == "Where am I?"
    assert "".join(event.delta for event in events if event.type == "response.custom_tool_call_input.delta") == "*** Begin Patch"


async def test_parse_reads_a_whole_answer():
    asked = Asked(
        "m", [], [Tool("look", schema={"type": "object"}, strict=True)], format=Format("schema", "Weather", {"type": "object"}, True)
    )
    reply = Reply("", "served", [Text(WEATHER), ToolCall("c", "look", "{}")], "tools", Usage(4, output_tokens=2))
    async with client_of(HEAD % b"application/json", SIDE.write_reply(reply, about_of(asked))) as client:
        response = await client.responses.parse(model="m", input="Hi", text_format=Weather)
    assert response.output_parsed == Weather(city="Oslo", warm=False) and response.usage.total_tokens == 6
    assert response.output_text == WEATHER and response.tools[0].name == "look"


async def test_a_failed_stream_and_an_error_are_the_sdks_own():
    failed = stream_of(("text", "x"), ("fail", Failure(429, "Slow down", "rate_limit_error")))
    async with client_of(HEAD % b"text/event-stream", failed) as client:
        events = [event async for event in await client.responses.create(model="m", input="Hi", stream=True)]
    assert events[-1].response.error.code == "rate_limit_exceeded" and events[-1].response.status == "failed"
    status, body = SIDE.write_failure(Failure(400, "prompt is too long", "invalid_request_error"), "req_1")
    async with client_of(HEAD.replace(b"200 OK", b"%d Bad" % status) % b"application/json", body) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="m", input="Hi")
    assert caught.value.code == "context_length_exceeded" and "prompt is too long" in caught.value.message


async def test_what_the_sdk_sends_is_read():
    async with FakeProvider() as provider:
        provider.script(HEAD % b"application/json" + SIDE.write_reply(Reply("", "", [Text("x")], "end", Usage()), about_of()), close)
        async with AsyncOpenAI(api_key="sk-test", base_url=f"{provider.url}/v1", max_retries=0) as client:
            first = await client.responses.create(
                model="m",
                instructions="Be kind.",
                input=[{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"}]}],
                tools=[{"type": "custom", "name": "patch"}],
                reasoning={"effort": "low", "summary": "auto"},
            )
        sent = json.loads(provider.requests[0].body)
    asked = SIDE.read_ask(json.dumps(sent | {"input": [*sent["input"], *(item.model_dump() for item in first.output)]}).encode())
    assert [turn.role for turn in asked.turns] == ["system", "user", "assistant"] and asked.tools[0].kind == "custom"
    assert SIDE.path(asked, "m") == ("/v1/responses", b"")
