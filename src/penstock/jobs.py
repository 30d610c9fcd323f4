"""Jobs: what is done now and then, by one process of all that serve, on whatever machines they run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, Update, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from penstock.infra.database import Database, DatabaseAway
from penstock.infra.models import JobRow
from penstock.kit.ids import new_id
from penstock.kit.tasks import happened, spawn

HOLD_S = 30.0
"""How long a job is a process's own without a word from it; while it lasts, the process says so three times as often."""
RETRY_S = 60.0
"""At the latest, a job that failed is tried again after so long."""
AWAY_S = 5.0
"""Between attempts to reach a database that is away."""
LOOK_S = 60.0
"""At the latest, a process looks again whether a job is due after so long."""
SKEW_MS = 60_000
"""What is put off for longer than it can be, by more than this, was put off by a clock that has been set back since."""
STOP_S = 2.0
_SOON_S = 0.02
_log = logging.getLogger("penstock.jobs")


@dataclass(frozen=True)
class Job:
    """Something to be done every `every_s` seconds. What it does must do no harm when it is begun again after a crash."""

    name: str
    every_s: float
    act: Callable[[], Coroutine[Any, Any, None]]


class Jobs:
    """Does each job in one process of all at a time, and not more often than it says.

    A row for each job in the database says, by the database's clock, when it is due and whose it is; a process that dies loses
    what it holds after `hold_s`. A job that fails is told of once for each kind of failure, and tried again.
    """

    def __init__(self, database: Database, jobs: Sequence[Job], *, hold_s: float = HOLD_S) -> None:
        self._database = database
        self._jobs = jobs
        self._hold_s = hold_s
        self._me = new_id("jobs")
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._told: set[tuple[str, str]] = set()

    async def start(self) -> None:
        """Begin; each job is done now if it is due."""
        self._tasks = [spawn(self._repeat(job), name=f"job {job.name}") for job in self._jobs]

    async def stop(self) -> None:
        """Stop; a job under way is cut short, and is another process's to do. Harmless when not started."""
        self._stopping.set()
        if self._tasks:
            _, hanging = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in hanging:  # on the database: what they hold ends by itself
                task.cancel()
        self._tasks = []

    async def _repeat(self, job: Job) -> None:
        while not self._stopping.is_set():
            try:
                wait_s = await self._attempt(job)
            except DatabaseAway:  # those who need it to serve will say so
                wait_s = AWAY_S
            except Exception as failure:  # noqa: BLE001  a job that is never done again would be worse
                self._tell(job, failure)
                wait_s = RETRY_S
            await happened(self._stopping, max(_SOON_S, min(wait_s, LOOK_S)))

    async def _attempt(self, job: Job) -> float:
        """Do the job if it is due and nobody does; how many seconds later to look again."""
        began_s = time.monotonic()
        async with self._database.session(read_only=True) as session:
            now_ms = (await session.scalars(select(self._database.now_ms))).one()
            row = await session.get(JobRow, job.name)
        due_limit_ms, held_limit_ms = now_ms + _ms(job.every_s) + SKEW_MS, now_ms + _ms(self._hold_s) + SKEW_MS
        if row is None:
            await self._enter(job)
        else:
            due_at_ms = row.due_at_ms if row.due_at_ms <= due_limit_ms else 0
            held_until_ms = row.held_until_ms if row.held_until_ms <= held_limit_ms else 0
            if now_ms < (next_ms := max(due_at_ms, held_until_ms)):
                return (next_ms - now_ms) / 1000
        due = or_(JobRow.due_at_ms <= now_ms, JobRow.due_at_ms > due_limit_ms)
        free = or_(JobRow.held_until_ms <= now_ms, JobRow.held_until_ms > held_limit_ms)
        take = update(JobRow).values(holder=self._me, held_until_ms=now_ms + _ms(self._hold_s))
        if await self._change(job, take.where(due, free)):
            well = await self._do(job, began_s + self._hold_s)
            after_s = job.every_s if well else 0 if self._stopping.is_set() else min(job.every_s, RETRY_S)
            await self._let_go(job, now_ms + _ms(after_s))
        return 0

    async def _do(self, job: Job, held_until_s: float) -> bool:
        """Do it, and hold it meanwhile; whether it was done."""
        doing = spawn(job.act(), name=f"doing {job.name}", awaited=True)
        stopping = spawn(self._stopping.wait(), name=f"stopping {job.name}", awaited=True)
        try:
            while not (await asyncio.wait({doing, stopping}, timeout=self._hold_s / 3, return_when=asyncio.FIRST_COMPLETED))[0]:
                with contextlib.suppress(DatabaseAway):
                    asked_s = time.monotonic()
                    longer = update(JobRow).values(held_until_ms=self._database.now_ms + _ms(self._hold_s))
                    held_until_s = asked_s + self._hold_s if await self._change(job, longer.where(JobRow.holder == self._me)) else 0
                if time.monotonic() >= held_until_s:
                    _log.warning("job %s took so long without the database that it may be another process's now; it is cut short", job.name)
                    return False
            return doing.done() and self._judge(job, doing)
        finally:
            stopping.cancel()
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)

    def _judge(self, job: Job, doing: asyncio.Task[Any]) -> bool:
        """Whether it went well; if not, why is told."""
        failure = asyncio.CancelledError("it has cancelled itself") if doing.cancelled() else doing.exception()
        if failure is None:
            self._told = {told for told in self._told if told[0] != job.name}
            return True
        self._tell(job, failure)
        return False

    def _tell(self, job: Job, failure: BaseException) -> None:
        """Log the first failure of its kind since the job last went well."""
        kind = (job.name, type(failure).__name__)
        if kind not in self._told:
            self._told.add(kind)
            if isinstance(failure, DatabaseAway):  # everybody says so then, and where it was makes no difference
                _log.warning("job %s will be tried again when the database is back: %s", job.name, failure)
                return
            _log.error("job %s failed and will be tried again", job.name, exc_info=failure)

    async def _enter(self, job: Job) -> None:
        insert = postgresql.insert if self._database.path is None else sqlite.insert
        async with self._database.session() as session:
            await session.execute(insert(JobRow).values(name=job.name, due_at_ms=0, held_until_ms=0).on_conflict_do_nothing())

    async def _let_go(self, job: Job, due_at_ms: int) -> None:
        with contextlib.suppress(DatabaseAway):  # then it is let go when the hold ends
            free = update(JobRow).values(due_at_ms=due_at_ms, held_until_ms=0)
            await self._change(job, free.where(JobRow.holder == self._me))

    async def _change(self, job: Job, change: Update) -> bool:
        """Whether the row was changed."""
        async with self._database.session() as session:
            result = await session.execute(change.where(JobRow.name == job.name))
            assert isinstance(result, CursorResult)  # noqa: S101  what an UPDATE gives
            return bool(result.rowcount)


def _ms(span_s: float) -> int:
    return round(span_s * 1000)
