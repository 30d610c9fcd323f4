from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.chat.details import proof_of
from penstock.upstream.bridges.chat.turns_out import Messages
from penstock.upstream.bridges.chat.vendors import habits
from penstock.upstream.bridges.conversation import Audio, Document, Image, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.dropped import Dropped

PICTURE = Image("image/png", "QUJD")
URL = "data:image/png;base64,QUJD"


def write(*turns: Turn, model: str = "vendor-model", dropped: Dropped | None = None) -> list[dict]:
    return Messages(habits(model), dropped or Dropped()).write(list(turns))


def one(*parts, role="user", model="vendor-model") -> dict:
    [message] = write(Turn(role, list(parts)), model=model)
    return message


def called(call_id: str = "a", name: str = "f", arguments: str = "{}") -> dict:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_lone_text_is_a_string():
    assert one(Text("hi")) == {"role": "user", "content": "hi"}
    assert one(Text("hi", "5m")) == {"role": "user", "content": "hi"}
    assert one() == {"role": "user", "content": ""}


def test_system_blocks_keep_their_order_and_stay_apart():
    turns = (Turn("system", [Text("a"), Text("b")]), Turn("system", [Text("c")]), Turn("user", [Text("hi")], "ann lee"), Turn("system", []))
    first, second, user = write(*turns)
    assert first == {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert second == {"role": "system", "content": "c"}
    assert user["name"].startswith("ann_lee_")


def test_parts_of_a_user():
    message = one(
        Text("see"),
        PICTURE,
        Image(url="https://x/a.png", detail="low"),
        Audio("QUJD", "wav"),
        Document("application/pdf", "JVBERi0="),
        Document("application/pdf", "JVBERi0=", name="b.pdf"),
        Document(text="plain", name="c.txt"),
        Document("text/csv", "YSxi"),
    )
    file = "data:application/pdf;base64,JVBERi0="
    assert message["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": file}},
        {"type": "file", "file": {"filename": "b.pdf", "file_data": file}},
        {"type": "text", "text": "c.txt\n\nplain"},
        {"type": "text", "text": "a,b"},
    ]


def test_files_that_openai_keeps_are_for_openai():
    kept = Document(file_id="file-1")
    assert one(kept, model="gpt-5.2")["content"] == [{"type": "file", "file": {"file_id": "file-1"}}]
    for parts, model in (
        ([kept], "llama"),
        ([Document(file_id="file_01")], "gpt-5.2"),
        ([Document(url="https://x")], "m"),
        ([Image(file_id="f")], "m"),
    ):
        with pytest.raises(PenstockError) as caught:
            one(*parts, model=model)
        assert caught.value.code == "cannot_translate"


def test_results_come_first_and_their_pictures_in_a_message_of_the_user():
    messages = write(Turn("user", [Text("and?"), ToolResult("a", [Text("1"), PICTURE]), ToolResult("b", [PICTURE]), ToolResult("c", [])]))
    assert messages == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "The result is shown in the next message."},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "The result of the tool call a:"},
                {"type": "image_url", "image_url": {"url": URL}},
                {"type": "text", "text": "The result of the tool call b:"},
                {"type": "image_url", "image_url": {"url": URL}},
            ],
        },
        {"role": "user", "content": "and?"},
    ]


def test_what_failed_says_so():
    assert one(ToolResult("a", [Text("no such file")], failed=True))["content"] == "Error: no such file"
    assert one(ToolResult("a", [Text("error: x")], failed=True))["content"] == "error: x"


def test_an_assistant():
    message = one(Text("Let"), Text(" me"), ToolCall("a", "f", ""), role="assistant")
    assert message == {"role": "assistant", "content": "Let me", "tool_calls": [called()]}
    assert one(ToolCall("a", "f", "{}"), role="assistant")["content"] is None
    assert one(role="assistant") == {"role": "assistant", "content": ""}


