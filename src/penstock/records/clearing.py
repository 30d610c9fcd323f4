"""Clearing: takes records off a shelf. Their bodies go when no shelf has them any more: see `keeping`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import msgspec
from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.infra.database import Database
from penstock.records.browse import Located
from penstock.records.entries import Entry
from penstock.records.filters import Filters
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.pages import make_page
from penstock.records.vault import Vault

_IDS = 500
"""Segments that one statement names."""


async def clear_pages(session: AsyncSession, *where: ColumnElement[bool]) -> int:
    """Delete whole pages, in this transaction; how many records were on them."""
    gone = (await session.execute(delete(PageRow).where(*where).returning(PageRow.segment_id, PageRow.count))).all()
    await mark_stale(session, {segment_id for segment_id, _ in gone})
    return sum(count for _, count in gone)


async def mark_stale(session: AsyncSession, segment_ids: Collection[str]) -> None:
    """Say of segments that some of their records may stand on no page any more."""
    ids = sorted(segment_ids)
    for begin in range(0, len(ids), _IDS):
        await session.execute(update(SegmentRow).where(SegmentRow.id.in_(ids[begin : begin + _IDS])).values(stale=True))


async def clear_time(database: Database, shelf: str, filters: Filters) -> int:
    """Delete the pages that lie within a time, at once; how many records were on them."""
    where: list[ColumnElement[bool]] = [PageRow.shelf == shelf]
    if filters.from_ms is not None:
        where.append(PageRow.from_ms >= filters.from_ms)
    if filters.until_ms is not None:
        where.append(PageRow.until_ms < filters.until_ms)
    async with database.session() as session:
        return await clear_pages(session, *where)


async def clear_some(database: Database, vault: Vault, shelf: str, found: Iterable[Located]) -> tuple[int, list[str]]:
    """Take these off the pages that they were found on; how many that were, and which are no longer there.

    Each page is a transaction of its own, in which it is read again: of two who clear the same page none brings back a record.
    """
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for located in found:
        ids[located.segment.id].add(located.id)
    count = 0
    missing: list[str] = []
    for segment_id, unwanted in ids.items():
        async with database.session() as session:
            removed = await _take_off(session, vault, (shelf, segment_id), unwanted)
        count += len(removed)
        missing += unwanted - removed
    return count, missing


async def _take_off(session: AsyncSession, vault: Vault, key: tuple[str, str], unwanted: set[str]) -> set[str]:
    shelf, segment_id = key
    page = await session.get(PageRow, key, with_for_update=True)
    row = await session.get(EntriesRow, (segment_id, shelf))
    if page is None or row is None:
        return set()
    entries = vault.entries(segment_id, shelf, row.data)
    left = [entry for entry in entries if entry.id not in unwanted]
    removed = {entry.id for entry in entries} & unwanted
    if removed:
        await mark_stale(session, [segment_id])
        await _rewrite(session, vault, page, row, left)
    return removed


async def _rewrite(session: AsyncSession, vault: Vault, page: PageRow, row: EntriesRow, left: list[Entry]) -> None:
    if not left:
        await session.delete(page)
        await session.delete(row)
        return
    rows = [msgspec.structs.astuple(entry) for entry in left]
    values = make_page(page.segment_id, page.shelf, rows, page.size_bytes * len(left) // page.count)
    for name, value in values.items():
        setattr(page, name, value)
    row.data = vault.pack_entries(page.segment_id, page.shelf, left)
