"""The recorder: takes records from the relay without ever keeping it waiting, and writes them in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from sqlalchemy.exc import SQLAlchemyError

from penstock.infra.database import Database, DatabaseAway
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.kit.tasks import spawn
from penstock.records.index import Index, Segment
from penstock.records.record import Record
from penstock.records.segments import SEGMENT_BYTES, Draft, segment_path

EVERY_S = 1.0
"""A segment that is not full by then is written all the same."""
ATTEMPT_S = 15
RETRY_AFTER_S = (0.5, 2.0, 5.0)
FAILURES = (BaseError, OSError, DatabaseAway, SQLAlchemyError)
"""What the store and the database raise; a TimeoutError is an OSError."""

_log = logging.getLogger("penstock.records")


class Recorder:
    """Writes records to segments in `store`, and where they are to the database.

    While what waits takes `limit_bytes` of memory, what comes is dropped and counted in `dropped`, as is what could not
    be written after some attempts. `failures` counts attempts that failed. All methods are for the loop's thread.
    """

    def __init__(self, database: Database, store: ObjectStore, limit_bytes: int) -> None:
        self.dropped = 0
        self.failures = 0
        self._index = Index(database)
        self._store = store
        self._limit_bytes = limit_bytes
        self._draft = Draft()
        self._sealed: deque[Draft] = deque()
        """What is to be written; the first is being written."""
        self._sealed_bytes = 0
        self._full = False
        self._taken = 0
        """Records in all drafts that were ever sealed."""
        self._done = 0
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Records that are not written yet."""
        return self._taken + len(self._draft.ids) - self._done

    @property
    def size_bytes(self) -> int:
        """Memory held by records that are not written yet."""
        return self._sealed_bytes + self._draft.size_bytes

    def put(self, record: Record) -> None:
        """Have the record written. It is the recorder's from now on: it will be redacted in place."""
        if self._full:
            self.dropped += 1
            return
        try:
            if self._draft.add(record):
                self._weigh()
        except ValueError as failure:
            self.dropped += 1
            _log.warning("%s", failure)

    def _weigh(self) -> None:
        """After every group: is the segment full, is the queue?"""
        if self._draft.raw_bytes >= SEGMENT_BYTES:
            self._seal()
            self._wake.set()
        self._full = self.size_bytes >= self._limit_bytes

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
        self._full = True
        if self.depth:
            _log.warning("%d records were dropped: they could not be written before the end", self.depth)
            self.dropped += self.depth
        self._draft = Draft()
        self._sealed.clear()
        self._sealed_bytes, self._done = 0, self._taken
        self._index.close()

    async def flush(self, timeout_s: float = 5) -> bool:
        """Wait until everything put before is written, or given up; False when that takes longer than `timeout_s`."""
        target = self._taken + len(self._draft.ids)
        try:
            async with asyncio.timeout(timeout_s):
                while self._task is not None and self._done < target:
                    self._wake.set()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    def _seal(self) -> None:
        draft, self._draft = self._draft, Draft()
        self._taken += len(draft.ids)
        self._sealed_bytes += draft.size_bytes
        self._sealed.append(draft)

    async def _write_all(self) -> None:
        while not (self._stopping.is_set() and self.depth == 0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            if self._draft.ids:
                self._seal()
            while self._sealed:
                draft = self._sealed[0]
                size_bytes = draft.size_bytes
                written = await self._write(draft)
                self._sealed.popleft()
                self._done += len(draft.ids)
                self.dropped += 0 if written else len(draft.ids)
                self._sealed_bytes -= size_bytes
                self._full = self.size_bytes >= self._limit_bytes
                self._progress.set()
                self._progress = asyncio.Event()

    async def _write(self, draft: Draft) -> bool:
        """Write one segment; whether that was possible."""
        data = await asyncio.to_thread(draft.finish) if draft.is_large else draft.finish()
        now_ms = clock.now_ms()
        segment_id = new_id("seg", now_ms)
        segment = Segment(segment_id, now_ms, segment_path(segment_id, now_ms), len(data), draft.ids)
        for pause_s in (0.0, *RETRY_AFTER_S):
            await self._pause(pause_s)
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    await self._store.put_async(segment.path, data)
                    await self._index.add(segment)
            except FAILURES as failure:
                self.failures += 1
                _log.warning("records cannot be written: %s", str(failure)[:300] or type(failure).__name__)
            else:
                return True
        _log.error("%d records were dropped: they could not be written", len(draft.ids))
        return False

    async def _pause(self, pause_s: float) -> None:
        """Wait, but not once we are to stop."""
        if pause_s and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
