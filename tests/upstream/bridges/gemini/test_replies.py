"""Whole answers: the official SDK reads what is written, and what Google writes is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_replies import REPLIES
from penstock.upstream.bridges.conversation import Asked, Audio, Document, Image, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.bridges.gemini.replies import read_reply, write_reply
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

ABOUT = About(Asked("m", [], shows_thoughts=True), "m", "req_1", 0)
GOOGLES = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "thinking ", "thought": True},
                    {"text": "hard", "thought": True, "thoughtSignature": "c2ln"},
                    {"text": "Hel"},
                    {"text": "lo", "thoughtSignature": "b3Ro"},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                    {"functionCall": {"name": "f", "args": {"a": "é"}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "g", "id": "own"}},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
                    {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": [],
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 10,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 6,
        "totalTokenCount": 20,
        "cachedContentTokenCount": 3,
    },
    "modelVersion": "gemini-2.5-flash-001",
    "responseId": "abc",
}


def read(**fields) -> Reply:
    return read_reply(json.dumps(GOOGLES | fields).encode())


def test_googles_answer_is_read():
    reply = read()
    made = reply.parts[2]
    assert isinstance(made, ToolCall)
    assert made.id.startswith("call_")
    assert reply.parts == [
        Thought("thinking hard", "c2ln", wire="gemini"),
        Text("Hello"),
        ToolCall(made.id, "f", '{"a": "\\u00e9"}', signature="c2ln"),
        ToolCall("own", "g", "{}"),
        Image("image/png", "AAAA"),
        Audio("AAAA", "mp3"),
    ]
    assert (reply.id, reply.model, reply.stop) == ("abc", "gemini-2.5-flash-001", "tools")
    assert reply.usage == Usage(input_tokens=7, cache_read_tokens=3, output_tokens=10, reasoning_tokens=6)


@pytest.mark.parametrize(
    ("finish", "stop"), [("MAX_TOKENS", "length"), ("STOP", "end"), ("SAFETY", "refusal"), (None, "end"), ("OTHER", "end")]
)
def test_why_it_ended(finish, stop):
    reply = read(candidates=[{"content": {"parts": [{"text": "x"}]}, "finishReason": finish}])
    assert (reply.parts, reply.stop) == ([Text("x")], stop)


def test_refusals():
    assert read(candidates=[{"finishReason": "SAFETY"}]).parts == [Refusal("The provider has stopped the answer: SAFETY.")]
    reply = read(candidates=[], promptFeedback={"blockReason": "PROHIBITED_CONTENT"})
    assert (reply.parts, reply.stop) == ([Refusal("The provider has blocked the prompt: PROHIBITED_CONTENT.")], "refusal")
    assert read(candidates=[], promptFeedback={"blockReason": "OTHER", "blockReasonMessage": "Because."}).parts == [Refusal("Because.")]


@pytest.mark.parametrize(
    "fields",
    [
        {"candidates": []},
        {"candidates": None},
        {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "bad call"}]},
        {"candidates": [{"finishReason": "STOP", "content": {"parts": "text"}}]},
    ],
)
def test_what_is_no_answer(fields):
    with pytest.raises(ValueError, match=r"candidates|bad call|Expected"):
        read(**fields)


def test_usage_that_makes_no_sense_is_none():
    assert read(usageMetadata={"promptTokenCount": -1}).usage == Usage()
    assert read(usageMetadata=None).usage == Usage()


def test_the_sdk_reads_an_answer(sdk, door):
    reply = Reply(
        "msg_1",
        "claude-x",
        [
            Thought("hm", "EqQB", wire="messages"), Text("Hello"), Refusal(" no"), ToolCall("toolu_1", "f", '{"a":1}', signature="c2ln"),
            ToolCall("", "g", "free", custom=True), Image("image/png", "AAAA"), Image(url="https://x.example/a.png"),
            Audio("AAAA", "mp3"), Document(),
        ],
        "tools",
        Usage(input_tokens=5, input_audio_tokens=2, cache_read_tokens=1, output_tokens=9, reasoning_tokens=4, output_image_tokens=3),
        stop_sequence="x",
    )  # fmt: skip
    door.answers(write_reply(reply, ABOUT))
    found = sdk.models.generate_content(model="m", contents="hi")
    parts = found.candidates[0].content.parts
    assert [part.text for part in parts if part.text and not part.thought] == ["Hello", " no"]
    assert [(call.id, call.name, call.args) for call in found.function_calls] == [
        ("toolu_1", "f", {"a": 1}),
        (None, "g", {"input": "free"}),
    ]
    assert parts[3].thought_signature == b"sig"
    assert (found.response_id, found.model_version, found.candidates[0].finish_reason.value) == ("msg_1", "claude-x", "STOP")
    usage = found.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (8, 8, 4, 20)
    assert read_reply(door.body).usage == reply.usage


def test_thoughts_are_for_those_who_ask():
    reply = Reply("", "", [Thought("hm"), Text("x")], "end", Usage())
    whole = json.loads(write_reply(reply, About(Asked("m", []), "m", "req_1", 0)))
    assert whole["candidates"][0]["content"]["parts"] == [{"text": "x"}]
    assert (whole["modelVersion"], whole["responseId"]) == ("m", "req_1")


@given(REPLIES)
def test_what_is_written_is_read_again(reply):
    found = read_reply(write_reply(reply, ABOUT))
    assert (found.id, found.model) == (reply.id, reply.model)
    assert (found.usage, [part for part in found.parts if isinstance(part, Image)]) == (
        reply.usage,
        [part for part in reply.parts if isinstance(part, Image)],
    )
    calls = [part for part in reply.parts if isinstance(part, ToolCall)]
    read_again = [part for part in found.parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments), call.signature) for call in read_again] == [
        (call.id, call.name, json.loads(call.arguments), call.signature) for call in calls
    ]
    assert "".join(part.text for part in found.parts if isinstance(part, Text)) == "".join(
        part.text for part in reply.parts if isinstance(part, Text)
    )


@given(st.one_of(st.binary(max_size=40), st.just(b"[" * 5000), st.just(b'{"candidates":' * 3000)))
def test_any_bytes(body):
    with pytest.raises(ValueError, match=r"."):
        read_reply(body)


def test_a_call_of_nothing_is_none():
    body = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "", "args": {}}}, {"text": "a"}]}, "finishReason": "STOP"}]}
    assert read_reply(json.dumps(body).encode()).parts == [Text("a")]
