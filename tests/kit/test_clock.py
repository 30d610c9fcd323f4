"""Moments and spans as people write them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.clock import iso, now_ms, parse_moment_ms, parse_span_s

AT_MS = 1_700_000_000_000


def test_now_ms_is_the_wall_clock() -> None:
    before = time.time()
    assert before - 1 <= now_ms() / 1000 <= time.time()


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("30m", 1800), ("24h", 86_400), ("30d", 2_592_000), (" 2 w ", 1_209_600), ("0s", 0)]
)
def test_spans(text: str, seconds: int) -> None:
    assert parse_span_s(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "1 month", "٣d", "1d2h"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="not a span"):
        parse_span_s(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-12-31", "2027-01-01T00:00:00Z"),
        ("2026-12-31T18:00", "2026-12-31T18:00:00Z"),
        ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"),
        ("2026-12-31T18:00:00+08:00", "2026-12-31T10:00:00Z"),
        ("1d", iso(AT_MS + 86_400_000)),
    ],
)
def test_moments(text: str, shown: str) -> None:
    assert iso(parse_moment_ms(text, AT_MS)) == shown


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "2026-12-31T25:00", "31.12.2026", "99999999999d", "9999-12-31"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a moment|too far"):
        parse_moment_ms(text, AT_MS)


@given(st.text(max_size=30))
def test_anything_is_a_moment_or_refused(text: str) -> None:
    try:
        moment_ms = parse_moment_ms(text, AT_MS)
    except ValueError:
        return
    assert datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").lstrip("0") == iso(moment_ms).lstrip("0")
