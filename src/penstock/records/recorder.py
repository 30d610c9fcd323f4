"""The recorder: takes records from the relay without ever keeping it waiting, and writes them in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import NamedTuple

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from penstock.infra.database import Database, DatabaseAway
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.kit.tasks import spawn
from penstock.records.cover import cover_all
from penstock.records.index import Index
from penstock.records.pages import Segment, make_segment
from penstock.records.policies import Policies
from penstock.records.record import Record
from penstock.records.segments import SEGMENT_BYTES, Draft
from penstock.records.vault import STORE_FAILURES, Vault

EVERY_S = 1.0
"""A segment that is not full by then is written all the same."""
ATTEMPT_S = 15
ROOM_BYTES = SEGMENT_BYTES * 3 // 2
"""No more memory than this is kept for what comes next."""
RETRY_AFTER_S = (0.5, 2.0, 5.0)
"""Between attempts; the last one again and again."""
FAILURES = (*STORE_FAILURES, DatabaseAway, SQLAlchemyError)
"""What the store and the database raise; a TimeoutError is an OSError."""
_HOPELESS = (DataError, IntegrityError)

_log = logging.getLogger("penstock.records")


class RecorderState(NamedTuple):
    """How the recorder of this process does."""

    running: bool
    stopped_because: str
    """Empty while it runs."""
    dropped: int
    """Records that were lost since the process started."""
    waiting: int
    """Records that are not written yet."""


class Recorder:
    """Writes records to segments in the vault, and where they are to the database.

    While the store or the database fails, what is taken waits and is tried again. While what waits takes `limit_bytes` of memory,
    what comes is dropped and counted in `dropped`. `failures` counts attempts that failed. All methods are for the loop's thread.
    """

    def __init__(self, database: Database, vault: Vault, limit_bytes: int, policies: Policies | None = None) -> None:
        self.dropped = 0
        self.failures = 0
        self._index = Index(database)
        self._vault = vault
        self._policies = policies
        self._limit_bytes = limit_bytes
        self._draft = Draft()
        self._room: bytearray | None = None
        """Memory of the last that was packed, for the next one to be gathered in."""
        self._sealed: deque[Draft] = deque()
        """What is to be packed."""
        self._covered: list[Record] = []
        """What its account wants more covered of than credentials: that takes its time."""
        self._covered_bytes = 0
        self._packed: deque[Segment] = deque()
        """What is to be written; the first is being written."""
        self._size_bytes = 0
        """Memory of all that is sealed or packed."""
        self._full = False
        self._taken = 0
        self._done = 0
        self._stopped_because = ""
        self._attempts = 0
        """How often the first of what is packed was tried."""
        self._retry_at_s = 0.0
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Records that are not written yet."""
        return self._taken - self._done

    @property
    def size_bytes(self) -> int:
        """Memory held by records that are not written yet."""
        return self._size_bytes + self._covered_bytes + self._draft.raw_bytes

    def state(self) -> RecorderState:
        """How it does."""
        return RecorderState(not self._stopped_because, self._stopped_because, self.dropped, self.depth)

    def put(self, record: Record) -> None:
        """Have the record written, unless nobody has asked for it. It is the recorder's from now on: it will be redacted in place."""
        if not (record.for_operator or record.for_owner):
            return
        if self._full:
            self.dropped += 1
        elif self._policies is not None and record.account_id in self._policies.covering:
            self._taken += 1
            self._covered.append(record)
            self._covered_bytes += len(record.request_body) + sum(map(len, record.response_body))
            self._weigh()
        else:
            self._add(record)

    def _add(self, record: Record) -> None:
        draft = self._draft
        if not draft.takes(record.created_at_ms):
            self._seal()
            draft = self._draft
        try:
            closed = draft.add(record)
        except ValueError as failure:
            self.dropped += 1
            _log.warning("%s", failure)
            return
        self._taken += 1
        if closed:
            if draft.is_full:
                self._seal()
                self._wake.set()
            self._weigh()

    def _weigh(self) -> None:
        """After every group: is the queue full?"""
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
        self._draft, self._room = Draft(), None
        self._sealed.clear()
        self._packed.clear()
        self._covered.clear()
        self._size_bytes, self._covered_bytes, self._done = 0, 0, self._taken
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

    def _seal(self) -> None:
        draft = self._draft
        if draft.count:
            draft.close()
            self._size_bytes += draft.raw_bytes
            self._sealed.append(draft)
            self._draft = Draft(self._room)
            self._room = None

    async def _write_all(self) -> None:
        while not (self._stopping.is_set() and self.depth == 0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            await self._cover()
            self._seal()
            while self._sealed:
                await self._pack(self._sealed[0])
                self._sealed.popleft()
            while self._packed and await self._write(self._packed[0]):
                pass
            if self._stopping.is_set() and self._packed and self._attempts > len(RETRY_AFTER_S):
                return

    async def _cover(self) -> None:
        """Have those be covered whose accounts want it, on a thread, and take them like the others."""
        records, self._covered = self._covered, []
        if not records or self._policies is None:
            return
        await asyncio.to_thread(cover_all, records, self._policies.covering.copy())
        self._covered_bytes = sum(len(record.request_body) for record in self._covered)
        self._taken -= len(records)
        for record in records:
            self._add(record)

    async def _pack(self, draft: Draft) -> None:
        """Make a segment of a draft: it takes less memory then, should it have to wait."""
        now_ms = clock.now_ms()
        segment = await asyncio.to_thread(make_segment, self._vault, draft, new_id("seg", now_ms), now_ms)
        self._room = draft.room if len(draft.room) < ROOM_BYTES else None
        self._size_bytes += len(segment.data) - draft.raw_bytes
        self._packed.append(segment)
        self._weigh()

    async def _write(self, segment: Segment) -> bool:
        """Try to write the first segment; whether it is out of the way."""
        if time.monotonic() < self._retry_at_s and not self._stopping.is_set():
            return False
        try:
            async with asyncio.timeout(ATTEMPT_S):
                await self._vault.put(segment.path, segment.data)
                await self._index.add(segment)
        except FAILURES as failure:
            self._failed(failure)
            if not isinstance(failure, _HOPELESS):
                return False
            _log.error("%d records were dropped: the database does not take them: %s", segment.count, failure)
            self.dropped += segment.count
        else:
            self._succeeded()
        self._packed.popleft()
        self._done += segment.count
        self._size_bytes -= len(segment.data)
        self._weigh()
        self._progress.set()
        self._progress = asyncio.Event()
        return True

    def _failed(self, failure: Exception) -> None:
        """Say once that nothing can be written, and when to try again."""
        self.failures += 1
        reason = str(failure).partition("\n")[0][:300] or type(failure).__name__  # stores go on with what is for debugging
        if not self._stopped_because:
            _log.error("recording has stopped: %s. It goes on when that is mended; until then records wait in memory", reason)
        self._stopped_because = reason
        self._retry_at_s = time.monotonic() + RETRY_AFTER_S[min(self._attempts, len(RETRY_AFTER_S) - 1)]
        self._attempts += 1

    def _succeeded(self) -> None:
        if self._stopped_because:
            _log.warning("recording goes on; %d records were dropped since the start", self.dropped)
        self._stopped_because, self._attempts, self._retry_at_s = "", 0, 0.0
