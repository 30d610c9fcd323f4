"""Content: messages in the form of the conventions, from any wire; what is not understood is given as it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_answers import chat_answer, chat_events, messages_events, responses_events
from penstock.telemetry.content import input_messages, output_messages


def said(role, *texts):
    return {"role": role, "parts": [{"type": "text", "content": text} for text in texts]}


@pytest.mark.parametrize(("body", "messages"), [
    ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}]},
     [said("user", "a"), said("assistant", "b")]),
    ({"system": "s", "messages": []}, [said("system", "s")]),
    ({"instructions": "s", "input": "a"}, [said("system", "s"), said("user", "a")]),
    ({"input": ["a", {"role": "developer", "content": "b"}]}, [said("user", "a"), said("developer", "b")]),
    ({"contents": [{"role": "user", "parts": [{"text": "a"}]}]}, [said("user", "a")]),
    ({"prompt": "a"}, [said("user", "a")]),
    ({}, []),
])  # fmt: skip
def test_what_was_asked(body, messages):
    assert json.loads(input_messages(json.dumps(body).encode())) == messages


@pytest.mark.parametrize(("body", "text"), [
    (json.dumps(chat_answer("Hi.")).encode(), "Hi."),
    (json.dumps({"content": [{"type": "text", "text": "Hi."}]}).encode(), "Hi."),
    (json.dumps({"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi."}]}}]}).encode(), "Hi."),
    (json.dumps({"choices": [{"text": "Hi."}]}).encode(), "Hi."),
    (b"".join(chat_events(2)), " word0 word1"),
    (b"".join(messages_events(2)), " word0 word1"),
    (b"".join(responses_events(2)), " word0 word1"),
    (b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n', "a"),
    (b'{"cut off', '{"cut off'),
    (b"\xff", "\ufffd"),
])  # fmt: skip
def test_what_was_answered(body, text):
    assert json.loads(output_messages(body)) == [said("assistant", text)]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["messages", "content", "role", "parts", "text", "choices", "delta", "candidates", "input", "output", "message"]), inner
), max_leaves=12)  # fmt: skip


@given(
    JSON | st.dictionaries(st.sampled_from(["messages", "contents", "input", "choices", "candidates", "delta", "content", "output"]), JSON)
)
def test_anything_becomes_messages(value):
    body = json.dumps(value).encode()
    for messages in (input_messages(body), output_messages(body), output_messages(b"data: " + body + b"\n\n")):
        assert all(message["role"] and isinstance(message["parts"], list) for message in json.loads(messages))
