from __future__ import annotations

import pytest

from penstock.upstream.bridges.chat.said import as_text, picture, pieces, reasoning, settled, stop_of, word
from penstock.upstream.bridges.conversation import Image, Refusal, Text, Thought


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "end"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("tool_calls", "tools"),
        ("function_call", "tools"),
        ("content_filter", "refusal"),
        ("SAFETY", "refusal"),
        ("error", "error"),
        ("other", "end"),
        (None, "end"),
        (5, "end"),
    ],
)
def test_reasons(reason, stop):
    assert stop_of(reason) == stop


def test_reasons_fit_what_was_said():
    assert settled("end", calls=True, refused=False) == "tools"
    assert settled("tools", calls=False, refused=False) == "end"
    assert settled("end", calls=False, refused=True) == "refusal"
    assert settled("length", calls=True, refused=True) == "length"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, []),
        ("", []),
        ("a", [Text("a")]),
        (1, [Text("1")]),
        (True, [Text("true")]),
        (["a", 5, None, {"type": "text", "text": "b"}], [Text("a"), Text("b")]),
        ({"type": "text", "text": "a"}, [Text("a")]),
        ([{"type": "thinking", "thinking": "hm"}], [Thought("hm")]),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}], [Thought("hm")]),
        ([{"type": "refusal", "refusal": "no"}, {"type": "refusal"}], [Refusal("no")]),
        ([{"type": "image_url", "image_url": {"url": "https://x"}}, {"type": "image_url"}], [Image(url="https://x")]),
        ([{"type": "reference", "reference_ids": [1]}], []),
    ],
)
def test_pieces(content, expected):
    assert pieces(content) == expected


def test_text():
    assert as_text("a") == "a"
    assert as_text({"a": 1}) == '{"a":1}'
    assert as_text(None) == ""
    assert (word("a"), word(5)) == ("a", "")


def test_reasoning_is_said_once():
    details = [{"text": "c"}, {"summary": "d"}, 5]
    assert reasoning("a", "b", details) == "a"
    assert reasoning("", "b", details) == "b"
    assert reasoning(None, {"not": "text"}, details) == "cd"
    assert reasoning(None, None, "x") == ""


def test_pictures():
    assert picture({"image_url": "data:image/gif;base64,QUJD"}) == Image("image/gif", "QUJD")
    assert picture({"image_url": {"url": 5}}) is picture(None) is None
