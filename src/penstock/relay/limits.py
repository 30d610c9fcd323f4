"""Limits as answers show them: header lines that tell a client how much of its limits is left, in its own dialect."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from penstock.kit.clock import iso

if TYPE_CHECKING:
    from penstock.billing.door import Funds, Share
    from penstock.relay.exchange import Exchange

_PROVIDERS_OWN = (b"x-ratelimit-", b"anthropic-ratelimit-")
_OPENAI = b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"
_ANTHROPIC = (
    b"anthropic-ratelimit-%b-limit: %d\r\nanthropic-ratelimit-%b-remaining: %d\r\nanthropic-ratelimit-%b-reset: %b\r\n"
)  # fmt: skip


class Standing(NamedTuple):
    """One limit of a caller now: how much it is, what is left of it, and when it is whole again."""

    limit: int
    remaining: int
    reset_at_ms: int


def show_limits(exchange: Exchange, funds: Funds) -> None:
    """Have the answer show how much of the caller's limits per minute is left, instead of what the provider says of its own."""
    requests, tokens = _tightest(funds.rpm), _tightest(funds.tpm)
    if requests is not None or tokens is not None:
        exchange.limits = limit_lines(exchange.dialect.name, time.time_ns() // 1_000_000, requests, tokens)


def _tightest(shares: list[Share]) -> Standing | None:
    """The limit of which the least is left, here and in its purse; what other processes have on lease is not known."""
    tightest: Standing | None = None
    for share in shares:
        remaining = share.left + share.amount - share.spent - share.held
        if tightest is None or remaining < tightest.remaining:
            tightest = Standing(share.want.limit or 0, remaining, share.until_ms or 0)
    return tightest


def limit_lines(dialect: str, now_ms: int, requests: Standing | None, tokens: Standing | None = None) -> list[bytes]:
    """The header lines for limits of requests and of tokens per minute, where there are any.

    In Anthropic's dialect `anthropic-ratelimit-requests-limit` and its kin, the reset in RFC 3339; else OpenAI's
    `x-ratelimit-limit-requests`, the reset as a span such as `6m0s`.
    """
    lines = []
    shown_at_ms, reset = -1, b""
    for name, standing in ((b"requests", requests), (b"tokens", tokens)):
        if standing is None:
            continue
        limit, remaining, reset_at_ms = standing
        remaining = min(remaining, limit) if remaining > 0 else 0
        anthropic = dialect == "anthropic"
        if reset_at_ms != shown_at_ms:  # mostly both end with the same minute
            shown_at_ms = reset_at_ms
            reset = iso(max(reset_at_ms, now_ms) + 999).encode() if anthropic else span(reset_at_ms - now_ms)
        lines.append((_ANTHROPIC if anthropic else _OPENAI) % (name, limit, name, remaining, name, reset))
    return lines


def span(length_ms: int) -> bytes:
    """A span of time as OpenAI writes it: `0s`, `120ms`, `1.5s`, `6m0s`, `1h0m0s`."""
    if length_ms <= 0:
        return b"0s"
    if length_ms < 1000:
        return b"%dms" % length_ms
    minutes, rest_ms = divmod(length_ms, 60_000)
    seconds = b"%gs" % (rest_ms / 1000)
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%b" % (hours, minutes, seconds) if hours else b"%dm%b" % (minutes, seconds)


def without_limits(lines: list[bytes]) -> list[bytes]:
    """Header lines without those about the provider's limits, which are those of the operator and not of the caller."""
    return [line for line in lines if not line.startswith(_PROVIDERS_OWN)]
