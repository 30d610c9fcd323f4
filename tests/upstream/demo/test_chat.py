"""Chat completions and completions, as the official SDK sees them."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

PATH = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello there"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


def body(**more):
    return {"model": "demo", "messages": HELLO} | more


def test_a_plain_answer_greets_and_repeats(client):
    answer = client.chat.completions.create(**body())
    assert 'You said: "hello there"' in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3 + answer.usage.completion_tokens)
    assert answer.usage.completion_tokens == -(-len(answer.choices[0].message.content) // 4)
    assert answer.created == 1_790_000_000


async def test_async_and_raw(async_client):
    raw = await async_client.chat.completions.with_raw_response.create(**body())
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse() == await async_client.chat.completions.create(**body())


def test_it_validates_strictly(http):
    for more in ({}, {"n": 2}, {"tools": [WEATHER], "tool_choice": "required"}, {"reasoning_effort": "low"}, {"service_tier": "flex"}):
        ChatCompletion.model_validate(http.post(PATH, json=body(**more)).json())


def test_the_same_request_has_the_same_answer(http):
    first, second, other = (http.post(PATH, json=body(seed=seed)) for seed in (1, 1, 2))
    assert first.content == second.content
    assert first.json()["id"] != other.json()["id"]


def test_a_stream_has_the_text_of_the_plain_answer(client):
    plain = client.chat.completions.create(**body())
    chunks = list(client.chat.completions.create(**body(stream=True)))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == plain.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_in_a_stream_only_when_asked(events):
    silent = events(PATH, body(stream=True))
    assert not any("usage" in data for _, data in silent)
    asked = events(PATH, body(stream=True, stream_options={"include_usage": True}))
    assert asked[-1] == (None, "[DONE]")
    last = json.loads(asked[-2][1])
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
    assert all(json.loads(data)["usage"] is None for _, data in asked[:-2])
    for _, data in asked[:-1]:
        ChatCompletionChunk.model_validate_json(data)


def test_n_choices(client, events):
    answer = client.chat.completions.create(**body(n=3))
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    one = client.chat.completions.create(**body()).usage.completion_tokens
    assert answer.usage.completion_tokens == 3 * one
    texts = {0: "", 1: "", 2: ""}
    for _, data in events(PATH, body(n=3, stream=True))[:-1]:
        [choice] = json.loads(data)["choices"]
        texts[choice["index"]] += choice["delta"].get("content") or ""
    assert set(texts.values()) == {answer.choices[0].message.content}


@pytest.mark.parametrize("cap", [{"max_tokens": 2}, {"max_completion_tokens": 2}])
def test_a_cap_ends_in_length(client, cap):
    answer = client.chat.completions.create(**body(**cap))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello! T", "length")
    assert answer.usage.completion_tokens == 2
    last = list(client.chat.completions.create(**body(stream=True, **cap)))[-1]
    assert last.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("model", "choice"), [("demo", "required"), ("demo", {"type": "function", "function": {"name": "weather"}}), ("demo-tool", "auto")]
)
def test_tools_are_called(client, model, choice):
    asked = body(model=model, tools=[WEATHER], tool_choice=choice)
    answer = client.chat.completions.create(**asked)
    [call] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "demo", "days": 1})
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.arguments == call.function.arguments
    assert final.choices[0].message.tool_calls[0].id.startswith("call_")


@pytest.mark.parametrize("more", [{}, {"tools": [WEATHER]}, {"tools": [WEATHER], "tool_choice": "none", "model": "demo-tool"}])
def test_tools_are_left_alone(client, more):
    assert client.chat.completions.create(**body(**more)).choices[0].message.tool_calls is None


def test_a_loop_of_tools_ends(client):
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    answer = client.chat.completions.create(**body(model="demo-tool", messages=[*HELLO, result], tools=[WEATHER]))
    assert answer.choices[0].finish_reason == "stop"


def test_json_when_asked(client):
    answer = client.chat.completions.create(**body(response_format={"type": "json_object"}))
    assert "hello there" in json.loads(answer.choices[0].message.content)["answer"]
    parsed = client.chat.completions.parse(**body(response_format=Person))
    assert parsed.choices[0].message.parsed == Person(name="demo", age=1, tags=["demo"])


async def test_the_stream_helper(async_client):
    async with async_client.chat.completions.stream(**body(stream_options={"include_usage": True})) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert kinds.count("content.done") == 1
    assert final.usage.prompt_tokens == 3


def test_reasoning_is_counted(client):
    plain, thinking = (client.chat.completions.create(**body(**more)).usage for more in ({}, {"reasoning_effort": "high"}))
    reasoning = thinking.completion_tokens_details.reasoning_tokens
    assert reasoning > 0
    assert thinking.completion_tokens == plain.completion_tokens + reasoning


def test_cached_tokens_are_inside_the_prompt(client):
    plain, cached = (client.chat.completions.create(**body(model=model)).usage for model in ("demo", "demo-cached"))
    details = cached.prompt_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (1024, 256)
    assert cached.prompt_tokens == plain.prompt_tokens + 1024 + 256


def test_no_usage(client, events):
    assert client.chat.completions.create(**body(model="demo-nousage")).usage is None
    asked = events(PATH, body(model="demo-nousage", stream=True, stream_options={"include_usage": True}))
    assert json.loads(asked[-2][1])["choices"][0]["finish_reason"] == "stop"


def test_n_events_of_one_token_each(events, client):
    found = events(PATH, body(model="demo-n64", stream=True, stream_options={"include_usage": True}))
    deltas = [json.loads(data) for _, data in found[:-1]]
    assert sum(bool(one["choices"] and one["choices"][0]["delta"].get("content")) for one in deltas) == 64
    assert deltas[-1]["usage"]["completion_tokens"] == 64
    assert len(list(client.chat.completions.create(**body(stream=True, user="n7d0")))) == 7 + 2


def test_content_parts_are_read(client):
    parts = [{"type": "text", "text": "what is"}, {"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "this"}]
    assert (
        "what is\nthis" in client.chat.completions.create(**body(messages=[{"role": "user", "content": parts}])).choices[0].message.content
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"messages": []}, "empty array"),
        ({"messages": "hi"}, "Expected `array`"),
        ({"n": 0}, "'n' must be"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "nope"}}}, "not among the tools"),
    ],
)
def test_what_is_wrong_is_said(client, wrong, words):
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(**body(**wrong))


def test_completions(client, http, events):
    asked = {"model": "demo", "prompt": "once upon a time"}
    answer = client.completions.create(**asked)
    assert "once upon a time" in answer.choices[0].text
    assert answer.usage.prompt_tokens == 4
    Completion.model_validate(http.post("/v1/completions", json=asked | {"n": 2}).json())
    text = "".join(chunk.choices[0].text for chunk in client.completions.create(**asked, stream=True))
    assert text == answer.choices[0].text
    found = events("/v1/completions", asked | {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 1})
    assert json.loads(found[-2][1])["usage"]["completion_tokens"] == 1
    assert json.loads(found[-3][1])["choices"][0]["finish_reason"] == "length"
    Completion.model_validate_json(found[-3][1])


@pytest.mark.parametrize(("prompt", "tokens"), [(["ab", "cd"], 1), ([1, 2, 3], 3), ([[1, 2], [3]], 3), (None, 0)])
def test_prompts_of_every_kind(http, prompt, tokens):
    answer = http.post("/v1/completions", json={"model": "demo", "prompt": prompt})
    assert answer.json()["usage"]["prompt_tokens"] == tokens
