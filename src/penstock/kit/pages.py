"""Pages of a list: where one begins, how long it is, and the cursor that leads to the next one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from penstock.kit.errors import PenstockError

LIMIT = 50
LIMIT_MAX = 200
CURSOR_LIMIT = 600
"""Characters of the longest cursor that is read."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Which page is asked for: the one after this position (None: the first), of at most `limit` items."""

    after: str | None = None
    limit: int = LIMIT


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and the cursor of the next ones; None when these are the last."""

    data: Sequence[T]
    next: str | None


def cut(found: Sequence[T], limit: int, position: Callable[[T], str]) -> Page[T]:
    """The page in what a query for `limit + 1` items has found: the one too many says that there are more."""
    data = found[:limit]
    return Page(data, encode(position(data[-1])) if len(found) > limit else None)


def encode(position: str) -> str:
    """The cursor of a position: opaque, and safe in a URL. Whoever reads it must restrict the query all the same."""
    return base64.urlsafe_b64encode(position.encode()).rstrip(b"=").decode()


def decode(cursor: str) -> str:
    """The position of a cursor. Raises PenstockError `invalid_request` for what `encode` has not made."""
    try:
        if len(cursor) > CURSOR_LIMIT:
            raise ValueError
        position = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        position = ""
    if not position or not position.isprintable() or encode(position) != cursor:
        raise PenstockError("invalid_request", "The cursor is not one of ours. Begin again without one.", param="cursor")
    return position
