from __future__ import annotations

import json

import openai
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_judge import judged_answer
from fake_answers import answer
from penstock.upstream.bridges.chat.asks_in import ChatAsked
from penstock.upstream.bridges.chat.details import read
from penstock.upstream.bridges.chat.replies_in import read_reply
from penstock.upstream.bridges.chat.replies_out import write_reply
from penstock.upstream.bridges.conversation import Asked, Image, Refusal, Reply, Text, Thought, Tool, ToolCall
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

CALL = ToolCall("call_1", "f", '{"x":1}')


def written(*parts, stop="end", asked: Asked | None = None, usage: Usage | None = None, **aliases: str) -> bytes:
    reply = Reply("msg_1", "claude", list(parts), stop, usage or Usage(3, output_tokens=4))
    return write_reply(reply, About(asked or Asked("public", []), "public", "req_9", 1_700_000_000, aliases))


def test_a_reply_by_the_strict_sdk():
    found = judged_answer(written(Text("Hello"), Text(" you")))
    assert (found.id, found.model, found.created) == ("chatcmpl-msg_1", "claude", 1_700_000_000)
    assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("Hello you", "stop")
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (3, 4)


def test_what_the_provider_does_not_say_is_what_was_asked_for():
    found = judged_answer(write_reply(Reply("", "", [], "end", Usage(), 7), About(Asked("m", []), "public", "req_9", 1)))
    assert (found.id, found.model, found.created, found.choices[0].message.content) == ("chatcmpl-9", "public", 7, "")


def test_calls():
    choice = judged_answer(written(CALL, ToolCall("b", "g", ""), stop="tools")).choices[0]
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls] == [
        ("call_1", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]
    assert judged_answer(written(CALL, f="my.f")).choices[0].message.tool_calls[0].function.name == "my.f"


def test_functions_of_old():
    choice = judged_answer(written(CALL, asked=ChatAsked("m", [], functions=True))).choices[0]
    assert (choice.message.function_call.name, choice.message.tool_calls, choice.finish_reason) == ("f", None, "function_call")


@pytest.mark.parametrize("call", [ToolCall("a", "c", "free", custom=True), ToolCall("a", "c", '{"input":"free"}')])
def test_custom_tools(call):
    tools = [Tool("c", kind="custom")]
    found = judged_answer(written(call, asked=ChatAsked("m", [], tools))).choices[0].message.tool_calls[0]
    assert (found.type, found.custom.name, found.custom.input) == ("custom", "c", "free")
    found = judged_answer(written(call, asked=ChatAsked("m", [], tools, enveloped=True))).choices[0].message.tool_calls[0]
    assert (found.type, found.function.name, found.function.arguments) == ("function", "c", "free")


def test_thoughts():
    thoughts = [Thought("hm", "SIG", wire="messages"), Thought("", "", "D", "rs", "responses")]
    message = json.loads(written(*thoughts, Text("a")))["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    assert read(message["reasoning_details"], message["reasoning_content"], unseals=True) == thoughts
    hidden = json.loads(written(*thoughts, asked=Asked("m", [], shows_thoughts=False)))["choices"][0]["message"]
    assert not {"reasoning_content", "reasoning_details"} & hidden.keys()


def test_refusals_and_pictures():
    choice = judged_answer(written(Refusal("No"), stop="refusal")).choices[0]
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == (None, "No", "stop")
    assert judged_answer(written(stop="refusal")).choices[0].finish_reason == "content_filter"
    images = json.loads(written(Image("image/png", "QUJD")))["choices"][0]["message"]["images"]
    assert images == [{"index": 0, "type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]


class Weather(pydantic.BaseModel):
    """What the client wants its answer to be."""

    city: str


def test_the_clients_own_parser(remote_provider):
    said = written(Thought("hm"), Text('{"city":"Oslo"}'))

    async def answer_once(line) -> None:
        await line.send(answer(json.loads(said)))
        line.close()

    remote_provider.always(answer_once)
    with openai.OpenAI(api_key="sk-test", base_url=f"{remote_provider.url}/v1", max_retries=0) as client:
        parsed = client.chat.completions.parse(model="m", messages=[{"role": "user", "content": "hi"}], response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(city="Oslo")


def test_halves_of_pairs_are_replaced():
    assert judged_answer(written(Text("a\udc00"))).choices[0].message.content == "a?"


PARTS = st.one_of(
    st.builds(Text, st.text(min_size=1)),
    st.builds(ToolCall, st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), signature=st.text()),
)


@given(st.lists(PARTS, max_size=5))
def test_what_is_written_is_read_again(parts):
    body = written(*parts)
    judged_answer(body)
    texts = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert read_reply(body).parts == ([Text(texts)] if texts else []) + calls


def test_calls_without_ids_get_some():
    message = json.loads(written(ToolCall("", "f", "{}"), ToolCall("", "f", "{}"), stop="tools"))["choices"][0]["message"]
    ids = [call["id"] for call in message["tool_calls"]]
    assert len(set(ids)) == 2 and all(ids)
