from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat.parts_in import as_arguments, content, from_data_url, mark, marked, result
from penstock.upstream.bridges.conversation import Audio, Document, Image, Refusal, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.sealed import seal

PDF = "data:application/pdf;base64,JVBERi0="
SEALED = seal(Thought("", "SIG", wire="messages"))


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (None, []),
        ("", []),
        ("hi", [Text("hi")]),
        (["a", None, {"type": "text", "text": ""}], [Text("a")]),
        ({"type": "text", "text": "alone"}, [Text("alone")]),
        ([{"text": "untyped"}], [Text("untyped")]),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], [Text("a"), Text("b")]),
        ([{"type": "refusal", "refusal": "no"}], [Refusal("no")]),
        (
            [{"type": "image_url", "image_url": {"url": "data:image/webp;base64,QUJD", "detail": "low"}}],
            [Image("image/webp", "QUJD", detail="low")],
        ),
        ([{"type": "image_url", "image_url": "https://x/a.png"}], [Image(url="https://x/a.png")]),
        ([{"type": "input_image", "image_url": "https://x/a.png", "detail": "high"}], [Image(url="https://x/a.png", detail="high")]),
        ([{"type": "input_image", "file_id": "file-1"}], [Image(file_id="file-1")]),
        ([{"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}}], [Audio("QUJD", "mp3")]),
        ([{"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}], [Document("application/pdf", "JVBERi0=", name="a.pdf")]),
        ([{"type": "file", "file": {"file_data": "QUJD", "filename": "a.csv"}}], [Document("text/csv", "QUJD", name="a.csv")]),
        ([{"type": "file", "file": {"file_id": "file-1"}}], [Document(file_id="file-1")]),
        ([{"type": "file", "file": {"file_data": "https://x/a.pdf"}}], [Document(url="https://x/a.pdf")]),
        ([{"type": "input_file", "file_url": "https://x/a.pdf"}], [Document(url="https://x/a.pdf")]),
        ([{"type": "thinking", "thinking": "hm", "signature": SEALED}], [Thought("hm", "SIG", wire="messages")]),
        ([{"type": "thinking", "thinking": "hm", "signature": "raw"}], [Thought("hm")]),
        ([{"type": "redacted_thinking", "data": SEALED}], [Thought("", "SIG", wire="messages")]),
        ([{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}], [ToolCall("a", "f", '{"x":1}')]),
        ([{"type": "tool_result", "tool_use_id": "a", "content": "r", "is_error": True}], [ToolResult("a", [Text("r")], failed=True)]),
        ([{"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "QUJD"}}], [Image("image/gif", "QUJD")]),
        ([{"type": "document", "title": "t", "source": {"type": "text", "data": "plain"}}], [Document(text="plain", name="t")]),
        ([{"type": "document", "source": {"type": "url", "url": "https://x"}}], [Document("application/pdf", url="https://x")]),
    ],
)
def test_parts(given, parts):
    assert content(given, "c") == parts


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (5, "c"),
        ([5], "c[0]"),
        ([{"type": "text", "text": 5}], "c[0].text"),
        ([{"type": "image_url"}], "c[0].image_url"),
        ([{"type": "image_url", "image_url": {"url": 5}}], "c[0].image_url.url"),
        ([{"type": "file", "file": {}}], "c[0].file.file_data"),
        ([{"type": "input_audio", "input_audio": {}}], "c[0].input_audio.data"),
        ([{"type": "image"}], "c[0].source"),
        ([{"type": "document", "source": {}}], "c[0].source.data"),
        ([{"type": 7}], "c[0].type"),
        ([{"type": "mind"}], "c[0].type"),
    ],
)
def test_errors_say_where(given, param):
    with pytest.raises(PenstockError) as caught:
        content(given, "c")
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)


def test_films_cannot_be_said():
    with pytest.raises(PenstockError) as caught:
        content([{"type": "video_url", "video_url": {"url": "https://x"}}], "c")
    assert caught.value.code == "cannot_translate"


def test_marks():
    assert content([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "c") == [Text("a", "5m")]
    assert content([{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}], "c") == [Text("a", "1h")]
    assert mark({"type": "ephemeral", "ttl": "1h"}) == "1h"
    assert mark(None) is mark({"type": "other"}) is None
    parts = [Text("a"), Refusal("b")]
    marked(parts, "5m")
    assert parts == [Text("a", "5m"), Refusal("b")]
    marked([], "5m")


def test_results():
    assert result("a", {"temperature": 5}, "c") == ToolResult("a", [Text('{"temperature":5}')])
    assert result("a", 5, "c") == ToolResult("a", [Text("5")])
    assert result("a", [{"type": "image_url", "image_url": {"url": "https://x"}}], "c") == ToolResult("a", [Image(url="https://x")])
    with pytest.raises(PenstockError):
        result("a", [{"type": "input_audio", "input_audio": {"data": "x"}}], "c")


def test_data_urls():
    assert from_data_url("data:image/png;base64,AA==") == ("image/png", "AA==")
    assert from_data_url("DATA:image/png;charset=x;BASE64,AA==") == ("image/png", "AA==")
    assert from_data_url("https://x") == from_data_url("data:text/plain,hi") == from_data_url("data:") == ("", "")


def test_arguments():
    assert as_arguments({"a": "ü"}) == '{"a":"ü"}'
    assert as_arguments('{"a"') == '{"a"'
    assert as_arguments(None) == ""
