"""Keeping: how long records are kept, and the deletion of what no shelf has any more. What is done now and then, in one process of all."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, cast, delete, exists, func, select, tuple_, update

from penstock.infra.database import Database
from penstock.kit import clock
from penstock.records.clearing import clear_pages
from penstock.records.models import EntriesRow, PageRow, PolicyRow, SegmentRow
from penstock.records.repack import Repacker
from penstock.records.segments import SPAN_MS, SUFFIX
from penstock.records.vault import STORE_FAILURES, Vault

DAY_MS = 86_400_000
AT_ONCE = 50
"""Segments whose rows are deleted in one transaction: SQLite keeps those who charge waiting meanwhile."""
REPACKS = 100
"""Segments that are written anew in one run of the job."""
RUN_S = 30.0
MOMENT_S = 0.2
SMALL_BYTES = 256 * 1024
JOIN, JOIN_LATE = 16, 2
"""So many small segments of an hour are worth joining, while others may come and afterwards."""
JOINED, JOINED_RECORDS, JOINED_BYTES = 64, 2048, 1024 * 1024
"""How many are joined at most, with how many records, in how many bytes."""
REST_MS = 120_000
"""A segment is left alone for so long: joining has no haste."""
JOIN_WITHIN_MS = DAY_MS
LEFTOVER_AGE = timedelta(hours=1)
"""What has no row may be about to get one, but not after this time."""
_PATH = re.compile(r"\d{4}/\d\d/\d\d/(seg_[0-9a-f]{30})" + re.escape(SUFFIX))
_log = logging.getLogger("penstock.records")


class Keeper:
    """Keeps records for `days` days (0: for ever) and in `size_limit` bytes of segments (0: however many)."""

    def __init__(self, database: Database, vault: Vault, *, days: int = 0, size_limit: int = 0) -> None:
        self._database = database
        self._vault = vault
        self._days = days
        self._size_limit = size_limit
        self._repacker = Repacker(database, vault)

    async def run(self) -> None:
        """The job: what is too old or too much goes, cleared bodies go, small segments become large ones. Raises DatabaseAway and
        `STORE_FAILURES`; it goes on from there the next time.
        """
        now_ms = clock.now_ms()
        await self.expire(now_ms)
        await self.shrink()
        await self.sweep()
        await self.repack(time.monotonic() + RUN_S, now_ms)

    async def expire(self, now_ms: int) -> None:
        """Take off all shelves what is older than records are kept, and off an account's shelf what is older than it wants."""
        if self._days:
            await self._drop(SegmentRow.until_ms < now_ms - self._days * DAY_MS)
        old = PageRow.until_ms < now_ms - cast(PolicyRow.retention_days, BigInteger) * DAY_MS
        query = select(PageRow.shelf, PageRow.segment_id).join(PolicyRow, PolicyRow.account_id == PageRow.shelf)
        query = query.where(PolicyRow.retention_days.is_not(None), old).limit(AT_ONCE)
        while True:
            async with self._database.session(read_only=True) as session:
                pages = [tuple(row) for row in await session.execute(query)]
            if not pages:
                return
            async with self._database.session() as session:
                await clear_pages(session, tuple_(PageRow.shelf, PageRow.segment_id).in_(pages))

    async def shrink(self) -> None:
        """Drop the oldest segments while all of them take more than they may."""
        if not self._size_limit:
            return
        kept = exists().where(PageRow.segment_id == SegmentRow.id)
        async with self._database.session(read_only=True) as session:
            size = int(await session.scalar(select(func.coalesce(func.sum(SegmentRow.size_bytes), 0)).where(kept)) or 0)
        while size > self._size_limit:
            oldest = select(SegmentRow.id, SegmentRow.size_bytes).where(kept).order_by(SegmentRow.until_ms, SegmentRow.id).limit(AT_ONCE)
            async with self._database.session(read_only=True) as session:
                rows = (await session.execute(oldest)).all()
            ids = []
            for segment_id, size_bytes in rows:
                if size > self._size_limit:
                    ids.append(segment_id)
                    size -= size_bytes
            if not ids:
                return
            await self._drop(SegmentRow.id.in_(ids))

    async def _drop(self, which: ColumnElement[bool]) -> None:
        """Take all records of segments off all shelves."""
        kept = exists().where(PageRow.segment_id == SegmentRow.id)
        while True:
            async with self._database.session(read_only=True) as session:
                ids = (await session.scalars(select(SegmentRow.id).where(which, kept).limit(AT_ONCE))).all()
            if not ids:
                return
            async with self._database.session() as session:
                await clear_pages(session, PageRow.segment_id.in_(ids))

    async def sweep(self, until_s: float = math.inf) -> None:
        """Delete segments that no page refers to: the object first, so that a crash in between leaves the row to be found again."""
        unused = select(SegmentRow.id, SegmentRow.path).where(SegmentRow.stale, ~exists().where(PageRow.segment_id == SegmentRow.id))
        while True:
            async with self._database.session(read_only=True) as session:
                rows = (await session.execute(unused.limit(AT_ONCE))).all()
            if not rows:
                return
            if time.monotonic() >= until_s:
                return
            await self._vault.delete([path for _, path in rows])
            ids = [segment_id for segment_id, _ in rows]
            async with self._database.session() as session:
                await session.execute(delete(EntriesRow).where(EntriesRow.segment_id.in_(ids)))
                await session.execute(delete(SegmentRow).where(SegmentRow.id.in_(ids)))

    async def repack(self, until_s: float, now_ms: int) -> None:
        """Write segments anew: those that have records which no shelf has, and small ones, several as one. Then the old ones go."""
        for ids in [*await self._stale(), *await self._small(now_ms)][:REPACKS]:
            if time.monotonic() >= until_s:
                break
            await self._repacker.repack(ids)
        await self.sweep()

    async def _stale(self) -> list[Sequence[str]]:
        async with self._database.session(read_only=True) as session:
            query = select(SegmentRow.id).where(SegmentRow.stale).order_by(SegmentRow.id).limit(REPACKS)
            return [[segment_id] for segment_id in await session.scalars(query)]

    async def _small(self, now_ms: int) -> list[Sequence[str]]:
        columns = (SegmentRow.id, SegmentRow.until_ms, SegmentRow.count, SegmentRow.size_bytes)
        recent = (SegmentRow.until_ms >= now_ms - JOIN_WITHIN_MS, SegmentRow.created_at_ms < now_ms - REST_MS)
        small = select(*columns).where(*recent, SegmentRow.size_bytes < SMALL_BYTES, ~SegmentRow.stale).order_by(SegmentRow.until_ms)
        async with self._database.session(read_only=True) as session:
            rows = (await session.execute(small.limit(REPACKS * JOINED))).all()
        joined: list[Sequence[str]] = []
        some: list[str] = []
        hour = records = size = 0

        def close() -> None:
            if len(some) >= (JOIN if now_ms < (hour + 1) * SPAN_MS + REST_MS else JOIN_LATE):
                joined.append(some.copy())
            some.clear()

        for segment_id, until_ms, count, size_bytes in rows:
            full = len(some) >= JOINED or records + count > JOINED_RECORDS or size + size_bytes > JOINED_BYTES
            if some and (full or until_ms // SPAN_MS != hour):
                close()
            if not some:
                hour, records, size = until_ms // SPAN_MS, 0, 0
            some.append(segment_id)
            records, size = records + count, size + size_bytes
        close()
        return joined

    async def tidy(self) -> None:
        """Delete what crashes have left: rows without a segment, segments without a page, objects without a row."""
        before = datetime.now(UTC) - LEFTOVER_AGE
        before_ms = int(before.timestamp() * 1000)
        oldest = f"seg_{before_ms:012x}"
        for model in (PageRow, EntriesRow):
            lost = (model.segment_id < oldest, ~exists().where(SegmentRow.id == model.segment_id))
            async with self._database.session() as session:
                await session.execute(delete(model).where(*lost))
        async with self._database.session() as session:
            unused = ~exists().where(PageRow.segment_id == SegmentRow.id)
            await session.execute(update(SegmentRow).where(SegmentRow.created_at_ms < before_ms, unused).values(stale=True))
        async for paths in self._vault.paths(before):
            await self._delete_unknown(paths)
        await self.sweep()

    async def _delete_unknown(self, paths: Sequence[str]) -> None:
        """Delete those objects that are called like segments and have no row; whatever else is in the store is not ours."""
        ours = {found[1]: path for path in paths if (found := _PATH.fullmatch(path))}
        ids = sorted(ours)
        for begin in range(0, len(ids), 500):
            some = ids[begin : begin + 500]
            async with self._database.session(read_only=True) as session:
                known = set((await session.scalars(select(SegmentRow.id).where(SegmentRow.id.in_(some)))).all())
            if lost := [ours[segment_id] for segment_id in some if segment_id not in known]:
                await self._vault.delete(lost)

    async def swept(self) -> None:
        """Sweep for a moment, for those whom a store that fails does not concern: the job does the rest."""
        try:
            await self.sweep(time.monotonic() + MOMENT_S)
        except STORE_FAILURES as failure:
            _log.warning("what was cleared cannot be deleted now: %s", str(failure)[:300])
