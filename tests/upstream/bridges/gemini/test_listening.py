"""Streams of Google's: heard as they are, cut anywhere, and never raising."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_replies import REPLIES
from penstock.kit.sse import split
from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.conversation import Asked, Failure, Image, ToolCall
from penstock.upstream.bridges.gemini import SIDE
from penstock.upstream.bridges.gemini.replies import read_reply
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

ABOUT = About(Asked("m", [], shows_thoughts=True), "m", "req_1", 0)


class Told:
    """A teller that writes down what it is told."""

    def __init__(self) -> None:
        self.ended = False
        self.steps: list[tuple] = []

    def __getattr__(self, name: str):
        def tell(*arguments: object, **named: object) -> None:
            assert not self.ended
            self.steps.append((name, *arguments, *named.values()))
            self.ended = name in ("end", "fail")

        return tell


def hear(*events: dict | bytes, over: bool = False) -> list[tuple]:
    teller = Told()
    listener = SIDE.listener(teller)
    for event in events:
        listener.event(event if isinstance(event, bytes) else b"data: %b\r\n\r\n" % json.dumps(event).encode())
    if over:
        listener.over()
    return teller.steps


def chunk(*parts: dict, finish: str | None = None, **more: object) -> dict:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0} | ({"finishReason": finish} if finish else {})
    return {"candidates": [candidate], "responseId": "r", "modelVersion": "v"} | more


def test_a_stream_is_told_in_order():
    steps = hear(
        b": comment\n\n",
        chunk({"text": "hm", "thought": True}, usageMetadata={"promptTokenCount": 5}),
        chunk({"text": "", "thought": True, "thoughtSignature": "c2ln"}),
        chunk({"text": "Hel"}),
        chunk({"text": "lo"}, {"text": ""}, {"codeExecutionResult": {}}),
        chunk({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}}),
        chunk(
            {"functionCall": {"name": "f", "args": {"a": 1}, "id": "x"}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "g", "id": "y"}},
        ),
        chunk({"text": ""}, finish="STOP", usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 7}),
        chunk({"text": "too late"}),
        over=True,
    )
    assert steps == [
        ("begin", "r", "v", Usage(input_tokens=5)),
        ("thought", "hm"),
        ("signed", "c2ln", "gemini"),
        ("text", "Hel"),
        ("text", "lo"),
        ("image", Image("image/png", "AAAA")),
        ("tool", 0, "x", "f", "c2ln"),
        ("arguments", 0, '{"a": 1}'),
        ("tool", 1, "y", "g", ""),
        ("arguments", 1, "{}"),
        ("end", "tools", Usage(input_tokens=5, output_tokens=7)),
    ]


def test_calls_without_ids_get_some_of_their_own():
    steps = hear(chunk({"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}, finish="STOP"))
    ids = [step[2] for step in steps if step[0] == "tool"]
    assert len(set(ids)) == 2
    assert all(one.startswith("call_") and len(one) <= 40 for one in ids)


@pytest.mark.parametrize(
    ("event", "last"),
    [
        (chunk({"text": "x"}, finish="MAX_TOKENS"), ("end", "length", Usage())),
        (chunk({"text": "x"}, finish="MALFORMED_FUNCTION_CALL"), ("end", "end", Usage())),
        (
            chunk(finish="MALFORMED_FUNCTION_CALL"),
            ("fail", Failure(502, "The model has said nothing and ended with MALFORMED_FUNCTION_CALL.", "MALFORMED_FUNCTION_CALL")),
        ),
        (chunk(finish="STOP"), ("end", "end", Usage())),
        (
            {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}},
            ("end", "refusal", Usage(input_tokens=3)),
        ),
        (chunk(finish="SAFETY"), ("end", "refusal", Usage())),
        ({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}, ("fail", Failure(503, "Overloaded", "UNAVAILABLE"))),
        ({"error": 1}, ("fail", Failure(502, "The provider has reported an error.", "upstream_broken"))),
        (
            chunk({"text": "x"}, finish="FINISH_REASON_UNSPECIFIED"),
            ("fail", Failure(502, "The provider's answer broke off.", "upstream_broken")),
        ),
        (b"data: nonsense\n\n", ("fail", Failure(502, "The provider's answer broke off.", "upstream_broken"))),
    ],
)
def test_how_it_ends(event, last):
    steps = hear(event, over=True)
    assert steps[-1] == last
    if last[1] == "refusal":
        assert steps[-2][0] == "refusal"


def test_other_candidates_are_not_heard():
    other = {"candidates": [{"index": 1, "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]}
    assert [step[0] for step in hear(other)] == ["begin"]


@given(REPLIES)
@settings(max_examples=60)
def test_a_stream_of_our_own_is_heard_as_it_was_told(reply):
    first = SIDE.teller(ABOUT)
    retell(reply, first)
    written = first.take()
    second = SIDE.teller(ABOUT)
    listener = SIDE.listener(second)
    for event in split(written):
        listener.event(event)
    listener.over()
    assert _joined(second.take()) == _joined(written)


def _joined(data: bytes) -> tuple:
    chunks = [json.loads(event[6:]) for event in split(data)]
    parts = [part for one in chunks for part in one["candidates"][0]["content"]["parts"]]
    last = {**chunks[-1]}
    last["candidates"] = [{"content": {"parts": parts}, "finishReason": last["candidates"][0]["finishReason"]}]
    reply = read_reply(json.dumps(last).encode())
    for part in reply.parts:
        if isinstance(part, ToolCall):
            part.arguments = json.loads(part.arguments)
    return (reply.parts, reply.stop, reply.usage)


KEYS = st.sampled_from(
    [
        "candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "finishReason", "usageMetadata",
        "promptFeedback", "blockReason", "error", "index",
    ]
)  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            KEYS,
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(st.lists(st.one_of(st.binary(max_size=40), ANY.map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n")), max_size=4))
def test_nothing_raises(events):
    steps = hear(*events, over=True)
    assert [step[0] in ("end", "fail") for step in steps].count(True) == 1


def test_a_call_of_nothing_is_none():
    assert not [step for step in hear(chunk({"functionCall": {"name": "", "args": {}}})) if step[0] in ("tool", "arguments")]
