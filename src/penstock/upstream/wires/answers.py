"""Answers: the few fields that are read from JSON a provider sent, whole, mistyped or cut off at the front. Nothing here raises."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Generic, TypeVar

import msgspec

COUNT_LIMIT = 10**12
"""No figure of a provider counts for more: beyond it the cost would not fit into 64 bits."""
TAIL_LIMIT = 64 * 1024
_KEYS_LIMIT = 16
_EVERYBODYS = frozenset(("default", "standard", "auto", "standard_only", ""))

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_LIMIT)]
"""A quantity a provider reports. What is not one (negative, a float, a string of digits) goes the slow way, and is made one."""

_KEY = re.compile(rb'"(?:usage|service_tier)"[ \t\r\n]*+:')
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)

T = TypeVar("T")


class Reader(Generic[T]):
    """Reads JSON objects as the struct `shape`.

    `openings` are what stands before the key "usage" where it is looked for in an object that lacks its beginning: `{` for
    the top level, `{"response":{` for one level down. What follows the key must close exactly these, so a "usage" that is
    deeper, or inside a string, is not taken for it. `key` finds the key, where it has another name.
    """

    def __init__(self, shape: type[T], *openings: bytes, key: re.Pattern[bytes] = _KEY) -> None:
        self._shape = shape
        self._key = key
        self._openings = openings or (b"{",)
        self._decode = msgspec.json.Decoder(shape).decode

    def read(self, data: bytes) -> T | None:
        """The struct; None if there is none to be found."""
        try:
            return self._decode(data)
        except msgspec.ValidationError:
            return self._tidied(data) or self._from_tail(data)
        except _UNREADABLE:
            return self._from_tail(data)

    def _tidied(self, data: bytes) -> T | None:
        try:
            return msgspec.convert(_tidy(msgspec.json.decode(data)), self._shape, strict=False)
        except _UNREADABLE:
            return None

    def _from_tail(self, data: bytes) -> T | None:
        tail = data[-TAIL_LIMIT:]
        found = None
        for match in [*self._key.finditer(tail)][: -_KEYS_LIMIT - 1 : -1]:
            for opening in self._openings:
                candidate = opening + tail[match.start() :]
                try:
                    found = self._decode(candidate)
                except msgspec.ValidationError:
                    found = self._tidied(candidate) or found
                except _UNREADABLE:
                    continue
        return found


def _tidy(value: Any) -> Any:
    """Numbers as counts: whole, and within the limit. Seconds are rounded up with them."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        value = float(value)
    if isinstance(value, float):
        value = math.ceil(value) if math.isfinite(value) else 0
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, 0), COUNT_LIMIT)
    return value


def tier(value: Any) -> str | None:
    """The service tier as `Usage` has it: None for the one that everybody gets."""
    if type(value) is not str or value in _EVERYBODYS:
        return None
    return value if len(value) <= 32 and value.isprintable() else None