def test_calls_that_were_made_together_are_in_one_message():
    turns = (
        Turn("assistant", [Thought("hm"), Text("First")]),
        Turn("assistant", [ToolCall("a", "f", "{}")]),
        Turn("assistant", [Text("second"), ToolCall("b", "f", "{}")]),
        Turn("user", [ToolResult("a", [Text("1")])]),
        Turn("user", [ToolResult("b", [Text("2")])]),
    )
    assistant, *results = write(*turns)
    assert assistant == {"role": "assistant", "content": "First\n\nsecond", "tool_calls": [called("a"), called("b")]}
    assert [result["tool_call_id"] for result in results] == ["a", "b"]
    assert len(write(Turn("assistant", [Text("a")]), Turn("assistant", [Text("b")]))) == 2


def test_refusals():
    assert one(Refusal("no"), role="assistant", model="gpt-5.2") == {"role": "assistant", "content": None, "refusal": "no"}
    assert one(Refusal("no"), role="assistant") == {"role": "assistant", "content": "no"}


def test_thoughts_of_others_are_dropped_and_those_in_words_alone_silently():
    dropped = Dropped()
    [message] = write(Turn("assistant", [Thought("hm", "SIG", wire="messages"), Text("a")]), dropped=dropped)
    assert (message, list(dropped.names)) == ({"role": "assistant", "content": "a"}, ["thinking"])
    dropped = Dropped()
    write(Turn("assistant", [Thought("hm"), Text("a")]), dropped=dropped)
    assert not dropped.names


def test_thoughts_of_chat_providers_come_back_as_they_were():
    detail = {"type": "reasoning.text", "signature": "SIG", "format": "anthropic-claude-v1"}
    secret = {"type": "reasoning.encrypted", "data": "D", "id": "rs"}
    message = one(Thought("hm", proof_of(detail), wire="chat"), Thought("", "", proof_of(secret), "rs", "chat"), role="assistant")
    assert message["reasoning_details"] == [{**detail, "text": "hm", "index": 0}, {**secret, "index": 1}]


def test_deepseek_wants_its_reasoning_back_with_calls_be_it_empty():
    assert one(Thought("hm"), ToolCall("a", "f", "{}"), role="assistant", model="deepseek-v4-pro")["reasoning_content"] == "hm"
    assert one(ToolCall("a", "f", "{}"), role="assistant", model="deepseek-v4-pro")["reasoning_content"] == ""
    assert "reasoning_content" not in one(Text("a"), role="assistant", model="deepseek-v4-pro")


def test_signatures_go_back_to_google_alone():
    call = ToolCall("a", "f", "{}", signature="SIG")
    assert one(call, role="assistant", model="gemini-3-pro")["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "SIG"}}
    assert one(call, role="assistant")["tool_calls"] == [called()]


def test_custom_calls():
    call = ToolCall("a", "c", "free", custom=True)
    assert one(call, role="assistant", model="gpt-5.2")["tool_calls"] == [
        {"id": "a", "type": "custom", "custom": {"name": "c", "input": "free"}}
    ]
    assert one(call, role="assistant")["tool_calls"] == [called("a", "c", '{"input":"free"}')]


@pytest.mark.parametrize(("model", "size"), [("gpt-5.2", 29), ("mistral-large", 9)])
def test_ids_that_are_not_allowed_are_changed_alike(model, size):
    long = "toolu_" + "x" * 60
    messages = write(Turn("assistant", [ToolCall(long, "f", "{}")]), Turn("user", [ToolResult(long, [Text("1")])]), model=model)
    assert len(messages[1]["tool_call_id"]) == size
    assert messages[0]["tool_calls"][0]["id"] == messages[1]["tool_call_id"]


def test_marked_texts_of_an_assistant_and_of_results():
    turns = (
        Turn("assistant", [Text("a", "5m")]),
        Turn("assistant", [Text("b"), ToolCall("a", "f", "{}")]),
        Turn("user", [ToolResult("a", [Text("1")], cache="5m")]),
    )
    assistant, result = write(*turns, model="anthropic/claude-x")
    mark = {"type": "ephemeral"}
    assert assistant["content"] == [{"type": "text", "text": "a", "cache_control": mark}, {"type": "text", "text": "b"}]
    assert result["content"] == [{"type": "text", "text": "1", "cache_control": mark}]


def test_pictures_that_a_model_has_made_are_dropped():
    dropped = Dropped()
    write(Turn("assistant", [PICTURE]), dropped=dropped)
    assert list(dropped.names) == ["image"]
