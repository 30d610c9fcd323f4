"""Unsealed: what other providers have proved is taken out, and nothing else is touched."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Thought
from penstock.upstream.bridges.sealed import MARK, seal
from penstock.upstream.bridges.unsealed import IN_BASE64, has_sealed, without_sealed

WORD = seal(Thought(signature="s", wire="responses"))
GOOGLES = b64encode(WORD.encode()).decode()
TEXT = {"type": "text", "text": f"about {MARK}"}


def test_both_marks_are_the_beginning_of_a_sealed_word():
    assert WORD.startswith(MARK) and GOOGLES.startswith(IN_BASE64)
    for wire in ("chat", "messages", "count_tokens", "responses"):
        assert has_sealed(wire, WORD.encode()) and not has_sealed(wire, b"~ is no mark")
    assert has_sealed("gemini", GOOGLES.encode()) and not has_sealed("gemini", WORD.encode())
    assert not has_sealed("embeddings", WORD.encode())


@pytest.mark.parametrize(("before", "after"), [
    (
        {"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": WORD}, TEXT]}]},
        {"messages": [{"role": "assistant", "content": [TEXT]}]},
    ),
    (
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": WORD}]}]},
        {"messages": [{"role": "user", "content": "a"}]},
    ),
    (
        {"input": [{"type": "reasoning", "summary": [], "encrypted_content": WORD}, {"type": "message", "role": "user", "content": "a"}]},
        {"input": [{"type": "message", "role": "user", "content": "a"}]},
    ),
    (
        {"messages": [{"role": "assistant", "content": "a", "reasoning_details": [{"type": "reasoning.encrypted", "data": WORD}]}]},
        {"messages": [{"role": "assistant", "content": "a", "reasoning_details": []}]},
    ),
    (
        {"contents": [{"parts": [{"thought": True, "thoughtSignature": GOOGLES}, {"text": "a", "thoughtSignature": GOOGLES}]}]},
        {"contents": [{"parts": [{"text": "a"}]}]},
    ),
])  # fmt: skip
def test_what_is_taken_out(before, after):
    assert json.loads(without_sealed(json.dumps(before).encode())) == after


@pytest.mark.parametrize("body", [
    b"", b"~psk1.", b'{"messages": [ {"role":"user","content":"~psk1. is a mark"} ] }', b"[" * 100_000,
    b'{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"own"}]}]}',
])  # fmt: skip
def test_what_is_left_byte_for_byte(body):
    assert without_sealed(body) is body


@given(st.binary(max_size=60))
def test_nothing_raises(body):
    assert isinstance(without_sealed(body), bytes)


@pytest.mark.parametrize(("model", "left"), [("gemini-3-pro-preview", "skip_thought_signature_validator"), ("gemini-2.5-flash", None)])
def test_calls_say_to_a_gemini_that_another_model_has_made_them(model, left):
    part = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": GOOGLES}
    sent = json.loads(without_sealed(json.dumps({"contents": [{"parts": [part]}]}).encode(), model))
    assert sent["contents"][0]["parts"][0].get("thoughtSignature") == left


@pytest.mark.parametrize(("before", "thinks"), [([{"type": "thinking", "thinking": "x", "signature": "own"}], True), ([], False)])
def test_claude_does_not_think_in_the_middle_of_another_s_loop_of_tools(before, thinks):
    called = [*before, {"type": "thinking", "thinking": "x", "signature": WORD}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}]
    turns = [{"role": "assistant", "content": called}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]
    body = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [{"role": "user", "content": "a"}, *turns]}
    assert ("thinking" in json.loads(without_sealed(json.dumps(body).encode()))) is thinks
    body["messages"].append({"role": "user", "content": "b"})
    assert "thinking" in json.loads(without_sealed(json.dumps(body).encode()))
