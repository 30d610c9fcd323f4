from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Failure, Image, Stop
from penstock.upstream.bridges.messages import SIDE
from penstock.upstream.usage import Usage


class Notes:
    """A teller that writes down what it is told."""

    def __init__(self) -> None:
        self.ended = False
        self.told: list[tuple[Any, ...]] = []

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        self.told.append(("begin", reply_id, model, usage))

    def text(self, delta: str) -> None:
        self.told.append(("text", delta))

    def thought(self, delta: str) -> None:
        self.told.append(("thought", delta))

    def signed(self, signature: str, wire: str) -> None:
        self.told.append(("signed", signature, wire))

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        self.told.append(("redacted", data, wire))

    def refusal(self, delta: str) -> None:
        self.told.append(("refusal", delta))

    def image(self, image: Image) -> None:
        self.told.append(("image", image))

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        self.told.append(("tool", index, call_id, name))

    def arguments(self, index: int, delta: str) -> None:
        self.told.append(("arguments", index, delta))

    def end(self, stop: Stop, usage: Usage, stop_sequence: str | None = None) -> None:
        self.ended = True
        self.told.append(("end", stop, usage, stop_sequence))

    def fail(self, failure: Failure) -> None:
        self.ended = True
        self.told.append(("fail", failure.status, failure.kind))

    def take(self) -> bytes:
        return b""


def sse(**data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), json.dumps(data).encode())


def start(index: int, **block: Any) -> bytes:
    return sse(type="content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **fields: Any) -> bytes:
    return sse(type="content_block_delta", index=index, delta={"type": kind} | fields)


def stop(index: int) -> bytes:
    return sse(type="content_block_stop", index=index)


def heard(*events: bytes, over: bool = False) -> list[tuple[Any, ...]]:
    notes = Notes()
    listener = SIDE.listener(notes)
    for event in events:
        listener.event(event)
    if over:
        listener.over()
    return notes.told


BEGIN = sse(
    type="message_start",
    message={"id": "msg_1", "model": "claude", "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1}},
)
BEGUN = ("begin", "msg_1", "claude", Usage(input_tokens=9, cache_read_tokens=4, output_tokens=1))
REASON = sse(type="message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 30})
END = sse(type="message_stop")
ENDED = ("end", "tools", Usage(input_tokens=9, cache_read_tokens=4, output_tokens=30), None)


def test_a_whole_stream():
    assert heard(
        BEGIN,
        start(0, type="thinking", thinking="", signature=""),
        sse(type="ping"),
        b": a comment\n\n",
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="sig"),
        stop(0),
        start(1, type="redacted_thinking", data="xx"),
        stop(1),
        start(2, type="text", text=""),
        delta(2, "text_delta", text="Hi"),
        delta(2, "citations_delta", citation={}),
        stop(2),
        start(3, type="tool_use", id="toolu_1", name="f", input={}),
        delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"a":'),
        delta(3, "input_json_delta", partial_json="1}"),
        stop(3),
        REASON,
        END,
    ) == [
        BEGUN,
        ("thought", "hm"),
        ("signed", "sig", "messages"),
        ("redacted", "xx", "messages"),
        ("text", "Hi"),
        ("tool", 3, "toolu_1", "f"),
        ("arguments", 3, '{"a":'),
        ("arguments", 3, "1}"),
        ENDED,
    ]


def test_a_call_without_input_has_an_empty_object():
    assert heard(start(0, type="tool_use", id="t", name="f", input={}), stop(0)) == [("tool", 0, "t", "f"), ("arguments", 0, "{}")]


def test_an_input_that_comes_with_the_beginning_is_kept():
    assert heard(start(0, type="tool_use", id="t", name="f", input={"a": 1}), stop(0))[1] == ("arguments", 0, '{"a":1}')


def test_an_input_whose_block_is_not_closed_is_told_at_the_end():
    assert heard(BEGIN, start(0, type="tool_use", id="t", name="f", input={}), REASON, END)[-2:] == [("arguments", 0, "{}"), ENDED]


def test_what_ran_at_the_provider_is_passed_over():
    assert heard(
        start(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query":"x"}'),
        stop(0),
        start(1, type="web_search_tool_result", tool_use_id="s", content=[]),
        stop(1),
        start(2, type="text", text="Found."),
    ) == [("text", "Found.")]


def test_the_figures_of_a_stream_are_put_together():
    first = sse(
        type="message_start",
        message={"usage": {"input_tokens": 1, "cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 5}}},
    )
    last = sse(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 8, "output_tokens": "12"})
    assert heard(first, last, END)[-1] == ("end", "end", Usage(input_tokens=8, cache_write_1h_tokens=5, output_tokens=12), None)


def test_a_stop_sequence():
    reason = sse(type="message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "END"}, usage={"output_tokens": 1})
    assert heard(reason, END)[-1][1::2] == ("stop_sequence", "END")


def test_an_error_ends_it():
    assert heard(BEGIN, sse(type="error", error={"type": "overloaded_error", "message": "Overloaded"}), END, over=True) == [
        BEGUN,
        ("fail", 529, "overloaded_error"),
    ]


def test_the_end_without_its_marker():
    assert heard(BEGIN, REASON, over=True)[-1] == ENDED
    assert heard(BEGIN, REASON, END, over=True)[-1] == ENDED
    assert heard(BEGIN, over=True)[-1] == ("fail", 502, "upstream_broken")
    assert heard(over=True) == [("fail", 502, "upstream_broken")]


def test_events_without_a_name_or_a_type():
    assert heard(b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}') == [("text", "a")]
    assert heard(b'event: content_block_delta\r\ndata: {"index":0,"delta":{"type":"text_delta","text":"a"}}\r\n\r\n') == [("text", "a")]


TYPES = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "ping", "error",
     "text_delta", "tool_use", "input_json_delta", "thinking", "text", "end_turn"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["type", "index", "delta", "content_block", "message", "usage", "error", "text", "id", "name", "input", "partial_json", "stop_reason",
     "input_tokens", "output_tokens", "cache_creation", "iterations", "model", "signature"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TYPES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=10,
)


@given(
    st.lists(
        st.dictionaries(KEYS, JSON, max_size=6).map(lambda found: b"data: " + json.dumps(found).encode()) | st.binary(max_size=50),
        max_size=6,
    )
)
def test_nothing_makes_it_raise(events):
    told = heard(*events, over=True)
    assert [one[0] for one in told if one[0] in ("end", "fail")] == [told[-1][0]]


@pytest.mark.parametrize(
    "data", [b"data: " + b"[" * 100_000, b"data: {" + b'"a":{' * 50_000, b'data: {"type":"content_block_start","index":[]}']
)
def test_nor_does_nesting(data):
    assert heard(data) == []


def test_a_call_of_nothing_is_none():
    notes = Notes()
    listener = SIDE.listener(notes)
    for event in (start(0, type="tool_use", id="a", input={}), delta(0, "input_json_delta", partial_json="{}"), stop(0)):
        listener.event(event)
    assert not [told for told in notes.told if told[0] == "tool"]
