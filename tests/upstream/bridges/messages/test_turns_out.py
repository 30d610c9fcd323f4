from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Audio, Image, Part, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.messages.turns_out import MISSING, OPENING, Telling
from penstock.upstream.bridges.messages.words import sent_name

CALL, RESULT = ToolCall("t1", "f", '{"a":1}'), ToolResult("t1", [Text("ok")])
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
OK = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "ok"}]}
NONE = {"type": "tool_result", "tool_use_id": "t1", "content": MISSING, "is_error": True}


def told(*turns: Turn, dropped: Dropped | None = None) -> list[dict[str, Any]]:
    telling = Telling(dropped or Dropped())
    for turn in turns:
        telling.add(turn)
    return telling.finish()


def user(*parts: Part) -> Turn:
    return Turn("user", [*parts])


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", [*parts])


def words(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def test_turns_of_one_side_become_one():
    assert told(user(Text("a")), Turn("system", [Text("b")]), user(Text("c")), assistant(Text("d")), user(Text("e"))) == [
        {"role": "user", "content": [words("a"), words("b"), words("c")]},
        {"role": "assistant", "content": [words("d")]},
        {"role": "user", "content": [words("e")]},
    ]


def test_the_user_begins():
    assert told(assistant(Text("hi")), user(Text("a")))[0] == {"role": "user", "content": [words(OPENING)]}


def test_blank_texts_are_left_out():
    assert told(user(Text("a"), Text("  ")), assistant(Text("")), user(Text("b"))) == [
        {"role": "user", "content": [words("a"), words("b")]}
    ]


def test_results_stand_first():
    said = told(user(Text("go")), assistant(CALL), user(Text("also")), user(RESULT))
    assert said[1:] == [{"role": "assistant", "content": [USE]}, {"role": "user", "content": [OK, words("also")]}]


def test_every_call_has_a_result():
    asked = user(Text("go"))
    assert told(asked, assistant(CALL), user(Text("never mind")))[2]["content"] == [NONE, words("never mind")]
    assert told(asked, assistant(CALL))[2]["content"] == [NONE]
    assert told(asked, assistant(CALL), user(Text("a")), assistant(Text("b")))[2]["content"] == [NONE, words("a")]


def test_a_result_that_nobody_asked_for_is_text():
    late = told(user(Text("a")), user(ToolResult("t9", [Text("ok")], name="f")))
    assert late == [{"role": "user", "content": [words("a"), words("Result of the tool call f:"), words("ok")]}]
    twice = told(user(Text("a")), assistant(CALL), user(RESULT, RESULT))[2]["content"]
    assert twice == [OK, words("Result of the tool call t1:"), words("ok")]


def test_ids_used_again_are_told_apart():
    said = told(user(Text("a")), assistant(CALL), user(RESULT), assistant(CALL), user(RESULT))
    first, second = (message["content"][0]["id"] for message in said if message["role"] == "assistant")
    assert first == "t1" != second
    assert said[4]["content"][0]["tool_use_id"] == second


def test_ids_that_are_not_allowed_match_all_the_same():
    said = told(user(Text("a")), assistant(ToolCall("call:1", "a.b", "")), user(ToolResult("call:1", [Text("ok")], failed=True)))
    use, result = said[1]["content"][0], said[2]["content"][0]
    assert use["id"] == result["tool_use_id"]
    assert (use["name"], use["input"], result["is_error"]) == (sent_name("a.b"), {}, True)


def test_only_anthropics_own_thoughts_are_sent():
    dropped = Dropped()
    thoughts = [
        Thought("hm", "sig", wire="messages"),
        Thought(redacted="xx", wire="messages"),
        Thought("hm"),
        Thought("hm", "sig", wire="gemini"),
        Thought("not proved", wire="messages"),
    ]
    said = told(user(Text("a")), assistant(*thoughts, CALL), user(RESULT), dropped=dropped)
    assert said[1]["content"][:-1] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xx"},
    ]
    assert list(dropped.names) == ["thinking"]


def test_a_custom_tools_input():
    assert told(user(Text("a")), assistant(ToolCall("t", "p", "*** Begin", custom=True)))[1]["content"][0]["input"] == {
        "input": "*** Begin"
    }


def test_a_beginning_has_no_blank_at_its_end():
    assert told(user(Text("a")), assistant(Text("The answer is ")))[1]["content"] == [words("The answer is")]


def test_an_assistants_picture_is_left_out_by_name():
    dropped = Dropped()
    assert told(user(Text("a")), assistant(Image(url="u"), Refusal("no")), dropped=dropped)[1]["content"] == [words("no")]
    assert list(dropped.names) == ["image"]


def test_sound_is_refused():
    with pytest.raises(PenstockError) as caught:
        told(user(Audio("aa", "wav")))
    assert caught.value.code == "cannot_translate"


PARTS = st.one_of(
    st.builds(Text, st.sampled_from(["a", " ", "", "b\n"])),
    st.builds(ToolCall, st.sampled_from(["1", "2", "", "é"]), st.just("f"), st.sampled_from(["{}", "", "[1]", "{"])),
    st.builds(ToolResult, st.sampled_from(["1", "2", "", "é"]), st.just([Text("r")])),
    st.builds(Thought, st.just("t"), st.sampled_from(["", "s"]), wire=st.sampled_from(["messages", "gemini"])),
    st.just(Image(url="u")),
)


@given(st.lists(st.builds(Turn, st.sampled_from(["user", "assistant", "system"]), st.lists(PARTS, max_size=4)), max_size=6))
def test_any_conversation_keeps_anthropics_rules(turns):
    said = told(*turns)
    assert [message["role"] for message in said] == ["user", "assistant"] * (len(said) // 2) + ["user"] * (len(said) % 2)
    seen: list[str] = []
    for before, message in zip([None, *said], said, strict=False):
        kinds = [block["type"] for block in message["content"]]
        assert kinds
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        assert kinds[: len(results)] == ["tool_result"] * len(results)
        called = [block["id"] for block in before["content"] if block["type"] == "tool_use"] if before else []
        assert sorted(results) == sorted(called)
        seen += [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    assert len(seen) == len(set(seen))
    assert not said or "tool_use" not in [block["type"] for block in said[-1]["content"]]
