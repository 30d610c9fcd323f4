"""Stickiness: what a request goes on with, found by a glance."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.sticky import LONG_BYTES, stickiness

LONG = "x" * 100_000
LINES = b"accept: */*\r\nuser-agent: test\r\n"


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def key(body: bytes = b"{}", forward: bytes = LINES, model: str = "m", who: str = "key_1") -> bytes | None:
    return stickiness(body, forward, model, who)


@pytest.mark.parametrize("name", ["prompt_cache_key", "previous_response_id"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n ")])
def test_fields_of_the_body(name, separators):
    for text in ("", LONG):
        for fields in ({name: "abc", "input": text}, {"input": text, name: "abc"}):
            found = key(json.dumps(fields, separators=separators).encode())
            assert found is not None
            assert found.endswith(b"\0abc")


def test_the_cache_key_counts_before_the_response():
    found = key(body(previous_response_id="resp_1", prompt_cache_key="abc"))
    assert found is not None
    assert found.endswith(b"\0abc")


@pytest.mark.parametrize("name", ["x-claude-code-session-id", "session_id", "x-session-affinity", "x-session-id", "conversation_id"])
@pytest.mark.parametrize("begin", [b"", LINES])
def test_headers(name, begin):
    found = key(forward=begin + f"{name}: abc\r\n".encode() + LINES)
    assert found is not None
    assert found.endswith(b"\0abc")


@pytest.mark.parametrize(
    "fields",
    [
        {"input": 'a text about "prompt_cache_key": "abc"'},
        {"input": "prompt_cache_key"},
        {"include": ["prompt_cache_key", "previous_response_id"]},
        {"prompt_cache_key": None},
        {"prompt_cache_key": ""},
        {"prompt_cache_key": 5, "previous_response_id": {}},
        {},
    ],
)
def test_what_says_nothing(fields):
    assert key(body(**fields)) is None


@pytest.mark.parametrize("line", [b"my-session_id: abc\r\n", b"x-session: abc\r\n", b"session_id: \r\n", b"note: session_id: abc\r\n"])
def test_headers_that_say_nothing(line):
    assert key(forward=LINES + line) is None


def test_long_conversations_are_known_by_how_they_begin():
    first = body(model="m", messages=[{"role": "system", "content": LONG}])
    more = body(model="m", messages=[{"role": "system", "content": LONG}, {"role": "user", "content": "and?"}])
    other = body(model="m", messages=[{"role": "system", "content": "y" + LONG}])
    assert key(first) == key(more) is not None
    assert key(first) != key(other)
    assert key(first[:LONG_BYTES]) is None


def test_callers_and_models_are_kept_apart():
    made = {key(body(prompt_cache_key="abc"), model=model, who=who) for model in ("m", "n") for who in ("key_1", "key_2")}
    assert len(made) == 4


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(max_size=5), st.integers(0, 9000))
def test_any_bytes(text, forward, model, filler):
    for begin in (b"", b'"prompt_cache_key"', b'"prompt_cache_key":"'):
        stickiness(begin + text + b" " * filler, forward, model, "key")
        stickiness(b" " * filler + begin + text, b"session_id: " + forward, model, "key")
