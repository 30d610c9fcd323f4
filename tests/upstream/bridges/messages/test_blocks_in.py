from __future__ import annotations

from typing import Any

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Document, Image, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.messages import blocks_in
from penstock.upstream.bridges.sealed import seal


def read(*blocks: dict[str, Any]) -> list[Any]:
    return blocks_in.parts([*blocks], "messages[0].content", {})


def test_text_with_a_mark():
    assert read({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "5m"}}) == [Text("a", "5m")]
    assert blocks_in.parts("a", "x", {}) == [Text("a")]
    assert blocks_in.parts("", "x", {}) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"type": "base64", "media_type": "image/png", "data": "aa"}, Image("image/png", "aa")),
        ({"type": "url", "url": "https://x/y.png"}, Image(url="https://x/y.png")),
        ({"type": "file", "file_id": "file_1"}, Image(file_id="file_1")),
    ],
)
def test_images(source, expected):
    assert read({"type": "image", "source": source}) == [expected]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"type": "base64", "media_type": "application/pdf", "data": "aa"}, Document("application/pdf", "aa", name="T")),
        ({"type": "url", "url": "https://x/y.pdf"}, Document("application/pdf", url="https://x/y.pdf", name="T")),
        ({"type": "text", "media_type": "text/plain", "data": "words"}, Document("text/plain", text="words", name="T")),
        ({"type": "content", "content": "words"}, Document("text/plain", text="words", name="T")),
        ({"type": "file", "file_id": "file_1"}, Document(file_id="file_1", name="T")),
    ],
)
def test_documents(source, expected):
    assert read({"type": "document", "source": source, "title": "T"}) == [expected]
    assert read({"type": "document", "source": source, "title": "T", "context": "C"}) == [Text("C"), expected]


def test_a_document_of_blocks():
    picture = {"type": "image", "source": {"type": "url", "url": "u"}}
    source = {"type": "content", "content": [{"type": "text", "text": "a"}, picture, {"type": "text", "text": "b"}]}
    assert read({"type": "document", "source": source}) == [Document("text/plain", text="a\n\nb"), Image(url="u")]


def test_citations_are_left_out_by_name():
    left: dict[str, Any] = {}
    block = {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}}
    blocks_in.parts([block], "x", left)
    assert left == {"citations": True}


def test_a_search_result_is_text():
    content = [{"type": "text", "text": "body"}]
    assert read({"type": "search_result", "title": "T", "source": "https://s", "content": content}) == [Text("T\nhttps://s\nbody")]


def test_calls_and_results():
    picture = {"type": "image", "source": {"type": "url", "url": "u"}}
    assert read(
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}},
        {"type": "tool_use", "id": "t2", "name": "f"},
        {"type": "tool_result", "tool_use_id": "t1", "content": "ok", "cache_control": {"type": "ephemeral"}},
        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "no"}, picture], "is_error": True},
        {"type": "tool_result", "tool_use_id": "t3"},
    ) == [
        ToolCall("t1", "f", '{"a":[1]}'),
        ToolCall("t2", "f", "{}"),
        ToolResult("t1", [Text("ok")], cache="5m"),
        ToolResult("t2", [Text("no"), Image(url="u")], failed=True),
        ToolResult("t3", []),
    ]


def test_thoughts_of_anthropics():
    assert read(
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "redacted_thinking", "data": "xx"},
    ) == [
        Thought("hm", "sig", wire="messages"),
        Thought("", "sig", wire="messages"),
        Thought("hm"),
        Thought(redacted="xx", wire="messages"),
    ]


def test_thoughts_of_others_are_unsealed():
    thought = Thought(redacted="enc", id="rs_1", wire="responses")
    assert read({"type": "redacted_thinking", "data": seal(thought)}) == [thought]
    assert read({"type": "thinking", "thinking": "hm", "signature": seal(thought)}) == [
        Thought("hm", redacted="enc", id="rs_1", wire="responses")
    ]


def test_the_proof_of_a_call_of_geminis_goes_back_to_it():
    proof = {"type": "redacted_thinking", "data": seal(Thought(signature="s", wire="gemini"))}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert read(proof, call) == [ToolCall("t", "f", "{}", signature="s")]
    assert read(proof, {"type": "text", "text": "a"}, call) == [Thought(signature="s", wire="gemini"), Text("a"), ToolCall("t", "f", "{}")]
    assert read(call, proof) == [ToolCall("t", "f", "{}"), Thought(signature="s", wire="gemini")]


@pytest.mark.parametrize(
    "kind", ["server_tool_use", "web_search_tool_result", "code_execution_tool_result", "mcp_tool_use", "mcp_tool_result"]
)
def test_what_ran_at_anthropic_is_left_out_by_name(kind):
    left: dict[str, Any] = {}
    assert blocks_in.parts([{"type": kind, "id": "srvtoolu_1"}, {"type": "text", "text": "a"}], "x", left) == [Text("a")]
    assert left == {kind: True}


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "text"}, "at[0].text"),
        ({"type": "image"}, "at[0].source.type"),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png"}}, "at[0].source.data"),
        ({"type": "document", "source": {"type": "tape"}}, "at[0].source.type"),
        ({"type": "tool_use", "name": "f"}, "at[0].id"),
        ({"type": "tool_result"}, "at[0].tool_use_id"),
        ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "video"}]}, "at[0].content[0].type"),
        ({"type": "video"}, "at[0].type"),
        ({}, "at[0].type"),
        ({"type": "text", "text": "a", "cache_control": "yes"}, "at[0].cache_control"),
    ],
)
def test_what_makes_no_sense_is_named(block, param):
    with pytest.raises(PenstockError) as caught:
        blocks_in.parts([block], "at", {})
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)


def test_a_file_in_a_container_is_refused():
    with pytest.raises(PenstockError) as caught:
        read({"type": "container_upload", "file_id": "f"})
    assert caught.value.code == "cannot_translate"
