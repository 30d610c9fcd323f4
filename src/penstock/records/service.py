"""Records: list, get, read and clear those of a shelf, and say what an account wants of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from penstock.records.entries import OPERATOR_SHELF, Entry
from penstock.records.filters import Filters
from penstock.records.policies import Policy
from penstock.records.record import Record

__all__ = ["OPERATOR_SHELF", "Entry", "Filters", "Found", "Opened", "Policy", "Records", "RecorderState"]


class Found(NamedTuple):
    """A part of a list, the latest first. `cursor` leads on from there, None: that was all. Not `complete`: there may be more of
    them that was not looked at yet, because it would have taken too long; go on with the cursor."""

    entries: list[Entry]
    cursor: str | None
    complete: bool


class Opened(NamedTuple):
    """An entry and its record; None where that cannot be read, and then `missing` says why."""

    entry: Entry
    record: Record | None
    missing: str = ""


class RecorderState(NamedTuple):
    """How the recorder of this process does."""

    running: bool
    stopped_because: str
    """Empty while it runs."""
    dropped: int
    """Records that were lost since the process started."""
    waiting: int
    """Records that are not written yet."""


class Records:
    """The records of one database and store. Raises DatabaseAway, and PenstockError as said."""

    async def list(self, shelf: str, filters: Filters, *, cursor: str | None = None, limit: int = 50) -> Found:
        """Entries, the latest first. Raises `invalid_request` for a cursor that is none."""
        raise NotImplementedError

    async def get(self, shelf: str, record_id: str) -> Opened:
        """One record. Raises `not_found`."""
        raise NotImplementedError

    def read(self, shelf: str, filters: Filters, *, newest_first: bool = False) -> AsyncIterator[Opened]:
        """All that fit and had ended when this began, one by one, however many there are."""
        raise NotImplementedError

    async def clear(self, shelf: str, filters: Filters = Filters()) -> int:
        """Delete those that fit from the shelf; how many there were."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Have what this process has recorded be there for all of the above, if that takes a few seconds at most."""
        raise NotImplementedError

    async def policy(self, account_id: str) -> Policy:
        """What an account wants of its records."""
        raise NotImplementedError

    async def set_policy(self, account_id: str, policy: Policy) -> Policy:
        """Change it; `updated_at_ms` is set. Raises `invalid_request` for paths, patterns or days that cannot be."""
        raise NotImplementedError

    def state(self) -> RecorderState:
        """How this process's recorder does."""
        raise NotImplementedError
