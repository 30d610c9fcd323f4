from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Audio, Document, Image, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.responses.turns_out import Items


def write(*turns, customs=()):
    dropped = Dropped()
    return Items(frozenset(customs), dropped).all(list(turns)), list(dropped.names)


def test_system_blocks_stay_apart_and_where_they_are():
    items, _ = write(Turn("system", [Text("a"), Text("b")]), Turn("user", [Text("c")], "Ann"), Turn("system", [Text("d")]))
    assert [(item["role"], [part["text"] for part in item["content"]]) for item in items] == [
        ("system", ["a", "b"]),
        ("user", ["c"]),
        ("system", ["d"]),
    ]


def test_the_name_of_a_participant_is_dropped():
    assert write(Turn("user", [Text("c")], "Ann"))[1] == ["name"]


def test_what_the_model_said_comes_in_order():
    items, dropped = write(
        Turn(
            "assistant",
            [
                Thought("Hm", redacted="enc", id="rs_1", wire="responses"),
                Text("a"),
                Refusal("b"),
                ToolCall("c", "f", ""),
                Thought("x", "sig", wire="messages"),
                Thought("silent"),
                ToolCall("d" * 80, "g.h", '{"a":1}', signature="proof"),
            ],
        ),
        Turn(
            "user",
            [ToolResult("c", [Text("ok")]), ToolResult("d" * 80, [Text("a"), Image("image/png", "aGk=")], failed=True), Text("go on")],
        ),
    )
    assert [item["type"] for item in items] == [
        "reasoning", "message", "function_call", "function_call", "function_call_output", "function_call_output", "message",
    ]  # fmt: skip
    assert items[0] == {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "enc"}
    assert [part["type"] for part in items[1]["content"]] == ["output_text", "refusal"]
    assert items[2] == {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    assert len(items[3]["call_id"]) <= 64 and items[3]["call_id"] == items[5]["call_id"] and "." not in items[3]["name"]
    assert items[4]["output"] == "ok"
    assert items[5]["output"][1] == {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}
    assert dropped == ["thinking", "is_error"]


def test_calls_of_custom_tools():
    turns = [Turn("assistant", [ToolCall("c", "p", "text", custom=True)]), Turn("user", [ToolResult("c", [Text("ok")])])]
    items, _ = write(*turns, customs=["p"])
    assert items == [
        {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": "text"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
    ]
    items, _ = write(*turns)
    assert items[0]["arguments"] == '{"input":"text"}' and items[1]["type"] == "function_call_output"


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (Image(url="https://e.example/p", detail="low"), {"type": "input_image", "image_url": "https://e.example/p", "detail": "low"}),
        (
            Document("application/pdf", "aGk="),
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,aGk="},
        ),
        (Document(url="https://e.example/a"), {"type": "input_file", "file_url": "https://e.example/a"}),
        (Document(text="words", name="a.txt"), {"type": "input_text", "text": "a.txt\n\nwords"}),
    ],
)
def test_what_users_show(part, sent):
    assert write(Turn("user", [part]))[0][0]["content"] == [sent]


@pytest.mark.parametrize(
    "turn",
    [
        Turn("user", [Audio("x", "wav")]),
        Turn("user", [Image(file_id="file-1")]),
        Turn("user", [Document(file_id="file-1")]),
        Turn("user", [ToolResult("c", [Image(file_id="file-1")])]),
        Turn("assistant", [Image("image/png", "aGk=")]),
    ],
)
def test_what_cannot_be_shown_is_refused(turn):
    with pytest.raises(PenstockError) as caught:
        write(Turn("user", [Text("x")]), turn)
    assert (caught.value.code, caught.value.param) == ("cannot_translate", "messages[1]")
