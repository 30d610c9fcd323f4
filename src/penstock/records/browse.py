"""Browse: the entries of a shelf in their order, from pages that overlap, while others write, clear and rewrite them."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, and_, or_, select

from penstock.infra.database import Database
from penstock.records.entries import Entry
from penstock.records.filters import Filters
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.pages import SPAN_MS, plain
from penstock.records.vault import Stored, Vault, stored

FIRST_PAGES, MOST_PAGES = 3, 8
"""How many pages are read at a time: few at first, as a short list needs no more."""
END_MS = 1 << 60
_BACK_MS = 600_000
"""A clock is not set back by more than this while an exchange lasts."""
_log = logging.getLogger("penstock.records")
_order = itemgetter(0, 1)

Order = tuple[int, str]
"""What entries are in the order of: when the exchange ended, and the id."""


class Located(NamedTuple):
    """An entry, and the segment that its place is in."""

    created_at_ms: int
    id: str
    entry: Entry
    segment: Stored


class Batch(NamedTuple):
    """Some entries in the order of a list: all there are up to `position`, or to the end, where that is None."""

    entries: Sequence[Located]
    position: Order | None


class Browser:
    """Reads the pages of a database. Raises DatabaseAway and PenstockError `wrong_secret_key`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def batches(self, shelf: str, filters: Filters, position: Order | None, *, newest_first: bool) -> AsyncIterator[Batch]:
        """Batches of entries behind `position`, or from the beginning; the last one has no position.

        They are of the time that is asked for, and of pages that may have what is asked for; whether an entry fits is yet to be looked
        at. Pages are read some at a time, as the database has them at one moment, from where those before have ended: what is
        written, cleared or rewritten in between cannot make another entry be missed or be there twice.
        """
        way = _Down(shelf, filters, position) if newest_first else _Up(shelf, filters, position)
        pages = FIRST_PAGES
        while True:
            async with self._database.session(read_only=True) as session:
                rows = (await session.execute(way.query().limit(pages + 1))).all()
            before = way.at
            for number, row in enumerate(rows[:pages]):
                way.take(await self._entries(shelf, row))
                if number + 1 < len(rows) and (batch := way.until(rows[number + 1])).entries:
                    yield batch
            if len(rows) <= pages:
                yield way.rest()
                return
            way.forget()
            # Where so many pages overlap that none of them could be done with, more are needed at once.
            pages = pages * 2 if way.at == before else MOST_PAGES

    async def find(self, shelf: str, record_id: str) -> Located | None:
        """The entry of a record, if it stands on the shelf."""
        query = (
            _select()
            .where(PageRow.shelf == shelf, PageRow.first_id <= record_id, PageRow.last_id >= record_id)
            .order_by(PageRow.until_ms, PageRow.segment_id)
        )
        if (began_ms := _began_ms(record_id)) is not None:
            query = query.where(PageRow.until_ms >= began_ms)
        skip = 0
        while True:
            async with self._database.session(read_only=True) as session:
                rows = (await session.execute(query.offset(skip).limit(FIRST_PAGES))).all()
            for row in rows:
                for located in await self._entries(shelf, row, record_id):
                    if located.id == record_id:
                        return located
            if len(rows) < FIRST_PAGES:
                return None
            skip += FIRST_PAGES

    async def _entries(self, shelf: str, row: Row[Any], record_id: str = "") -> list[Located]:
        """The entries of a page, or of one record at least, which others are let go before."""
        await asyncio.sleep(0)
        segment = stored(row.segment_id, row.path, row.offsets)
        try:
            entries = self._vault.entries(row.segment_id, shelf, row.data, record_id)
        except ValueError as failure:
            _log.warning("%d records are left out: the page of segment %s cannot be read: %s", row.count, row.segment_id, failure)
            return []
        return [Located(entry.created_at_ms, entry.id, entry, segment) for entry in entries]


class _Way:
    """A way through a shelf: what was read of it and is not behind us, as another page may have something that comes before."""

    def __init__(self, shelf: str, filters: Filters, at: Order) -> None:
        self.at = at
        """What is asked for is behind this position."""
        self._wanted = [PageRow.shelf == shelf, *summarised(filters)]
        self._least: Order = (filters.from_ms if filters.from_ms is not None else -END_MS, "")
        self._most: Order = (filters.until_ms if filters.until_ms is not None else END_MS, "")
        self._pool: list[Located] = []
        """In order of time."""

    def take(self, located: list[Located]) -> None:
        """Add the entries of a page, which are in order of time."""
        low, high = bisect_left(located, self._least, key=_order), bisect_left(located, self._most, key=_order)
        self._pool = sorted(self._pool + located[low:high], key=_order) if self._pool else located[low:high]

    def forget(self) -> None:
        """Forget what was read and is not behind us: it will be read again."""
        self._pool = []


