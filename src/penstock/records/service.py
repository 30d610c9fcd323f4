"""Records: list, get, read and clear those of a shelf, and say what an account wants of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.pages import decode, encode
from penstock.records.bodies import GONE, Bodies
from penstock.records.browse import END_MS, Browser, Located, Order
from penstock.records.clearing import clear_some, clear_time
from penstock.records.entries import OPERATOR_SHELF, Entry
from penstock.records.filters import Filters
from penstock.records.keeping import Keeper
from penstock.records.policies import Policies, Policy
from penstock.records.record import Record
from penstock.records.recorder import Recorder, RecorderState
from penstock.records.search import Wanted
from penstock.records.vault import Vault

ALL = Filters()
__all__ = ["ALL", "OPERATOR_SHELF", "Entry", "Filters", "Found", "Opened", "Policy", "RecorderState", "Records"]

TURNS = 5
"""How often a record is looked for again that was moved just when it was to be cleared."""
CLEARED_AT_ONCE = 2000


class Bounds(NamedTuple):
    """How much one list looks at: entries, bytes of groups that are searched, and for how long."""

    entries: int = 50_000
    expanded_bytes: int = 64 * 1024 * 1024
    within_s: float = 2.0


BOUNDS = Bounds()


class Found(NamedTuple):
    """A part of a list, the latest first. `cursor` leads on from there, None: that was all.

    Not `complete`: fewer than were asked for, as it would have taken too long to look at all; the cursor goes on from there.
    """

    entries: list[Entry]
    cursor: str | None
    complete: bool


class Opened(NamedTuple):
    """An entry and its record; None where that cannot be read, and then `missing` says why."""

    entry: Entry
    record: Record | None
    missing: str = ""


Run = list[Located]
"""Some entries; the class below calls something else a list."""


class Records:
    """The records of one database and vault. Raises DatabaseAway, and PenstockError as said."""

    def __init__(
        self, database: Database, vault: Vault, recorder: Recorder, policies: Policies, keeper: Keeper, bounds: Bounds = BOUNDS
    ) -> None:
        self._database = database
        self._vault = vault
        self._recorder = recorder
        self._policies = policies
        self._keeper = keeper
        self._bounds = bounds
        self._browser = Browser(database, vault)

    async def list(self, shelf: str, filters: Filters = ALL, *, cursor: str | None = None, limit: int = 50) -> Found:
        """Entries, the latest first. Raises `invalid_request` for a cursor that is none."""
        look = _Look(self._bodies(shelf), filters, self._bounds)
        found: Run = []
        at = None if cursor is None else _position(cursor)
        async for batch in self._browser.batches(shelf, filters, at, newest_first=True):
            for located in batch.entries:
                if await look.fits(located):
                    found.append(located)
                    if len(found) == limit:
                        last = batch.position is None and located is batch.entries[-1]
                        return _found(found, None if last else located[:2], complete=True)
                if look.enough:
                    return _found(found, located[:2], complete=False)
            if batch.position is not None and look.late:
                return _found(found, batch.position, complete=False)
        return _found(found, None, complete=True)

    async def get(self, shelf: str, record_id: str) -> Opened:
        """One record. Raises `not_found`."""
        located = await self._browser.find(shelf, record_id)
        if located is not None:
            read = await self._bodies(shelf).read(located)
            if read.missing is not GONE:
                return Opened(located.entry, read.record, read.missing)
        raise PenstockError("not_found", f"There is no record '{record_id}'.", param="id")

    async def read(self, shelf: str, filters: Filters = ALL, *, newest_first: bool = False) -> AsyncIterator[Opened]:
        """All that fit and had ended when this began, one by one, however many there are. What is deleted meanwhile is left out."""
        until_ms = min(filters.until_ms if filters.until_ms is not None else END_MS, clock.now_ms() + 1)
        filters = msgspec.structs.replace(filters, until_ms=until_ms)
        bodies = self._bodies(shelf)
        wanted = Wanted(filters.text) if filters.text is not None else None
        async for batch in self._browser.batches(shelf, filters, None, newest_first=newest_first):
            for located in batch.entries:
                if not filters.fit(located.entry):
                    continue
                read = await bodies.read(located)
                if read.missing is not GONE and (wanted is None or (read.record is not None and wanted.within(read.record))):
                    yield Opened(located.entry, read.record, read.missing)

    async def clear(self, shelf: str, filters: Filters = ALL) -> int:
        """Delete those that fit from the shelf; how many there were. What no other shelf has is deleted altogether, soon."""
        count = await clear_time(self._database, shelf, filters) if filters.only_time else 0
        if not filters.only_time or filters.from_ms is not None or filters.until_ms is not None:
            count += await self._clear_some(shelf, filters)
        await self._keeper.swept()
        return count

    async def _clear_some(self, shelf: str, filters: Filters) -> int:
        count = 0
        look = _Look(self._bodies(shelf), filters, self._bounds)
        some: Run = []
        async for batch in self._browser.batches(shelf, filters, None, newest_first=True):
            some += [located for located in batch.entries if await look.fits(located)]
            if len(some) >= CLEARED_AT_ONCE or batch.position is None:
                count += await self._take_off(shelf, some)
                some = []
        return count

    async def _take_off(self, shelf: str, found: Sequence[Located]) -> int:
        """Clear entries, wherever they are by now."""
        count = 0
        for _ in range(TURNS):
            cleared, missing = await clear_some(self._database, self._vault, shelf, found)
            count += cleared
            found = [again for record_id in missing if (again := await self._browser.find(shelf, record_id))]
            if not found:
                break
        return count

    async def flush(self) -> None:
        """Have what this process has recorded be there for all of the above, if that takes a few seconds at most."""
        await self._recorder.flush()

    async def policy(self, account_id: str) -> Policy:
        """What an account wants of its records."""
        return await self._policies.of(account_id)

    async def set_policy(self, account_id: str, policy: Policy) -> Policy:
        """Change it; `updated_at_ms` is set. Raises `invalid_request` for paths, patterns or days that cannot be."""
        return await self._policies.put(account_id, policy)

    def state(self) -> RecorderState:
        """How this process's recorder does."""
        return self._recorder.state()

    def _bodies(self, shelf: str) -> Bodies:
        return Bodies(self._vault, self._browser, shelf)


