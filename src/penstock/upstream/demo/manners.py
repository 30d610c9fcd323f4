"""How the demo provider is told to behave: suffixes of the model's name, or the benchmark's `user` field."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

Fate = Literal["finish", "reset", "cut", "stall", "hang", "error"]

_UNITS = {"k": 1024, "m": 1024 * 1024}
_PACE = re.compile(r"(?:n(?P<events>\d{1,7}))?(?:d(?P<gap_ms>\d{1,6}(?:\.\d+)?))?")
_SLOW = re.compile(r"slow(?P<first_byte_ms>\d{1,7})")
_FAIL = re.compile(r"fail(?P<status>[45]\d\d)")
_BIG = re.compile(r"big(?P<size>\d{1,4})(?P<unit>[km])")
_USER = re.compile(r"n(?P<events>\d{1,7})(?:d(?P<gap_s>\d{1,4}(?:\.\d+)?))?")
_WORDS: dict[str, dict[str, object]] = {
    "flaky": {"flaky": True},
    "reset": {"fate": "reset"},
    "cut": {"fate": "cut"},
    "stall": {"fate": "stall"},
    "hang": {"fate": "hang"},
    "error": {"fate": "error"},
    "nousage": {"usage": False},
    "cached": {"cached": True},
    "tool": {"tool": True},
}


class UnknownMannersError(ValueError):
    """The model's name asks for something that the demo provider does not know."""


class Manners(msgspec.Struct, frozen=True, gc=False):
    """What one request is answered like. `fate` is how the answer ends; everything but `finish` is a fault."""

    fate: Fate = "finish"
    status: int = 0
    """Answer with this error status; 0 means succeed."""
    flaky: bool = False
    """Fail with 503 the first time a request is seen."""
    first_byte_s: float = 0.0
    events: int | None = None
    """Content events of a stream, and tokens of the text; None leaves both to the text."""
    gap_s: float = 0.0
    """Time between two content events, and from the last one to the end of the stream."""
    size: int = 0
    """Characters of the text; 0 leaves the length to the text."""
    usage: bool = True
    cached: bool = False
    tool: bool = False


PLAIN = Manners()


def _suffix(part: str) -> dict[str, object]:
    if part in _WORDS:
        return _WORDS[part]
    if found := _SLOW.fullmatch(part):
        return {"first_byte_s": int(found["first_byte_ms"]) / 1000}
    if found := _FAIL.fullmatch(part):
        return {"status": int(found["status"])}
    if found := _BIG.fullmatch(part):
        return {"size": int(found["size"]) * _UNITS[found["unit"]]}
    if part and (found := _PACE.fullmatch(part)):
        pace: dict[str, object] = {"gap_s": float(found["gap_ms"] or 0) / 1000}
        return pace | ({"events": max(1, int(found["events"]))} if found["events"] else {})
    raise UnknownMannersError(part)


@lru_cache(maxsize=1024)
def manners_of(model: str, user: str | None = None) -> Manners:
    """The manners that a model name such as `demo-slow500-n64d20` asks for; names without "demo-" ask for none.

    A `user` of the form `n64d0.02` (the gap in seconds) sets the pace for any model. Raises `UnknownMannersError`.
    """
    asked: dict[str, object] = {}
    _, found, suffixes = model.partition("demo-")
    for part in suffixes.split("-") if found else ():
        asked |= _suffix(part)
    if user and (pace := _USER.fullmatch(user)):
        asked |= {"events": max(1, int(pace["events"])), "gap_s": float(pace["gap_s"] or 0)}
    return msgspec.convert(asked, Manners) if asked else PLAIN
