"""What the demo provider remembers between requests: bounded, in memory, oldest out first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Shelf(Generic[T]):
    """Things by id, at most `count_limit` of them and `size_limit` bytes in all."""

    def __init__(self, count_limit: int = 1000, size_limit: int = 64 * 1024 * 1024) -> None:
        self._things: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._count_limit = count_limit
        self._size_limit = size_limit
        self.size = 0

    def put(self, key: str, thing: T, size: int) -> None:
        """Keep `thing`; the oldest things make room. One that is larger than the shelf is not kept."""
        self.take(key)
        if size > self._size_limit:
            return
        self._things[key] = (thing, size)
        self.size += size
        while len(self._things) > self._count_limit or self.size > self._size_limit:
            self.take(next(iter(self._things)))

    def get(self, key: str) -> T | None:
        """The thing of this id, or None."""
        found = self._things.get(key)
        return found[0] if found else None

    def take(self, key: str) -> T | None:
        """Remove the thing of this id and return it, or None."""
        found = self._things.pop(key, None)
        if found is None:
            return None
        self.size -= found[1]
        return found[0]

    def all(self) -> list[T]:
        """Everything, newest first, as the providers' lists are."""
        return [thing for thing, _ in reversed(self._things.values())]


class StoredFile(msgspec.Struct):
    """An uploaded file."""

    id: str
    name: str
    kind: str
    purpose: str
    content: bytes


class Stock:
    """The shelves of one server."""

    def __init__(self) -> None:
        self.files: Shelf[StoredFile] = Shelf()
        self.responses: Shelf[dict[str, Any]] = Shelf()
        self.batches: Shelf[dict[str, Any]] = Shelf()
        self._seen: Shelf[bool] = Shelf(10_000)

    def seen(self, digest: str) -> bool:
        """Whether this request was seen before; from now on it was."""
        known = self._seen.get(digest) is not None
        self._seen.put(digest, True, 0)
        return known
