"""The official SDKs against models of every vendor: what programs do besides asking: tools that run by themselves, asyncio, leaving."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest
from anthropic import AsyncAnthropic, beta_tool
from google.genai import types
from openai import AsyncOpenAI

from arrived import results, shown
from bridge_stage import ACROSS, PAIRS, WIRES, BridgeStage
from heard import PNG, Heard, Wants
from says import Call, Says

CALLS = Says("", calls=(Call("call_1", "weather", {"city": "Paris"}), Call("call_2", "weather", {"city": "Oslo"})), output=30)
DONE = Says("Paris is warmer.")
SEEN = [("Paris", "21 degrees"), ("Oslo", "3 degrees")]
FORCED = {
    "chat": lambda body: body["tool_choice"] == {"type": "function", "function": {"name": "weather"}},
    "responses": lambda body: body["tool_choice"] == {"type": "function", "name": "weather"},
    "messages": lambda body: (body["tool_choice"]["type"], body["tool_choice"]["name"]) == ("tool", "weather"),
    "gemini": lambda body: body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": ["weather"]},
}

each_target = pytest.mark.parametrize("target", WIRES)
each_bridge = pytest.mark.parametrize(("client", "target"), ACROSS)


def degrees(city: str) -> str:
    return "21 degrees" if city == "Paris" else "3 degrees"


def weather(city: str) -> str:
    """The weather.

    Args:
        city: Which one.
    """
    return degrees(city)


@pytest.mark.parametrize("streamed", [False, True])
@each_target
def test_google_s_sdk_calls_functions_by_itself(bridges: BridgeStage, target, streamed):
    bridges.vendor.say(CALLS, DONE)
    client: Any = bridges.talker("gemini", target).client  # type: ignore[attr-defined]
    config = types.GenerateContentConfig(tools=[weather])
    chat = client.chats.create(model=f"by-{target}", config=config)
    if streamed:
        text = "".join(chunk.text or "" for chunk in chat.send_message_stream("Where is it warmer?"))
    else:
        text = chat.send_message("Where is it warmer?").text
    assert text == "Paris is warmer."
    assert results(bridges.asked()) == SEEN
    bridges.vendor.say(Says("Indeed."))
    assert chat.send_message("Sure?").text == "Indeed."
    assert results(bridges.asked()) == SEEN


@each_target
def test_anthropic_s_sdk_runs_tools_by_itself(bridges: BridgeStage, target):
    bridges.vendor.say(CALLS, DONE)
    client: Any = bridges.talker("messages", target).client  # type: ignore[attr-defined]
    question = [{"role": "user", "content": "Where is it warmer?"}]
    runner = client.beta.messages.tool_runner(model=f"by-{target}", max_tokens=500, messages=question, tools=[beta_tool(weather)])
    assert runner.until_done().content[0].text == "Paris is warmer."
    assert results(bridges.asked()) == SEEN


class Weather(pydantic.BaseModel):
    """Asks for the weather."""

    city: str


@pytest.mark.parametrize("how", ["plain", "streamed"])
@each_target
def test_openai_s_sdk_parses_the_arguments_of_tools(bridges: BridgeStage, target, how):
    tool = openai.pydantic_function_tool(Weather, name="weather")
    bridges.vendor.say(CALLS)
    talker = bridges.talker("chat", target)
    talker.say("Where is it warmer?")
    options = {**talker.options(Wants()), "tools": [tool]}  # type: ignore[attr-defined]
    chats = talker.client.chat.completions  # type: ignore[attr-defined]
    if how == "plain":
        answer = chats.parse(**options)
    else:
        with chats.stream(**options) as stream:
            done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
            answer = stream.get_final_completion()
        assert [json.loads(event.arguments)["city"] for event in done] == ["Paris", "Oslo"]
    parsed = [call.function.parsed_arguments for call in answer.choices[0].message.tool_calls]
    assert parsed == [Weather(city="Paris"), Weather(city="Oslo")]


@pytest.mark.parametrize("how", ["plain", "raw"])
@each_bridge
def test_a_tool_that_must_be_called(bridges: BridgeStage, client, target, how):
    bridges.vendor.say(CALLS)
    talker = bridges.talker(client, target)
    talker.say("Where is it warmer?")
    heard: Heard = getattr(talker, how)(Wants(tools=True, forced=True))
    assert [call.name for call in heard.calls] == ["weather", "weather"]
    assert FORCED[target](bridges.asked().body)


@each_bridge
@pytest.mark.parametrize("how", ["plain", "streamed"])
def test_a_call_without_arguments_and_a_long_one(bridges: BridgeStage, client, target, how):
    long = {"city": "Ω" * 200, "nested": {"a": [1, 2.5, None, True, '"\\\n']}}
    bridges.vendor.say(Says("", calls=(Call("call_1", "weather", {}), Call("call_2", "weather", long))))
    talker = bridges.talker(client, target)
    talker.say("Go.")
    heard: Heard = getattr(talker, how)(Wants(tools=True))
    assert [call.arguments for call in heard.calls] == [{}, long]


@pytest.mark.parametrize("target", ["responses", "messages", "gemini"])
def test_a_chat_that_does_not_ask_for_usage_is_charged_for_it_all_the_same(bridges: BridgeStage, target):
    says = Says("Hello there.", fresh=40, cached=1024, output=33)
    bridges.vendor.say(says)
    talker = bridges.talker("chat", target)
    talker.say("Hello")
    chunks = list(talker.client.chat.completions.create(**talker.options(Wants()), stream=True))  # type: ignore[attr-defined]
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    charge = bridges.charge()
    assert {name: charge[name] for name in says.used} == says.used and not charge["estimated"]


@each_bridge
def test_a_client_that_leaves_in_the_middle(bridges: BridgeStage, client, target):
    bridges.vendor.say(Says("word " * 20_000))
    talker = bridges.talker(client, target)
    talker.say("Talk.")
    if client == "gemini":
        stream: Any = talker._stream(Wants())  # type: ignore[attr-defined]
        next(stream)
        stream.close()
    else:
        create = {"chat": "chat.completions", "responses": "responses", "messages": "messages"}[client]
        resource: Any = talker.client  # type: ignore[attr-defined]
        for name in create.split("."):
            resource = getattr(resource, name)
        stream = resource.create(**talker.options(Wants()), stream=True)  # type: ignore[attr-defined]
        for _ in range(5):
            next(stream)
        stream.close()
    talker.close()
    bridges.gateway.check_quiet()
    (charge,) = bridges.gateway.charges(bridges.rows + 1)[bridges.rows :]
    assert charge["outcome"] in ("client_gone", "complete")
    assert charge["outcome"] == "complete" or charge["estimated"]


@pytest.mark.parametrize("target", ["chat", "responses", "gemini"])
def test_a_picture_that_a_tool_has_given(bridges: BridgeStage, target):
    bridges.vendor.say(Says("", calls=(Call("call_1", "weather", {"city": "Paris"}),)), Says("It rains."))
    talker = bridges.talker("messages", target)
    talker.say("Look.")
    heard = talker.plain(Wants(tools=True))
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    content = [{"type": "text", "text": "Seen:"}, picture]
    block = {"type": "tool_result", "tool_use_id": heard.calls[0].id, "content": content}
    talker.turns.append({"role": "user", "content": [block]})  # type: ignore[attr-defined]
    assert talker.plain(Wants(tools=True)).text == "It rains."
    url = f"data:image/png;base64,{PNG}"
    asked = bridges.asked()
    assert PNG in json.dumps(asked.body) and (target != "chat" or shown(asked) == [url])


@each_target
def test_a_tool_that_has_failed(bridges: BridgeStage, target):
    bridges.vendor.say(Says("", calls=(Call("call_1", "weather", {"city": "Paris"}),)), Says("A pity."))
    talker = bridges.talker("messages", target)
    talker.say("Look.")
    heard = talker.plain(Wants(tools=True))
    block = {"type": "tool_result", "tool_use_id": heard.calls[0].id, "content": "no such city", "is_error": True}
    talker.turns.append({"role": "user", "content": [block, {"type": "text", "text": "Well?"}]})  # type: ignore[attr-defined]
    assert talker.plain(Wants(tools=True)).text == "A pity."
    sent = bridges.asked().received.body.decode()
    assert "no such city" in sent and "Well?" in sent


@each_target
async def test_asyncio(bridges: BridgeStage, target):
    """What the SDKs do with asyncio."""
    gateway = bridges.gateway
    question: Any = [{"role": "user", "content": "Hello"}]
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        async with client.responses.stream(model=f"by-{target}", input="Hello") as stream:
            kinds = [event.type async for event in stream]
            assert (await stream.get_final_response()).output_text == "Hello."
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    async with (
        AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as other,
        other.messages.stream(model=f"by-{target}", max_tokens=50, messages=question) as told,
    ):
        assert "".join([piece async for piece in told.text_stream]) == "Hello."
        assert (await told.get_final_message()).usage.output_tokens == 10
    google = bridges.talker("gemini", target).client.aio  # type: ignore[attr-defined]
    chunks = [chunk async for chunk in await google.models.generate_content_stream(model=f"by-{target}", contents="Hello")]
    assert "".join(chunk.text or "" for chunk in chunks) == "Hello."
    await google.aclose()


@pytest.mark.parametrize(("client", "target"), [pair for pair in PAIRS if pair[0] != "async-chat"])
def test_a_long_conversation_in_many_tongues(bridges: BridgeStage, client, target):
    talker = bridges.talker(client, target)
    for number, word in enumerate(("Grüße", "世界", "שלום", "🙂‍↔️", "a\u2028b", "\x7f", "tab\tand\nline")):
        talker.say(f"{number}: {word}")
        bridges.vendor.say(Says(word))
        heard: Heard = getattr(talker, ("plain", "streamed")[number % 2])(Wants(system="Echo."))
        assert heard.text == word
    said = json.dumps(bridges.asked().body, ensure_ascii=False)
    assert all(word in said for word in ("Grüße", "世界", "שלום", "🙂‍↔️", "a\u2028b"))
