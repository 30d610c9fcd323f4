"""The official SDKs against models of every vendor: retries, headers, systems in order, marks of caches, and what is recorded."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from bridge_stage import BridgeStage
from heard import Wants
from model_vendor import Fault
from says import Says

FIRST, SECOND = "You are a poet.", "You never rhyme."


def systems(wire: str, body: dict[str, Any]) -> list[str]:
    """What the system says in a request, each block by itself."""
    match wire:
        case "messages":
            blocks = body["system"] if isinstance(body["system"], list) else [{"text": body["system"]}]
        case "gemini":
            blocks = body["systemInstruction"]["parts"]
        case _:
            turns = body["messages" if wire == "chat" else "input"]
            given = [turn["content"] for turn in turns if turn.get("role") in ("system", "developer")]
            blocks = [block for content in given for block in ([{"text": content}] if isinstance(content, str) else content)]
    return [block["text"] for block in blocks]


@pytest.mark.parametrize("target", ["chat", "responses", "gemini"])
def test_blocks_of_a_system_stay_apart_and_in_order(bridges: BridgeStage, target):
    talker = bridges.talker("messages", target)
    talker.say("Go.")
    blocks = [{"type": "text", "text": FIRST}, {"type": "text", "text": SECOND, "cache_control": {"type": "ephemeral"}}]
    assert talker.plain(Wants(more={"system": blocks})).text == "Hello."
    assert systems(target, bridges.asked().body) == [FIRST, SECOND]


@pytest.mark.parametrize("target", ["messages", "responses", "gemini"])
def test_systems_and_developers_of_a_chat(bridges: BridgeStage, target):
    talker = bridges.talker("chat", target)
    talker.turns += [{"role": "system", "content": FIRST}, {"role": "developer", "content": SECOND}]  # type: ignore[attr-defined]
    talker.say("Go.")
    assert talker.plain(Wants()).text == "Hello."
    assert systems(target, bridges.asked().body) == [FIRST, SECOND]


@pytest.mark.parametrize("target", ["messages", "responses", "gemini"])
def test_a_system_in_the_middle_of_a_chat(bridges: BridgeStage, target):
    talker = bridges.talker("chat", target)
    talker.say("Go.")
    talker.plain(Wants())
    talker.turns.append({"role": "system", "content": SECOND})  # type: ignore[attr-defined]
    talker.say("Go on.")
    assert talker.plain(Wants()).text == "Hello."
    sent = json.dumps(bridges.asked().body)
    assert sent.index("Hello.") < sent.index(SECOND) < sent.index("Go on.")


def test_marks_of_caches_are_kept_where_there_are_some(bridges: BridgeStage):
    talker = bridges.talker("messages", "chat", thinks=True)  # a Claude behind chat completions
    talker.say("Go.")
    blocks = [{"type": "text", "text": FIRST, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    answer = talker.client.messages.with_raw_response.create(  # type: ignore[attr-defined]
        model="thinks-chat", max_tokens=50, system=blocks, messages=[{"role": "user", "content": "Go."}]
    )
    assert "x-penstock-dropped" not in answer.headers
    (system,) = [turn for turn in bridges.asked().body["messages"] if turn["role"] == "system"]
    assert system["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize("target", ["responses", "gemini"])
def test_the_sdk_waits_as_long_as_the_vendor_says(bridges: BridgeStage, target):
    bridges.vendor.say(Fault(429, "Slow down.", headers=("retry-after: 7",)), Fault(429, "Slow down.", headers=("retry-after: 7",)))
    for client, kind in (("chat", openai.RateLimitError), ("messages", anthropic.RateLimitError)):
        talker = bridges.talker(client, target)
        talker.say("Hello")
        with pytest.raises(kind) as failed:
            talker.plain(Wants())
        assert failed.value.response.headers["retry-after"] == "7"
        assert failed.value.response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("target", ["chat", "responses", "gemini"])
def test_the_sdk_tries_again_by_itself(bridges: BridgeStage, target):
    bridges.vendor.say(Fault(500, "Once.", headers=("retry-after-ms: 1",)), Says("Here I am."))
    talker = bridges.talker("messages", target)
    talker.say("Hello")
    client = talker.client.with_options(max_retries=1)  # type: ignore[attr-defined]
    assert client.messages.create(**talker.options(Wants())).content[0].text == "Here I am."  # type: ignore[attr-defined]
    assert len(bridges.vendor.asked) == 2


def test_what_a_stream_loses_is_in_its_head(bridges: BridgeStage):
    talker = bridges.talker("chat", "messages")
    talker.say("Hello")
    options = talker.options(Wants(more={"seed": 7}))  # type: ignore[attr-defined]
    with talker.client.chat.completions.with_streaming_response.create(**options, stream=True) as answer:  # type: ignore[attr-defined]
        assert answer.headers["x-penstock-dropped"] == "seed"
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "".join(chunk.choices[0].delta.content or "" for chunk in answer.parse() if chunk.choices) == "Hello."


@pytest.mark.parametrize(
    ("fields", "param"), [({"previous_response_id": "resp_1"}, "previous_response_id"), ({"background": True}, "background")]
)
def test_what_only_openai_keeps_is_refused(bridges: BridgeStage, fields, param):
    talker = bridges.talker("responses", "messages")
    talker.say("Hello")
    with pytest.raises(openai.BadRequestError) as refused:
        talker.plain(Wants(more=fields))
    assert (refused.value.code, refused.value.param) == ("cannot_translate", param)
    assert bridges.vendor.asked == []


@pytest.mark.parametrize("target", ["chat", "responses", "messages"])
def test_a_request_that_makes_no_sense(bridges: BridgeStage, target):
    """The client is told which of its own fields is wrong, in its own words."""
    client = "messages" if target != "messages" else "chat"
    talker = bridges.talker(client, target)
    talker.turns.append({"role": "user", "content": [{"type": "text", "text": 5}]})  # type: ignore[attr-defined]
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match=r"messages(\[|\.)0"):
        talker.plain(Wants())
    assert bridges.vendor.asked == []
