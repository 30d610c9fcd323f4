from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.wires.answers import COUNT_LIMIT, Count, Reader, tier


class Usage(msgspec.Struct):
    tokens: Count | None = None


class Answer(msgspec.Struct):
    usage: Usage | None = None
    service_tier: Any = None


class Event(msgspec.Struct):
    response: Answer | None = None


ANSWER = Reader(Answer)
EVENT = Reader(Event, b'{"response":{')


def tokens(body: bytes) -> int | None:
    answer = ANSWER.read(body)
    return answer.usage.tokens if answer is not None and answer.usage is not None else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"5", 5),
        (b"0", 0),
        (b"5.0", 5),
        (b"5.2", 6),
        (b'"7"', 7),
        (b"-3", 0),
        (b"-3.5", 0),
        (b"1e30", COUNT_LIMIT),
        (b"9" * 40, COUNT_LIMIT),
        (b"null", None),
        (b'"many"', None),
        (b"{}", None),
        (b"[]", None),
        (b"1e999", None),
        (b"true", None),
    ],
)
def test_figures_that_are_not_counts_are_made_counts_or_ignored(text, expected):
    assert tokens(b'{"usage":{"tokens":' + text + b"}}") == expected


def test_unknown_fields_and_nulls():
    assert tokens(b'{"usage":null}') is None
    assert tokens(b'{"usage":{"tokens":1,"neurons":2.5},"x":[{"usage":{"tokens":9}}]}') == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'"usage"', b"\xff\xfe", b'{"usage":', b"[" * 100_000, b'{"usage":' + b"[" * 5000]
)
def test_what_cannot_be_read_is_nothing(body):
    assert tokens(body) is None


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b'ext","usage":{"tokens":5}}', 5),
        (b'ext","usage" : {"tokens" : 5}}\n', 5),
        (b'ext"},{"usage":{"tokens":9}}],"usage":{"tokens":5},"x":1}', 5),
        (b'ext","usage":{"tokens":5},"choices":[{"usage":{"tokens":9}}]}', 5),
        (b'ext \\"usage\\":{\\"tokens\\":9}","usage":{"tokens":5}}', 5),
        (b'ext","inner":{"usage":{"tokens":9}}}', None),
        (b'ext","usage":{"tokens":"5"}}', 5),
        (b'ext","usage":{"tokens":5}', None),
    ],
)
def test_the_end_of_an_answer(tail, expected):
    assert tokens(tail) == expected


def test_more_of_the_end_is_used_where_there_is_more():
    answer = ANSWER.read(b'x","service_tier":"flex","model":"m","usage":{"tokens":5},"z":1}')
    assert answer is not None
    assert (answer.service_tier, answer.usage.tokens) == ("flex", 5)


def test_one_level_down():
    event = EVENT.read(b'x"}],"usage":{"tokens":5},"user":null}}')
    assert event is not None
    assert event.response.usage.tokens == 5


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 10**6))
def test_any_cut_before_the_key_finds_it(cut, count):
    body = b'{"choices":[{"usage":{"tokens":1}},"' + b"x" * 100 + b'"],"model":"m","usage":{"tokens":%d},"a":{}}' % count
    at = min(cut, body.rindex(b'"usage"'))
    assert tokens(body[at:]) == count


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_break_it(body):
    ANSWER.read(body)
    ANSWER.read(b'{"usage":' + body)
    EVENT.read(body + b'"usage":{}}')


def test_tiers():
    assert [tier(value) for value in ("default", "standard", "auto", "", None, 5, {}, "x" * 40, "a\x00")] == [None] * 9
    assert [tier(value) for value in ("flex", "priority", "batch", "fast")] == ["flex", "priority", "batch", "fast"]