class _Down(_Way):
    """From the latest to the earliest."""

    def __init__(self, shelf: str, filters: Filters, position: Order | None) -> None:
        super().__init__(shelf, filters, position or (END_MS, ""))
        self._most = min(self._most, self.at)
        self.at = self._most

    def query(self) -> Any:
        """Pages that may have something behind the position. One that ends long after it cannot: none spans so much."""
        query = _select().where(*self._wanted, PageRow.from_ms <= self.at[0], PageRow.until_ms < self.at[0] + SPAN_MS)
        return query.order_by(PageRow.until_ms.desc(), PageRow.segment_id.desc())

    def until(self, beyond: Row[Any]) -> Batch:
        """What is before all that the next page can have."""
        self.at = self._most = min(self.at, (beyond.until_ms + 1, ""))
        cut = bisect_left(self._pool, self.at, key=_order)
        ready, self._pool = self._pool[cut:], self._pool[:cut]
        return Batch(_without_doubles(ready[::-1]), self.at)

    def rest(self) -> Batch:
        """All that is left."""
        return Batch(_without_doubles(self._pool[::-1]), None)


class _Up(_Way):
    """From the earliest to the latest."""

    def __init__(self, shelf: str, filters: Filters, position: Order | None) -> None:
        super().__init__(shelf, filters, position or (-END_MS, ""))
        self._least = max(self._least, self.at)
        self.at = self._least

    def query(self) -> Any:
        """Pages that may have something behind the position."""
        query = _select().where(*self._wanted, PageRow.until_ms >= self.at[0], PageRow.from_ms > self.at[0] - SPAN_MS)
        return query.order_by(PageRow.from_ms, PageRow.segment_id)

    def until(self, beyond: Row[Any]) -> Batch:
        """What is before all that the next page can have."""
        self.at = self._least = max(self.at, (beyond.from_ms, ""))
        cut = bisect_left(self._pool, self.at, key=_order)
        ready, self._pool = self._pool[:cut], self._pool[cut:]
        return Batch(_without_doubles(ready), self.at)

    def rest(self) -> Batch:
        """All that is left."""
        return Batch(_without_doubles(self._pool), None)


def _select() -> Any:
    columns = (PageRow.segment_id, PageRow.from_ms, PageRow.until_ms, PageRow.count, SegmentRow.path, SegmentRow.offsets, EntriesRow.data)
    query: Any = select(*columns)
    return query.join(SegmentRow, SegmentRow.id == PageRow.segment_id).join(
        EntriesRow, and_(EntriesRow.segment_id == PageRow.segment_id, EntriesRow.shelf == PageRow.shelf)
    )


def summarised(filters: Filters) -> list[ColumnElement[bool]]:
    """What must be true of a page that has a record that fits."""
    wanted: list[ColumnElement[bool]] = []
    if filters.from_ms is not None:
        wanted.append(PageRow.until_ms >= filters.from_ms)
    if filters.until_ms is not None:
        wanted.append(PageRow.from_ms < filters.until_ms)
    if filters.record_id is not None:
        wanted += (PageRow.first_id <= filters.record_id, PageRow.last_id >= filters.record_id)
    if filters.least_cost_nano is not None:
        wanted.append(PageRow.greatest_cost_nano >= filters.least_cost_nano)
    if filters.rule_id is not None:
        wanted.append(PageRow.ruled.is_(True))
    named = (
        (PageRow.keys, filters.key_id), (PageRow.wires, filters.wire), (PageRow.outcomes, filters.outcome),
        (PageRow.channels, filters.channel),
    )  # fmt: skip
    wanted += [_lists(column, f"{value}\n") for column, value in named if value is not None]
    if filters.status is not None:
        wanted.append(_lists(PageRow.statuses, f"{filters.status}\n" if isinstance(filters.status, int) else filters.status[0]))
    if filters.model is not None:
        literal = min(filters.model.partition("*")[0], filters.model.partition("?")[0], key=len)
        wanted.append(_lists(PageRow.models, literal if literal != filters.model else f"{literal}\n"))
    return wanted


def _lists(column: Any, line: str) -> ColumnElement[bool]:
    """A summary has a line that begins so, or says nothing."""
    return or_(column == "", column.contains("\n" + plain(line), autoescape=True))


def _without_doubles(located: Sequence[Located]) -> Sequence[Located]:
    """Without what is there twice: a segment that was written again after a crash in between."""
    if all(one[1] != other[1] for one, other in pairwise(located)):
        return located
    return [one for place, one in enumerate(located) if not place or one[:2] != located[place - 1][:2]]


def _began_ms(record_id: str) -> int | None:
    """When a record's exchange began, by an id of ours."""
    digits = record_id.rpartition("_")[2]
    try:
        return int(digits[:12], 16) - _BACK_MS if len(digits) == 30 else None
    except ValueError:
        return None
