from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Asked, Image, Part, Refusal, Reply, Stop, Text, Thought, ToolCall
from penstock.upstream.bridges.messages import SIDE, blocks_in
from penstock.upstream.bridges.messages.words import REASONS
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

ABOUT = About(Asked("m", []), "m", "req_1", 0)
USAGE = Usage(input_tokens=5, cache_read_tokens=7, cache_write_5m_tokens=2, cache_write_1h_tokens=3, output_tokens=11, reasoning_tokens=4)


def shown(*parts: Part, stop: Stop = "end", about: About = ABOUT) -> dict[str, Any]:
    body = SIDE.write_reply(Reply("msg_1", "claude", [*parts], stop, USAGE), about)
    Message.model_validate_json(body)
    found: dict[str, Any] = json.loads(body)
    return found


def read(*content: Any, **fields: Any) -> Reply:
    return SIDE.read_reply(json.dumps({"type": "message", "id": "msg_1", "model": "claude", "content": content} | fields).encode())


PARTS: list[Part] = [
    Thought("hm", "sig", wire="messages"),
    Thought(redacted="xx", wire="messages"),
    Text("Hello ✓"),
    ToolCall("toolu_1", "f", '{"a":[1,{"b":null}]}'),
    ToolCall("toolu_2", "g", "{}"),
]


@pytest.mark.parametrize("stop", REASONS)
def test_a_reply_comes_back_as_it_was(stop):
    reply = Reply("msg_1", "claude", PARTS, stop, USAGE, stop_sequence="END" if stop == "stop_sequence" else None)
    body = SIDE.write_reply(reply, ABOUT)
    assert Message.model_validate_json(body).stop_reason == REASONS[stop]
    assert SIDE.read_reply(body) == reply


def test_what_is_missing_is_filled_in():
    body = json.loads(SIDE.write_reply(Reply("chatcmpl-1", "", [Text("a")], "end", Usage()), ABOUT))
    assert body["id"].startswith("msg_") and body["model"] == "m"


def test_thoughts_of_others_are_sealed_and_come_back():
    thoughts = [
        Thought("hm", "sig", wire="gemini"),
        Thought("hm", redacted="enc", id="rs_1", wire="responses"),
        Thought("", redacted="enc", id="rs_1", wire="responses"),
    ]
    content = shown(*thoughts)["content"]
    assert [block["type"] for block in content] == ["thinking", "thinking", "redacted_thinking"]
    assert blocks_in.parts(content, "x", {}) == thoughts


def test_a_thought_in_words_alone_has_no_signature():
    assert shown(Thought("hm"))["content"] == [{"type": "thinking", "thinking": "hm", "signature": ""}]
    assert shown(Thought())["content"] == []


def test_a_call_of_geminis_comes_back_with_its_proof():
    call = ToolCall("t", "f", '{"a":1}', signature="s")
    assert blocks_in.parts(shown(call)["content"], "x", {}) == [call]


def test_a_client_that_wants_no_thoughts_gets_their_proof():
    about = About(Asked("m", [], shows_thoughts=False), "m", "req_1", 0)
    content = shown(Thought("hm", "sig", wire="messages"), Thought("hm", "sig", wire="gemini"), Thought("hm"), about=about)["content"]
    assert content[0] == {"type": "thinking", "thinking": "", "signature": "sig"}
    assert [block["type"] for block in content] == ["thinking", "redacted_thinking"]


def test_names_come_back_by_the_aliases():
    about = About(Asked("m", []), "m", "req_1", 0, {"short": "the_long_one"})
    assert shown(ToolCall("t", "short", "{}"), about=about)["content"][0]["name"] == "the_long_one"


def test_arguments_that_are_no_object_are_empty():
    assert [block["input"] for block in shown(ToolCall("a", "f", ""), ToolCall("b", "f", "[1]"), ToolCall("c", "f", "{"))["content"]] == [
        {}
    ] * 3


def test_a_refusal_and_a_picture_are_text():
    found = shown(Refusal("I will not."))
    assert (found["content"], found["stop_reason"]) == ([{"type": "text", "text": "I will not."}], "refusal")
    assert shown(Image("image/png", "aa"))["content"] == [{"type": "text", "text": "![image](data:image/png;base64,aa)"}]


def test_what_ran_at_the_provider_is_passed_over():
    reply = read(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "text", "text": "Found.", "citations": [{"type": "web_search_result_location"}]},
        stop_reason="pause_turn",
    )
    assert (reply.parts, reply.stop) == ([Text("Found.")], "pause")


def test_reasons_to_stop():
    assert read({"type": "text", "text": "a"}, stop_reason="model_context_window_exceeded").stop == "length"
    assert read({"type": "text", "text": "a"}, stop_reason="something_new").stop == "end"
    assert read(stop_reason="end_turn").parts == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"<html>", b'{"content":"x"}', b'{"content":[]}', b'{"type":"error","error":{}}', b"[" * 100_000]
)
def test_what_is_no_message_cannot_be_read(body):
    with pytest.raises(ValueError):
        SIDE.read_reply(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["text", "thinking", "tool_use", "redacted_thinking", "end_turn", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "thinking", "signature", "data", "id", "name", "input", "usage", "input_tokens"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {"content": st.lists(JSON, max_size=3) | JSON, "usage": JSON, "id": JSON, "stop_reason": JSON, "stop_sequence": JSON}
    )
)
def test_any_json_is_a_reply_or_no_message(found):
    try:
        reply = SIDE.read_reply(json.dumps(found).encode())
    except ValueError:
        return
    Message.model_validate_json(SIDE.write_reply(reply, ABOUT))


def test_a_call_of_nothing_is_none():
    assert read({"type": "tool_use", "id": "a", "name": "", "input": {}}, stop_reason="tool_use").parts == []
