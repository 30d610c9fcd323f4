"""Moments and spans of time: milliseconds since 1970 (UTC), and how people write them."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta

_SPAN = re.compile(r"(\d+)\s*(s|m|h|d|w)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LAST_S = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


def now_ms() -> int:
    """The wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def parse_span_s(text: str) -> int:
    """`45s`, `30m`, `24h`, `30d` or `2w` in seconds. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is not a span of time; write 45s, 30m, 24h, 30d or 2w")
    return int(found[1]) * _SECONDS[found[2]]


def parse_moment_ms(text: str, at_ms: int) -> int:
    """A moment as people write it: a span from `at_ms`, a date (its end, UTC), or ISO 8601 (UTC unless it names a zone).

    Raises ValueError.
    """
    text = text.strip()
    moment_s = at_ms // 1000 + parse_span_s(text) if _SPAN.fullmatch(text) else int(_parse_iso(text).timestamp())
    if moment_s >= _LAST_S:
        raise ValueError(f"'{text}' is too far away")
    return moment_s * 1000


def _parse_iso(text: str) -> datetime:
    try:
        if len(text) == len("2026-12-31"):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time(), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"'{text}' is not a moment; write 30d, 2026-12-31 or 2026-12-31T18:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def iso(at_ms: int) -> str:
    """ISO 8601 in UTC, to the second: `2026-12-31T18:00:00Z`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_ms(at_ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond: `2026-12-31T18:00:00.123Z`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
