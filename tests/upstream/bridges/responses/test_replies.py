from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from made_responses import JSON, REPLIES, TOOLS, about_of, plain
from penstock.upstream.bridges.conversation import Asked, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.bridges.responses.replies import read_reply, usage_in, write_reply
from penstock.upstream.usage import Usage

MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
}
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}


def response(*output, **fields):
    about = {"id": "resp_1", "object": "response", "created_at": 5.0, "status": "completed", "model": "gpt-5", "usage": USAGE}
    return json.dumps(about | {"output": list(output)} | fields).encode()


def test_a_response_is_read():
    reply = read_reply(response({"type": "reasoning", "id": "rs_1", "summary": []}, {"type": "web_search_call", "id": "ws"}, MESSAGE))
    assert reply == Reply("resp_1", "gpt-5", [Text("Hi")], "end", Usage(6, 4, output_tokens=5, reasoning_tokens=2), 5)


@pytest.mark.parametrize(
    ("fields", "output", "stop"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, MESSAGE, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, MESSAGE, "refusal"),
        ({"status": "incomplete"}, MESSAGE, "length"),
        ({}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, "tools"),
        ({}, {"type": "message", "content": [{"type": "refusal", "refusal": "No"}]}, "refusal"),
    ],
)
def test_why_it_stopped(fields, output, stop):
    assert read_reply(response(output, **fields)).stop == stop


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"{}", b'{"output": "x"}', b"[" * 100_000, response(usage=None), response(status="failed"),
        response(error={"code": "server_error", "message": "broken"}),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_value_error(body):
    with pytest.raises(ValueError):
        read_reply(body)


@given(
    st.dictionaries(st.sampled_from(["id", "output", "status", "usage", "incomplete_details", "model", "created_at", "error"]), JSON) | JSON
)
def test_nothing_else_escapes(value):
    try:
        assert isinstance(read_reply(json.dumps(value).encode()), Reply)
    except ValueError:
        pass


def test_usage_that_is_not_there_is_nothing():
    assert usage_in(b"{}") == Usage() and usage_in(b"") == Usage()


@settings(max_examples=40)
@given(REPLIES)
def test_what_is_written_is_read_again(reply):
    body = write_reply(reply, about_of(Asked("m", [], TOOLS)))
    whole = Response.model_validate_json(body)
    assert whole.id == "resp_0123" and whole.model == "served" and whole.status in ("completed", "incomplete")
    again = read_reply(body)
    assert plain(again.parts, TOOLS) == plain(reply.parts, TOOLS) and again.usage == reply.usage
    wordy = any(isinstance(part, ToolCall | Refusal) for part in reply.parts)
    assert again.stop == reply.stop or wordy or reply.stop == "tools"


def test_thoughts_come_back_sealed():
    body = write_reply(Reply("msg_1", "", [Thought("Hm", "sig", wire="messages"), Text("x")], "end", Usage()), about_of())
    item = json.loads(body)["output"][0]
    assert item["encrypted_content"].startswith("~psk1.") and json.loads(body)["model"] == "public-model"
