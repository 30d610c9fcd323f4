"""What was said, on every wire that talks, whole and streamed; what is not understood is not said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.records.said import Call, Said, problem, said


def stream(*events: object) -> bytes:
    return b"".join(b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n" for event in events)


def chunk(index: int = 0, **delta: object) -> dict[str, object]:
    return {"choices": [{"index": index, "delta": delta}]}


CALL = [Call("look", '{"a":1}')]
ANSWERS = {
    "chat": ("chat", {"choices": [
        {"index": 0, "message": {"content": "Hi!", "tool_calls": [{"function": {"name": "look", "arguments": '{"a":1}'}}]}},
        {"index": 1, "message": {"content": "no"}},
    ]}, Said("Hi!", CALL)),
    "chat in parts": ("chat", {"choices": [{"message": {"content": [{"type": "text", "text": "H"}, {"text": "i!"}]}}]}, Said("Hi!")),
    "completions": ("completions", {"choices": [{"text": "Hi!"}]}, Said("Hi!")),
    "complete": ("complete", {"completion": "Hi!"}, Said("Hi!")),
    "messages": ("messages", {"content": [
        {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hi!"}, {"type": "tool_use", "name": "look", "input": {"a": 1}},
    ]}, Said("Hi!", CALL)),
    "responses": ("responses", {"output": [
        {"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "Hi!"}]},
        {"type": "function_call", "name": "look", "arguments": '{"a":1}'},
    ]}, Said("Hi!", CALL)),
    "gemini": ("gemini", {"candidates": [{"content": {"parts": [
        {"text": "hm", "thought": True}, {"text": "Hi!"}, {"functionCall": {"name": "look", "args": {"a": 1}}},
    ]}}]}, Said("Hi!", CALL)),
}  # fmt: skip
STREAMS = {
    "chat": ("chat", stream(
        chunk(role="assistant", content=""), chunk(content="H"), chunk(1, content="no"), chunk(content="i!"),
        chunk(tool_calls=[{"index": 0, "function": {"name": "look", "arguments": ""}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        {"choices": [], "usage": {}}, b"[DONE]",
    )),
    "messages": ("messages", stream(
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "!"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "look", "input": {}}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "1}"}},
        {"type": "message_stop"},
    )),
    "responses": ("responses", stream(
        {"type": "response.created", "response": {"output": []}}, {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.completed", "response": ANSWERS["responses"][1]},
    )),
    "gemini": ("gemini", stream(
        {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "!"}, {"functionCall": {"name": "look", "args": {"a": 1}}}]}}]},
    )),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_whole_answers(name):
    wire, answer, expected = ANSWERS[name]
    assert said(wire, json.dumps(answer).encode(), streamed=False) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name):
    wire, answer = STREAMS[name]
    assert said(wire, answer, streamed=True) == Said("Hi!", CALL)


def test_a_stream_of_responses_that_broke_off_has_said_something():
    assert said("responses", stream({"type": "response.output_text.delta", "delta": "Hi"}), streamed=True) == Said("Hi")


def test_a_wire_that_does_not_talk_says_nothing():
    assert said("embeddings", b'{"data":[]}', streamed=False) is None


@pytest.mark.parametrize(("body", "expected"), [
    (b'{"error":{"message":"no"}}', "no"),
    (b'{"type":"error","error":{"type":"x","message":"no"}}', "no"),
    (b'{"error":"no"}', "no"), (b'{"message":"no"}', "no"), (b'{"detail":"no"}', "no"),
    (b"<html>", None), (b"[]", None), (b"", None),
])  # fmt: skip
def test_problems(body, expected):
    assert problem(body) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "delta", "content", "text", "tool_calls", "index", "function", "output", "type", "response",
                         "candidates", "parts", "content_block", "partial_json", "input", "name", "arguments"]),
        inner, max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@given(JSON, st.sampled_from(["chat", "messages", "responses", "gemini", "completions", "complete"]), st.booleans())
def test_nonsense_harms_nothing(document, wire, streamed):
    body = json.dumps(document).encode()
    assert said(wire, stream(document) if streamed else body, streamed=streamed) is not None
    assert said(wire, body[:-1], streamed=streamed) is not None
