"""The recorder: takes records from the relay without ever keeping it waiting, and writes them in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import NamedTuple

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from sqlalchemy.exc import SQLAlchemyError

from penstock.infra.database import Database, DatabaseAway
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.kit.tasks import spawn
from penstock.records.index import ROWS_LIMIT, Index, Segment
from penstock.records.record import Record
from penstock.records.segments import Group, encode, seal, segment_path

EVERY_S = 0.5
SEGMENT_BYTES = 4 * 1024 * 1024
"""When a segment is full, by what its records are taken to hold in memory."""
GROUP_RECORDS = 16
"""Few enough to be in the processor's cache from when they are made until they are encoded."""
GROUP_BYTES = 256 * 1024
ENCODED_HERE_BYTES = 384 * 1024
"""A group of more than that is encoded by a thread."""
RECORD_BYTES = 2048
"""What a record without bodies is taken to hold in memory: its headers, mostly."""
CHUNK_BYTES = 64
"""What each piece of a body costs besides its bytes."""
ATTEMPT_S = 15
RETRY_AFTER_S = (0.5, 2.0, 5.0)
FAILURES = (BaseError, OSError, DatabaseAway, SQLAlchemyError)
"""What the store and the database raise; a TimeoutError is an OSError."""

_log = logging.getLogger("penstock.records")


class _Batch(NamedTuple):
    """What will be one segment: groups, the number of records in them, and what these were taken to hold in memory."""

    groups: list[Group | list[Record]]
    number: int
    size_bytes: int


class Recorder:
    """Writes records to segments in `store`, and where they are to the database.

    At most `limit_bytes` wait in memory; what comes above that is dropped and counted in `dropped`, as is what could not
    be written after some attempts. `failures` counts attempts that failed. All methods are for the loop's thread.
    """

    def __init__(self, database: Database, store: ObjectStore, limit_bytes: int) -> None:
        self.dropped = 0
        self.failures = 0
        self.size_bytes = 0
        self._index = Index(database)
        self._store = store
        self._limit_bytes = limit_bytes
        self._open: list[Record] = []
        self._open_bytes = 0
        """The group that is being gathered."""
        self._groups: list[Group | list[Record]] = []
        self._groups_count = self._groups_bytes = 0
        """The segment that is being gathered."""
        self._sealed: deque[_Batch] = deque()
        self._taken = 0
        self._done = 0
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Records that are not written yet."""
        return self._taken - self._done

    def put(self, record: Record) -> None:
        """Have the record written. It is the recorder's from now on: it will be redacted in place."""
        body = record.response_body
        size = RECORD_BYTES + len(record.request_body) + sum(map(len, body)) + CHUNK_BYTES * len(body)
        if self.size_bytes + size > self._limit_bytes:
            self.dropped += 1
            return
        self.size_bytes += size
        self._open_bytes += size
        self._taken += 1
        self._open.append(record)
        if len(self._open) >= GROUP_RECORDS or self._open_bytes >= GROUP_BYTES:
            self._close_group()
            if self._groups_bytes >= SEGMENT_BYTES or self._groups_count + GROUP_RECORDS > ROWS_LIMIT:
                self._seal()
                self._wake.set()

    async def start(self) -> None:
        """Begin to write."""
        self._task = spawn(self._write_all(), name="records")

    async def stop(self, timeout_s: float = 10) -> None:
        """Write what waits and end. What is not written in time is dropped and counted."""
        if self._task is None:
            return
        self._stopping.set()
        self._wake.set()
        await asyncio.wait((self._task,), timeout=timeout_s)
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._task = None
        self._limit_bytes = -1
        if self.depth:
            _log.warning("%d records were dropped: they could not be written before the end", self.depth)
            self.dropped += self.depth
            self._done = self._taken
        self._open, self._open_bytes, self.size_bytes = [], 0, 0
        self._groups, self._groups_count, self._groups_bytes = [], 0, 0
        self._sealed.clear()
        self._index.close()

    async def flush(self, timeout_s: float = 5) -> bool:
        """Wait until everything put before is written, or given up; False when that takes longer than `timeout_s`."""
        target = self._taken
        try:
            async with asyncio.timeout(timeout_s):
                while self._task is not None and self._done < target:
                    self._wake.set()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    def _close_group(self) -> None:
        """Small records are encoded here, where they have just been made: another thread would fetch them all from this one's cache.

        Large ones would keep the loop from its work for too long.
        """
        records, size = self._open, self._open_bytes
        if records:
            self._groups.append(encode(records) if size <= ENCODED_HERE_BYTES else records)
            self._groups_count += len(records)
            self._groups_bytes += size
            self._open, self._open_bytes = [], 0

    def _seal(self) -> None:
        self._close_group()
        if self._groups:
            self._sealed.append(_Batch(self._groups, self._groups_count, self._groups_bytes))
            self._groups, self._groups_count, self._groups_bytes = [], 0, 0

    async def _write_all(self) -> None:
        while not (self._stopping.is_set() and self.depth == 0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            self._seal()
            while self._sealed:
                batch = self._sealed.popleft()
                lost = await self._write(batch)
                self.dropped += lost
                self._done += batch.number
                self.size_bytes -= batch.size_bytes
                self._progress.set()
                self._progress = asyncio.Event()

    async def _write(self, batch: _Batch) -> int:
        """Write one segment; returns how many of the records were lost."""
        rows, data = await asyncio.to_thread(seal, batch.groups)
        if not rows:
            return batch.number
        now_ms = clock.now_ms()
        segment_id = new_id("seg", now_ms)
        segment = Segment(segment_id, now_ms, segment_path(segment_id, now_ms), len(rows), len(data))
        for pause_s in (0.0, *RETRY_AFTER_S):
            await self._pause(pause_s)
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    await self._store.put_async(segment.path, data)
                    await self._index.add(segment, rows)
            except FAILURES as failure:
                self.failures += 1
                _log.warning("records cannot be written: %s", str(failure)[:300] or type(failure).__name__)
            else:
                return batch.number - len(rows)
        _log.error("%d records were dropped: they could not be written", batch.number)
        return batch.number

    async def _pause(self, pause_s: float) -> None:
        """Wait, but not once we are to stop."""
        if pause_s and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
