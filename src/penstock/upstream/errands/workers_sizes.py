"""Sizes, steps and numbers of pictures: what is asked for, within what a model can do."""

from __future__ import annotations

import re
from typing import Any

from penstock.kit.errors import PenstockError
from penstock.upstream.providers.workers_models import Bounds

DEFAULT_SIZE = "1024x1024"
_SIZE = re.compile(r"([1-9]\d{0,4})\s*[x*×]\s*([1-9]\d{0,4})", re.IGNORECASE)
_SHARES = {"low": 0.25, "draft": 0.25, "high": 1.0, "hd": 1.0, "ultra": 1.0}
"""The share of the most steps that a quality stands for; of others the model's own number is right."""
_USUAL = frozenset(("medium", "standard", "auto", ""))
_GRID = 8
_NO_END = 10**9


def parse_size(given: Any) -> tuple[int, int]:
    """Width and height. Raises PenstockError."""
    match = _SIZE.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise PenstockError("invalid_request", 'The field "size" must be a width and a height, such as 1024x1024, or auto.', param="size")
    return int(match[1]), int(match[2])


def fitted(size: tuple[int, int], width: Bounds, height: Bounds) -> tuple[int, int]:
    """The size within a model's bounds, of the same shape where that can be; one that is changed is a multiple of 8."""
    most = [bounds.most or float("inf") for bounds in (width, height)]
    least = [bounds.least or 1 for bounds in (width, height)]
    shrink = min(1.0, *(limit / side for limit, side in zip(most, size, strict=True)))
    grow = max(1.0, *(limit / side for limit, side in zip(least, size, strict=True)))
    share = shrink if shrink < 1 else grow
    if share == 1:
        return size
    sides = [_on_grid(side * share, low, high) for side, low, high in zip(size, least, most, strict=True)]
    return sides[0], sides[1]


def _on_grid(side: float, least: float, most: float) -> int:
    whole = min(max(int(side / _GRID + 0.5) * _GRID, _GRID), 10**5)
    return int(min(max(whole, least), most))


def steps(given: Any, bounds: Bounds, name: str) -> int | None:
    """The number of steps, from a number or a quality; None if it is for the model to say. Raises PenstockError."""
    if name == "quality":
        share = _SHARES.get(given.lower()) if isinstance(given, str) else None
        return max(1, round(bounds.most * share)) if share is not None and bounds.most else None
    number = counted(given, name)
    return int(min(max(number, bounds.least or 1), bounds.most or _NO_END))


def counted(given: Any, name: str) -> int:
    """A whole number above 0, of a form perhaps; 1 if there is none. Raises PenstockError."""
    if given is None or given == "":
        return 1
    if isinstance(given, str) and given.strip().isascii() and given.strip().isdigit() and len(given) < 10:
        given = int(given)
    if isinstance(given, float) and given.is_integer() and abs(given) < 1e9:
        given = int(given)
    if type(given) is not int or given < 1:
        raise PenstockError("invalid_request", f'The field "{name}" must be a whole number of at least 1.', param=name)
    return given
