"""Repack: writes what is left of segments as a new one, so that cleared bodies go, and many small segments become one."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.records.clearing import mark_stale
from penstock.records.entries import Entry, Place
from penstock.records.index import add_rows
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.pages import Segment, make_page
from penstock.records.segments import GROUP_BYTES, records_of, segment_path
from penstock.records.vault import STORE_FAILURES, Stored, Vault, stored

LOST = Place(-1, 0)
"""Where a record is that could not be read when its segment was written anew."""
_log = logging.getLogger("penstock.records")
_Pages = dict[tuple[str, str], int]
"""How many entries each page has, by segment and shelf: pages only lose some, so that equal numbers are equal pages."""


@dataclass
class _Left:
    """What is left of some segments: which records of which group, and the entries by shelf."""

    segments: list[Stored]
    counts: dict[str, int]
    pages: _Pages
    used: defaultdict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    entries: defaultdict[str, list[tuple[str, Entry]]] = field(default_factory=lambda: defaultdict(list))


class Repacker:
    """Writes segments anew. Raises DatabaseAway and `STORE_FAILURES`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def repack(self, segment_ids: Sequence[str]) -> bool:
        """Write what is left of some segments as one; whether that was done. The old ones have no pages afterwards, and are stale.

        Who clears some of the same records meanwhile wins: then nothing is done.
        """
        async with self._database.session(read_only=True) as session:
            left = await self._read(session, segment_ids)
        if not left.entries:
            return False
        if len(segment_ids) == 1 and len(left.used[segment_ids[0]]) == left.counts[segment_ids[0]]:
            await self._unmark(segment_ids[0], left.pages)
            return False
        groups, places = await self._groups(left)
        if not groups:
            _log.warning("nothing of %s can be read: it stays as it is until it is too old", ", ".join(segment_ids))
            await self._unmark(segment_ids[0], left.pages)
            return False
        now_ms = clock.now_ms()
        segment = await asyncio.to_thread(self._segment, left, groups, places, now_ms)
        await self._vault.put(segment.path, segment.data)
        if await self._replace(segment_ids, left.pages, segment):
            return True
        await self._vault.delete([segment.path])
        return False

    async def _read(self, session: AsyncSession, segment_ids: Sequence[str]) -> _Left:
        rows = (await session.scalars(select(SegmentRow).where(SegmentRow.id.in_(segment_ids)).order_by(SegmentRow.until_ms))).all()
        left = _Left([stored(row.id, row.path, row.offsets) for row in rows], {row.id: row.count for row in rows}, {})
        left.pages = await _pages(session, segment_ids)
        for row in await session.scalars(select(EntriesRow).where(EntriesRow.segment_id.in_(segment_ids))):
            if (row.segment_id, row.shelf) in left.pages:
                try:
                    entries = self._vault.entries(row.segment_id, row.shelf, row.data)
                except ValueError as failure:
                    _log.warning("%s stays as it is: its page cannot be read: %s", row.segment_id, failure)
                    return _Left([], {}, {})
                for entry in entries:
                    left.entries[row.shelf].append((row.segment_id, entry))
                    if entry.place.group >= 0:
                        left.used[row.segment_id].add(entry.place)
        return left

    async def _groups(self, left: _Left) -> tuple[list[bytes], dict[tuple[str, Place], Place]]:
        """The records that are left, in groups, and where each of them is now."""
        groups: list[bytes] = []
        places: dict[tuple[str, Place], Place] = {}
        some: list[msgspec.Raw] = []
        size = 0
        for segment in left.segments:
            for number, positions in sorted(_by_group(left.used[segment.id]).items()):
                try:
                    records = records_of(await self._vault.group(segment, number))
                except (*STORE_FAILURES, ValueError, PenstockError) as failure:
                    if not isinstance(failure, FileNotFoundError | ValueError):
                        raise
                    _log.warning("%d records of %s are lost: %s", len(positions), segment.path, failure)
                    continue
                for position in sorted(positions):
                    encoded = msgspec.msgpack.encode(records[position])
                    if some and size + len(encoded) > GROUP_BYTES:
                        groups.append(msgspec.msgpack.encode(some))
                        some, size = [], 0
                    places[segment.id, Place(number, position)] = Place(len(groups), len(some))
                    some.append(msgspec.Raw(encoded))
                    size += len(encoded)
        if some:
            groups.append(msgspec.msgpack.encode(some))
        return groups, places

    def _segment(self, left: _Left, groups: list[bytes], places: dict[tuple[str, Place], Place], now_ms: int) -> Segment:
        segment_id = new_id("seg", now_ms)
        packed = self._vault.pack(segment_id, groups)
        pages, entries = [], []
        for shelf, found in left.entries.items():
            rows = sorted(
                msgspec.structs.astuple(msgspec.structs.replace(entry, place=places.get((old, entry.place), LOST))) for old, entry in found
            )
            pages.append(make_page(segment_id, shelf, rows, len(packed.data) * len(rows) // max(len(places), len(rows))))
            entries.append({"segment_id": segment_id, "shelf": shelf, "data": self._vault.pack_entries(segment_id, shelf, rows)})
        path = segment_path(segment_id, now_ms)
        row = {
            "id": segment_id, "created_at_ms": now_ms, "until_ms": max(page["until_ms"] for page in pages), "path": path,
            "count": len(places), "size_bytes": len(packed.data), "offsets": msgspec.msgpack.encode(packed.offsets), "stale": False,
        }  # fmt: skip
        return Segment(path, packed.data, row, pages, entries)

    async def _replace(self, segment_ids: Sequence[str], pages: _Pages, segment: Segment) -> bool:
        async with self._database.session() as session:
            if await _pages(session, segment_ids, lock=True) != pages:
                return False
            await session.execute(delete(PageRow).where(PageRow.segment_id.in_(segment_ids)))
            await session.execute(delete(EntriesRow).where(EntriesRow.segment_id.in_(segment_ids)))
            await mark_stale(session, segment_ids)
            await add_rows(session, segment)
        return True

    async def _unmark(self, segment_id: str, pages: _Pages) -> None:
        """Say that a segment has nothing that no shelf has, unless one has been cleared of something meanwhile."""
        count = select(func.coalesce(func.sum(PageRow.count), 0)).where(PageRow.segment_id == segment_id).scalar_subquery()
        unchanged = count == sum(pages.values())
        shelves = [shelf for _, shelf in pages]
        async with self._database.session() as session:
            await session.execute(update(SegmentRow).where(SegmentRow.id == segment_id, unchanged).values(stale=False))
            await session.execute(delete(EntriesRow).where(EntriesRow.segment_id == segment_id, EntriesRow.shelf.not_in(shelves)))


async def _pages(session: AsyncSession, segment_ids: Sequence[str], *, lock: bool = False) -> _Pages:
    query = select(PageRow.segment_id, PageRow.shelf, PageRow.count).where(PageRow.segment_id.in_(segment_ids))
    rows = await session.execute(query.with_for_update() if lock else query)
    return {(segment_id, shelf): count for segment_id, shelf, count in rows}


def _by_group(places: set[Place]) -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for place in places:
        found[place.group].append(place.position)
    return found
