"""Identifiers: sortable by time, unique across processes, made without a lock."""

from __future__ import annotations

import secrets
import time
from itertools import count

_PROCESS = secrets.token_hex(5)
_NUMBERS = count(secrets.randbelow(1 << 20))


def new_id(prefix: str, now_ms: int | None = None) -> str:
    """A new id such as `req_0192f0c1a2b3...`: 12 hex digits of milliseconds, 8 of a counter, 10 of the process."""
    when = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return "%s_%012x%08x%s" % (prefix, when, next(_NUMBERS) & 0xFFFFFFFF, _PROCESS)  # noqa: UP031  half the time of an f-string
