"""What can be done with records: read them in the order in which they were written, and clear them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from sqlalchemy import and_, delete, select
from sqlalchemy.orm import undefer

from penstock.infra.database import Database
from penstock.kit.errors import PenstockError
from penstock.records.models import SegmentRow
from penstock.records.record import Record
from penstock.records.segments import unpack

_ORPHAN_AGE = timedelta(minutes=10)
"""An object without a row may be about to get one, but not after this time."""

_log = logging.getLogger("penstock.records")


class Records:
    """The records of one database and store."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    async def read(self, after: str | None = None, limit: int | None = None) -> AsyncIterator[Record]:
        """Records, one by one; arguments and errors as for `batches`."""
        async for batch in self.batches(after, limit):
            for record in batch:
                yield record

    async def batches(self, after: str | None = None, limit: int | None = None) -> AsyncIterator[list[Record]]:
        """Records in the order in which they were written, a segment at a time, none of them empty.

        `after` is the id of the record before the first. A segment that is missing or damaged is left out with a warning.
        Raises PenstockError `not_found` when `after` is unknown.
        """
        segment, skip = await self._whence(after)
        left = limit
        while segment is not None and left != 0:
            batch = (await self._open(segment))[skip:][:left]
            if left is not None:
                left -= len(batch)
            if batch:
                yield batch
            segment, skip = await self._next(segment.id), 0

    async def clear(self) -> int:
        """Delete all records, rows and bodies, and what earlier crashes left of these; returns how many records there were."""
        async with self._database.session() as session:
            removed = (await session.execute(delete(SegmentRow).returning(SegmentRow.path, SegmentRow.count))).all()
        for path, _ in removed:
            await self._delete(path)
        await self._delete_orphans()
        return sum(count for _, count in removed)

    async def _whence(self, after: str | None) -> tuple[SegmentRow | None, int]:
        """The segment to begin with, and how many of its records to skip."""
        if after is None:
            return await self._next(""), 0
        between = and_(SegmentRow.first_id <= after, SegmentRow.last_id >= after)
        query = (
            select(SegmentRow)
            .where(between, SegmentRow.record_ids.contains(after, autoescape=True))
            .options(undefer(SegmentRow.record_ids))
        )
        async with self._database.session(read_only=True) as session:
            for segment in await session.scalars(query):
                ids = segment.record_ids.split("\n")
                if after in ids:
                    return segment, ids.index(after) + 1
        raise PenstockError("not_found", f"There is no record '{after}'.", param="after")

    async def _next(self, segment_id: str) -> SegmentRow | None:
        async with self._database.session(read_only=True) as session:
            return await session.scalar(select(SegmentRow).where(SegmentRow.id > segment_id).order_by(SegmentRow.id).limit(1))

    async def _open(self, segment: SegmentRow) -> list[Record]:
        try:
            found = await self._store.get_async(segment.path)
            data = bytes(await found.bytes_async())
            return await asyncio.to_thread(unpack, data)
        except (BaseError, OSError, ValueError) as failure:
            _log.warning("%d records are left out: segment %s cannot be read: %s", segment.count, segment.path, failure)
            return []

    async def _delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await self._store.delete_async(path)

    async def _delete_orphans(self) -> None:
        """Delete objects that have no row: their writer died in between."""
        oldest = datetime.now(UTC) - _ORPHAN_AGE
        async with self._database.session(read_only=True) as session:
            kept = set((await session.scalars(select(SegmentRow.path))).all())
        async for objects in self._store.list_async():
            for found in objects:
                if found["last_modified"] < oldest and found["path"] not in kept:
                    await self._delete(found["path"])
