"""Limits as answers show them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.relay.limits import Standing, limit_lines, span, without_limits

NOW_MS = 1_790_000_000_000


def headers(lines: list[bytes]) -> dict[str, str]:
    text = b"".join(lines).decode()
    assert not text or text.endswith("\r\n")
    return dict(line.split(": ", 1) for line in text.split("\r\n")[:-1])


def test_openais_headers():
    lines = limit_lines("openai", NOW_MS, Standing(60, 59, NOW_MS + 1_000), Standing(150_000, 149_984, NOW_MS + 360_000))
    assert headers(lines) == {
        "x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000", "x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-tokens": "6m0s",
    }  # fmt: skip


def test_responses_are_openais_too():
    assert headers(limit_lines("responses", NOW_MS, Standing(1, 0, NOW_MS)))["x-ratelimit-reset-requests"] == "0s"


def test_anthropics_headers():
    lines = limit_lines("anthropic", NOW_MS, Standing(50, 49, NOW_MS + 30_000), Standing(40_000, 0, NOW_MS + 30_001))
    assert headers(lines) == {
        "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:50Z", "anthropic-ratelimit-tokens-limit": "40000",
        "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-09-21T14:13:51Z",
    }  # fmt: skip


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "responses"])
def test_without_limits_nothing_is_shown(dialect):
    assert limit_lines(dialect, NOW_MS, None, None) == []


@pytest.mark.parametrize(
    ("length_ms", "text"),
    [(-5, "0s"), (0, "0s"), (1, "1ms"), (999, "999ms"), (1000, "1s"), (1500, "1.5s"), (59_999, "59.999s"),
     (60_000, "1m0s"), (360_000, "6m0s"),
     (61_500, "1m1.5s"), (3_600_000, "1h0m0s"), (86_400_000, "24h0m0s")],
)  # fmt: skip
def test_spans_are_written_as_openai_does(length_ms, text):
    assert span(length_ms) == text.encode()


@given(st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_what_is_shown_makes_sense(limit, remaining, after_ms):
    for dialect in ("openai", "anthropic"):
        shown = headers(limit_lines(dialect, NOW_MS, Standing(limit, remaining, NOW_MS + after_ms)))
        left = next(int(value) for name, value in shown.items() if "remaining" in name)
        assert 0 <= left <= limit
        if dialect == "anthropic":
            reset = datetime.fromisoformat(shown["anthropic-ratelimit-requests-reset"]).timestamp() * 1000
            assert NOW_MS + max(after_ms, 0) <= reset < NOW_MS + max(after_ms, 0) + 1000


def test_the_providers_limits_are_taken_out():
    ours = [b"content-type: a\r\n", b"x-request-id: b\r\n"]
    theirs = [b"x-ratelimit-limit-requests: 1\r\n", b"anthropic-ratelimit-input-tokens-limit: 2\r\n", b"x-ratelimit-reset-tokens: 3\r\n"]
    assert without_limits([ours[0], *theirs, ours[1]]) == ours