class _Look:
    """Whether entries fit, bodies and all, and how much has been looked at for that."""

    def __init__(self, bodies: Bodies, filters: Filters, bounds: Bounds) -> None:
        self._bodies = bodies
        self._filters = filters
        self._wanted = Wanted(filters.text) if filters.text is not None else None
        self._looked = 0
        self._bounds = bounds
        self._until_s = time.monotonic() + bounds.within_s

    async def fits(self, located: Located) -> bool:
        self._looked += 1
        if not self._filters.fit(located.entry):
            return False
        if self._wanted is None:
            return True
        record = (await self._bodies.read(located)).record
        return record is not None and self._wanted.within(record)

    @property
    def enough(self) -> bool:
        if self._wanted is not None and (self._bodies.expanded_bytes >= self._bounds.expanded_bytes or self.late):
            return True
        return self._looked >= self._bounds.entries

    @property
    def late(self) -> bool:
        return time.monotonic() >= self._until_s


def _found(found: list[Located], position: Order | None, *, complete: bool) -> Found:
    return Found([located.entry for located in found], None if position is None else encode(f"{position[0]}.{position[1]}"), complete)


def _position(cursor: str) -> Order:
    moment, dot, record_id = decode(cursor).partition(".")
    if not dot or not moment.isascii() or not moment.isdecimal() or len(moment) > len(str(END_MS)):
        raise PenstockError("invalid_request", "The cursor is not one of ours. Begin again without one.", param="cursor")
    return int(moment), record_id
