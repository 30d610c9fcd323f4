"""Given: what every part of a rule is held to before it is understood, and how a mistake in it is told."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from penstock.kit.errors import PenstockError

SIZE_LIMIT = 65_536
"""Bytes of a rule as JSON."""
DEPTH_LIMIT = 40
"""Objects and arrays within each other, in a whole rule."""
INTEGER_LIMIT = 2**63


def wrong(message: str, param: str | None = None) -> PenstockError:
    """The refusal of a rule: `message` says what to do, `param` is the place in the rule, such as `then.0.path`."""
    return PenstockError("invalid_request", message, param=param)


def check_json(given: Any, param: str = "") -> None:
    """See that this is JSON that can be kept: its size, its depth, its numbers, its text. Takes no longer for what is far too large.

    Raises PenstockError.
    """
    left = SIZE_LIMIT
    waiting: list[tuple[Any, str, int]] = [(given, param, 0)]
    while waiting:
        value, place, depth = waiting.pop()
        left -= 1 + (len(value) if isinstance(value, str | Mapping | list | tuple) else 0)
        if left < 0:
            raise wrong(f"A rule has at most {SIZE_LIMIT} bytes as JSON.", param or None)
        if depth > DEPTH_LIMIT:
            raise wrong(f"There are more than {DEPTH_LIMIT} objects and arrays within each other.", place[:200])
        if isinstance(value, Mapping):
            if not all(isinstance(name, str) for name in value):
                raise wrong("The names of fields are text.", place or None)
            waiting.extend((inner, _below(place, name), depth + 1) for name, inner in value.items())
        elif isinstance(value, list | tuple):
            waiting.extend((inner, _below(place, number), depth + 1) for number, inner in enumerate(value))
        elif not isinstance(value, str):
            _check_scalar(value, place)
    try:
        size = len(msgspec.json.encode(given))
    except UnicodeEncodeError:
        raise wrong("A text has half of a surrogate pair in it: send whole characters.", param or None) from None
    if size > SIZE_LIMIT:
        raise wrong(f"A rule has at most {SIZE_LIMIT} bytes as JSON; this one has {size}.", param or None)


def _check_scalar(value: Any, place: str) -> None:
    if isinstance(value, int):
        if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
            raise wrong("A whole number has at most 63 bits.", place)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise wrong("A number is finite: NaN and infinity are no JSON.", place)
    elif value is not None:
        raise wrong("This is no JSON value.", place)


def _below(place: str, name: object) -> str:
    return f"{place}.{str(name)[:50]}" if place else str(name)[:50]


def only(given: Any, allowed: Collection[str], what: str, param: str) -> Mapping[str, Any]:
    """`given` as the object it should be, with no other fields than these. Raises PenstockError."""
    if not isinstance(given, Mapping):
        raise wrong(f"{what} is an object.", param or None)
    for name in given:
        if name not in allowed:
            raise wrong(f"{what} has no field of this name: {', '.join(allowed)} are known.", _below(param, name))
    return given


def is_number(value: Any) -> bool:
    """Whether this is a number in JSON: not true and not false."""
    return isinstance(value, int | float) and not isinstance(value, bool)
