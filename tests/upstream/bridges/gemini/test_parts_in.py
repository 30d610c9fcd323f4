from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Audio, Document, Image, Text, Thought, ToolCall, ToolResult
from penstock.upstream.bridges.gemini.fields import Fields
from penstock.upstream.bridges.gemini.parts_in import Reader


def read(*parts: dict, reader: Reader | None = None):
    return (reader or Reader({})).parts(Fields({"parts": list(parts)}, "contents[0]"))


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"text": "hi"}, Text("hi")),
        ({"text": "", "thoughtSignature": "c2ln"}, Text("")),
        ({"text": "hm", "thought": True, "thought_signature": "c2ln"}, Thought("hm", "c2ln", wire="gemini")),
        ({"inlineData": {"mimeType": "image/PNG", "data": "-_8="}}, Image("image/png", "+/8=")),
        ({"inline_data": {"mime_type": "audio/mpeg", "data": "AA"}}, Audio("AA", "mp3")),
        ({"inlineData": {"mimeType": "audio/x-wav", "data": "AA"}}, Audio("AA", "wav")),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "AA", "displayName": "a.pdf"}},
            Document("application/pdf", "AA", name="a.pdf"),
        ),
        ({"fileData": {"mimeType": "image/png", "fileUri": "https://x.example/a.png"}}, Image("image/png", url="https://x.example/a.png")),
        (
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}},
            Document("application/pdf", file_id="https://generativelanguage.googleapis.com/v1beta/files/a"),
        ),
        ({"functionCall": {"name": "f", "args": {"é": 1}, "id": "x"}}, ToolCall("x", "f", '{"é":1}')),
        ({"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}, ToolCall("call_0001", "f", "{}", signature="c2ln")),
        ({"functionResponse": {"name": "f", "id": "x", "response": {"output": "o"}}}, ToolResult("x", [Text("o")], "f")),
        ({"functionResponse": {"name": "f", "id": "x", "response": {"error": "o"}}}, ToolResult("x", [Text("o")], "f", failed=True)),
        ({"functionResponse": {"name": "f", "id": "x", "response": {"a": 1}}}, ToolResult("x", [Text('{"a":1}')], "f")),
        (
            {"functionResponse": {"name": "f", "id": "x", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}, {}]}},
            ToolResult("x", [Image("image/png", "AA")], "f"),
        ),
    ],
)
def test_each_kind_of_part(part, found):
    assert read(part) == [found]


def test_results_find_their_calls_by_name_in_order():
    reader = Reader({})
    calls = read(
        {"functionCall": {"name": "f"}}, {"functionCall": {"name": "g", "id": "own"}}, {"functionCall": {"name": "f"}}, reader=reader
    )
    results = read(*({"functionResponse": {"name": name}} for name in ("g", "f", "f", "h")), reader=reader)
    assert [call.id for call in calls] == ["call_0001", "own", "call_0002"]
    assert [result.id for result in results] == ["own", "call_0001", "call_0002", "call_0003"]


def test_a_proof_by_itself_is_of_the_thought_before():
    assert read({"text": "hm", "thought": True}, {"text": "", "thought": True, "thoughtSignature": "c2ln"}) == [
        Thought("hm", "c2ln", wire="gemini")
    ]


def test_what_googles_own_tools_did_is_left_out_and_noted():
    other: dict = {}
    assert Reader(other).parts(Fields({"parts": [{"executableCode": {"code": "1"}}, {"codeExecutionResult": {}}, {}]})) == []
    assert list(other) == ["executableCode", "codeExecutionResult"]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"functionCall": {}}, "contents[0].parts[0].functionCall.name"),
        ({"text": 1}, "contents[0].parts[0].text"),
        ({"inlineData": {"data": "AA"}}, "contents[0].parts[0].inlineData.mimeType"),
        ({"fileData": {"mimeType": "image/png"}}, "contents[0].parts[0].fileData.fileUri"),
        ({"fileData": {"mimeType": "audio/mp3", "fileUri": "https://x.example/a"}}, "contents[0].parts[0].fileData.fileUri"),
    ],
)
def test_what_makes_no_sense_is_named(part, param):
    with pytest.raises(PenstockError) as caught:
        read(part)
    assert caught.value.param == param
