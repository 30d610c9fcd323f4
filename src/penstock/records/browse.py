"""Browse: the entries of a shelf in their order, from pages that overlap, while others write, clear and rewrite them."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, bisect_right
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

Order = tuple[int, str]
"""What entries are in the order of: when the exchange ended, and the id."""


class Located(NamedTuple):
    """An entry, and the segment that its place is in."""

    created_at_ms: int
    id: str
    entry: Entry
    segment: Stored


class Batch(NamedTuple):
    """Some entries of a shelf in order, all there are up to `position`; None: these are the last. `looked`: how many pages were."""

    entries: Sequence[Located]
    position: Order | None


class Browser:
    """Reads the pages of a database. Raises DatabaseAway and PenstockError `wrong_secret_key`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def batches(self, shelf: str, filters: Filters, position: Order | None, *, newest_first: bool) -> AsyncIterator[Batch]:
        """Batches of entries, each sorted like the list, behind `position` or from the beginning. They are of the time and of pages
        that may have what is asked for; whether an entry fits is yet to be looked at.

        Each batch is what the database has at one moment, and begins where the one before has ended: what is written, cleared or
        rewritten in between cannot make another entry be missed or be there twice.
        """
        pages = FIRST_PAGES
        at = position or (
            (filters.until_ms if filters.until_ms is not None else END_MS, "") if newest_first else (filters.from_ms or 0, "")
        )
        while True:
            found = await self._batch(shelf, filters, at, pages, newest_first=newest_first)
            if found.entries or found.position is None:
                yield found
            if found.position is None:
                return
            # Where so many pages overlap that none of them could be done with, more are needed at once.
            pages = pages * 2 if found.position == at else min(pages * 2, max(MOST_PAGES, FIRST_PAGES))
            at = found.position

    async def _batch(self, shelf: str, filters: Filters, at: Order, pages: int, *, newest_first: bool) -> Batch:
        query = _pages(shelf, filters, at, newest_first=newest_first).limit(pages + 1)
        async with self._database.session(read_only=True) as session:
            rows = (await session.execute(query)).all()
        located: list[Located] = []
        for row in rows[:pages]:
            located += await self._entries(shelf, row)
        located.sort(key=itemgetter(0, 1))
        beyond = rows[pages] if len(rows) > pages else None
        low, high = _window(located, filters, at, newest_first=newest_first)
        position: Order | None = None
        if beyond is not None and newest_first:
            position = min(at, (beyond.until_ms + 1, ""))
            low = max(low, bisect_left(located, position, key=itemgetter(0, 1)))
        elif beyond is not None:
            position = max(at, (beyond.from_ms, ""))
            high = min(high, bisect_left(located, position, key=itemgetter(0, 1)))
        found = located[low:high]
        return Batch(_without_doubles(found[::-1] if newest_first else found), position)

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
                for located in await self._entries(shelf, row):
                    if located.id == record_id:
                        return located
            if len(rows) < FIRST_PAGES:
                return None
            skip += FIRST_PAGES

    async def _entries(self, shelf: str, row: Row[Any]) -> list[Located]:
        """The entries of a page, which others are let go before."""
        await asyncio.sleep(0)
        segment = stored(row.segment_id, row.path, row.offsets)
        try:
            entries = self._vault.entries(row.segment_id, shelf, row.data)
        except ValueError as failure:
            _log.warning("%d records are left out: the page of segment %s cannot be read: %s", row.count, row.segment_id, failure)
            return []
        return [Located(entry.created_at_ms, entry.id, entry, segment) for entry in entries]


def _select() -> Any:
    columns = (PageRow.segment_id, PageRow.from_ms, PageRow.until_ms, PageRow.count, SegmentRow.path, SegmentRow.offsets, EntriesRow.data)
    query: Any = select(*columns)
    return query.join(SegmentRow, SegmentRow.id == PageRow.segment_id).join(
        EntriesRow, and_(EntriesRow.segment_id == PageRow.segment_id, EntriesRow.shelf == PageRow.shelf)
    )


def _pages(shelf: str, filters: Filters, at: Order, *, newest_first: bool) -> Any:
    """Pages that may have something to list behind a position. Those that end, or begin, long after it cannot: none spans so much."""
    query = _select().where(PageRow.shelf == shelf, *summarised(filters))
    if newest_first:
        query = query.where(PageRow.from_ms <= at[0], PageRow.until_ms < at[0] + SPAN_MS)
        return query.order_by(PageRow.until_ms.desc(), PageRow.segment_id.desc())
    query = query.where(PageRow.until_ms >= at[0], PageRow.from_ms > at[0] - SPAN_MS)
    return query.order_by(PageRow.from_ms, PageRow.segment_id)


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


def _window(located: Sequence[Located], filters: Filters, at: Order, *, newest_first: bool) -> tuple[int, int]:
    """From where to where entries that are in order are behind a position, and of the time that is asked for."""
    order = itemgetter(0, 1)
    low = bisect_left(located, (filters.from_ms, ""), key=order) if filters.from_ms is not None else 0
    high = bisect_left(located, (filters.until_ms, ""), key=order) if filters.until_ms is not None else len(located)
    if newest_first:
        return low, min(high, bisect_left(located, at, key=order))
    return max(low, bisect_right(located, at, key=order)), high


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
