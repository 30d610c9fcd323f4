from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.messages import words


@given(st.text(max_size=300))
def test_ids_are_ones_that_anthropic_allows_and_always_the_same(given_id):
    found = words.call_id(given_id)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", found)
    assert found == words.call_id(given_id)


def test_an_allowed_id_stays():
    assert words.call_id("call_abc-1") == "call_abc-1"
    assert words.message_id("msg_01X", "req_1") == "msg_01X"


def test_a_message_id_is_anthropics():
    assert re.fullmatch(r"msg_[a-z2-7]{24}", words.message_id("chatcmpl-1", "req_1"))
    assert words.message_id("", "req_1") != words.message_id("", "req_2")


@given(st.text(max_size=200))
def test_names_are_ones_that_anthropic_allows_and_always_the_same(name):
    sent = words.sent_name(name)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", sent)
    assert sent == words.sent_name(name)


def test_names_that_differ_still_do():
    assert words.sent_name("get_weather") == "get_weather"
    assert len({words.sent_name(name) for name in ("a.b", "a/b", "a_b", "n" * 200, "n" * 201)}) == 5


def test_arguments_are_an_object():
    assert words.arguments_of({"a": 1}) == '{"a":1}'
    assert words.arguments_of([1]) == words.arguments_of(None) == "{}"
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    assert words.arguments_of(deep) == "{}"


def test_every_reason_to_stop_is_read_and_written():
    assert {words.STOPS[reason] for reason in words.REASONS.values()} == set(words.REASONS)
