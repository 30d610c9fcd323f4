from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.workers.answers import Known, completion, reason, text_of, unwrapped, usage_of

KNOWN = Known(frozenset(("f",)), "public", "req_7", 5)
NAMES = [
    "result",
    "choices",
    "message",
    "content",
    "tool_calls",
    "response",
    "usage",
    "function",
    "name",
    "arguments",
    "finish_reason",
    "error",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "calls", "shown"),
    [
        ("stop", False, "stop"), ("stop", True, "tool_calls"), ("tool_calls", False, "stop"), ("model_length", False, "length"),
        ("length", True, "length"), ("error", False, "stop"), ("other", True, "tool_calls"), (None, False, "stop"), (7, False, "stop"),
        ("content_filter", False, "content_filter"),
    ],
)  # fmt: skip
def test_reasons(value, calls, shown):
    assert reason(value, calls=calls) == shown


def test_texts():
    assert [text_of(value) for value in ("a", 1, None, {"a": 1}, [{"text": "a"}, {"text": "b"}])] == ["a", "1", "", '{"a":1}', "ab"]


def test_usage():
    assert usage_of({"usage": {"prompt_tokens": 2, "completion_tokens": 3, "neurons": 1.5, "total_tokens": 99}}) == {
        "prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5,
    }  # fmt: skip
    assert usage_of({"metrics": {"input_tokens": 2}})["total_tokens"] == 2
    assert usage_of({}) is usage_of({"usage": {}}) is usage_of({"usage": {"prompt_tokens": "x"}}) is None


def test_the_envelope():
    assert unwrapped({"result": 1}) == 1
    assert unwrapped({"result": 1, "choices": []}) == {"result": 1, "choices": []}


def test_what_an_answer_lacks_is_filled_in():
    answer = completion(b'{"choices":[{"message":{"content":"a"}}]}', KNOWN)
    assert answer == {
        "id": "chatcmpl-7", "object": "chat.completion", "created": 5, "model": "public",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "a", "refusal": None}, "logprobs": None, "finish_reason": "stop"},
        ],
    }  # fmt: skip


def test_what_it_has_stays():
    body = {"id": "x", "created": 9, "model": "m", "system_fingerprint": "fp", "choices": [{"message": {"content": "a", "refusal": "r"}}]}
    answer = completion(json.dumps(body).encode(), KNOWN)
    assert (answer["id"], answer["created"], answer["model"], answer["system_fingerprint"]) == ("x", 9, "m", "fp")
    assert answer["choices"][0]["message"]["refusal"] == "r"


@pytest.mark.parametrize(
    ("body", "text"),
    [({"result": "a"}, "a"), ({"result": {"response": ""}}, ""), ({"choices": [{"text": "a"}]}, "a"), ({"response": "a"}, "a")],
)
def test_other_shapes(body, text):
    assert completion(json.dumps(body).encode(), KNOWN)["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b'"a"', b'{"result":{}}', b'{"result":null}', b'{"choices":[]}', b'{"choices":[{}]}']
)
def test_what_is_no_answer(body):
    failure = completion(body, KNOWN)
    assert isinstance(failure, Failure) and failure.status == 502


def test_a_text_that_is_not_of_the_tools():
    body = json.dumps({"choices": [{"message": {"content": '{"name":"g","arguments":{}}'}}]}).encode()
    assert completion(body, KNOWN)["choices"][0]["finish_reason"] == "stop"


@given(JSON)
def test_nothing_escapes(body):
    answer = completion(json.dumps(body).encode(), KNOWN)
    if not isinstance(answer, Failure):
        assert json.loads(json.dumps(answer))["choices"][0]["message"]["role"] == "assistant"
