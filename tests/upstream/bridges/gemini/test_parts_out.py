from __future__ import annotations

import json

import msgspec
import pytest
from google.genai import types

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Audio, Document, Image, Refusal, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.gemini.parts_out import Writer, arguments_of
from penstock.upstream.bridges.gemini.signatures import ANY


def write(*parts, model: str = "gemini-2.5-flash", dropped: Dropped | None = None) -> list[dict]:
    found = json.loads(msgspec.json.encode(Writer(model, dropped or Dropped()).parts(parts)))
    for part in found:
        types.Part.model_validate(part)
    return found


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Text("hi"), [{"text": "hi"}]),
        (Text(""), []),
        (Refusal("no"), [{"text": "no"}]),
        (Image("image/png", "AAAA"), [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]),
        (Image(url="https://x.example/a.webp?b#c"), [{"fileData": {"mimeType": "image/webp", "fileUri": "https://x.example/a.webp?b#c"}}]),
        (Image(url="https://x.example/a"), [{"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.example/a"}}]),
        (Image(file_id="files/abc"), [{"fileData": {"mimeType": "image/jpeg", "fileUri": "files/abc"}}]),
        (Document("", "AAAA"), [{"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}]),
        (Document(text="words", name="a.txt"), [{"text": "a.txt\n\nwords"}]),
        (Document(url="https://x.example/a.csv"), [{"fileData": {"mimeType": "text/csv", "fileUri": "https://x.example/a.csv"}}]),
        (Audio("AAAA", "mp3"), [{"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}}]),
        (Thought("hm", "c2ln", wire="gemini"), [{"text": "hm", "thought": True, "thoughtSignature": "c2ln"}]),
        (Thought("", "c2ln", wire="gemini"), [{"text": "", "thoughtSignature": "c2ln"}]),
        (Thought("hm"), []),
        (ToolCall("c", "f", '{"a":1}'), [{"functionCall": {"name": "f", "args": {"a": 1}, "id": "c"}}]),
        (ToolCall("c", "f", "any", custom=True), [{"functionCall": {"name": "f", "args": {"input": "any"}, "id": "c"}}]),
        (ToolResult("c", [Text("1")]), [{"functionResponse": {"name": "c", "id": "c", "response": {"output": "1"}}}]),
        (ToolResult("c", [Text('{"a":1}')], "f"), [{"functionResponse": {"name": "f", "id": "c", "response": {"a": 1}}}]),
        (ToolResult("c", [Text("bad")], "f", failed=True), [{"functionResponse": {"name": "f", "id": "c", "response": {"error": "bad"}}}]),
    ],
)
def test_each_kind_of_part(part, written):
    assert write(part) == written


def test_results_know_the_names_of_calls_and_pictures_in_them_follow():
    shown = ToolResult("c", [Text("1"), Image("image/png", "AAAA")])
    call, result, picture = write(ToolCall("c", "look", "{}"), shown)
    assert result["functionResponse"]["name"] == call["functionCall"]["name"] == "look"
    assert picture == {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    (within,) = write(shown, model="gemini-3-flash")
    assert within["functionResponse"]["parts"] == [picture]


def test_proofs_of_calls():
    calls = [ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")]
    assert ["thoughtSignature" in part for part in write(*calls)] == [False, False]
    assert [part.get("thoughtSignature") for part in write(*calls, model="gemini-3-pro")] == [ANY, None]
    proof = Thought("", "c2ln", wire="gemini")
    assert [part.get("thoughtSignature") for part in write(proof, *calls, model="gemini-3-pro")] == ["c2ln", None]
    assert [part.get("thoughtSignature") for part in write(calls[0], proof, calls[1])] == [None, "c2ln"]
    assert write(ToolCall("a", "f", "{}", signature="b3du"), model="gemini-3-pro")[0]["thoughtSignature"] == "b3du"


def test_what_is_noted_and_refused():
    dropped = Dropped()
    assert write(Thought("hm", "x", wire="messages"), Thought(redacted="x", wire="responses"), dropped=dropped) == []
    write(Image("image/png", "AAAA", detail="high"), dropped=dropped)
    assert list(dropped.names) == ["thinking", "detail"]
    with pytest.raises(PenstockError, match="another provider keeps"):
        write(Image(file_id="file-abc"))


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "1", "{", "null", '{"a":', "{}"])
def test_arguments_that_are_none(text):
    assert arguments_of(text) == {}
