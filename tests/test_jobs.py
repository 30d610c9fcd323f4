"""Jobs: done by one process of all, when they are due, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text, update

from penstock.infra.database import Database, DatabaseAway
from penstock.infra.models import JobRow
from penstock.jobs import SKEW_MS, Job, Jobs
from penstock.kit.clock import now_ms

HOURLY_S = 3600.0


class Work:
    """What a job does: it counts, and waits to be let on when it is `slow`."""

    def __init__(self, *, slow: bool = False) -> None:
        self.begun = self.done = self.cut = self.at_once = self.most_at_once = 0
        self.fails_with: Exception | None = None
        self.go = asyncio.Event()
        if not slow:
            self.go.set()

    async def __call__(self) -> None:
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go.wait()
            if self.fails_with is not None:
                raise self.fails_with
            self.done += 1
        except asyncio.CancelledError:
            self.cut += 1
            raise
        finally:
            self.at_once -= 1


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  what it waits for has no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def doing(database: Database, *jobs: Job, **how: Any) -> AsyncIterator[Jobs]:
    """Jobs that run while the block does."""
    made = Jobs(database, jobs, **how)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def row(database: Database) -> JobRow:
    async with database.session(read_only=True) as session:
        found = await session.get(JobRow, "work")
        assert found is not None
        return found


async def put(database: Database, **moments: int) -> None:
    async with database.session() as session:
        await session.merge(JobRow(name="work", holder="jobs_gone", **moments))


@pytest.fixture
async def elsewhere(database_url: str) -> AsyncIterator[Database]:
    """The same database, as another process has it open."""
    opened = Database(database_url)
    yield opened
    await opened.close()


async def test_a_job_is_done_again_and_again(database: Database) -> None:
    often, once = Work(), Work()
    async with doing(database, Job("often", 0.05, often), Job("once", HOURLY_S, once)):
        await until(lambda: often.done >= 3)
    assert once.done == 1


async def test_of_several_processes_one_does_it(database: Database, elsewhere: Database) -> None:
    work = Work()
    async with doing(database, Job("work", HOURLY_S, work)), doing(elsewhere, Job("work", HOURLY_S, work)):
        await until(lambda: work.done == 1)
        await asyncio.sleep(0.2)
    async with doing(elsewhere, Job("work", HOURLY_S, work)):
        await asyncio.sleep(0.2)
    assert (work.begun, work.done) == (1, 1)


async def test_it_is_never_done_twice_at_a_time(database: Database, elsewhere: Database) -> None:
    """Longer than it is held for: it is held anew, and again."""
    work = Work(slow=True)
    job = Job("work", 0.01, work)
    async with doing(database, job, hold_s=0.5), doing(elsewhere, job, hold_s=0.5):
        await until(lambda: work.begun == 1)
        await asyncio.sleep(1.2)
        assert work.begun == 1
        work.go.set()
        await until(lambda: work.done >= 4)
    assert work.most_at_once == 1


async def test_it_is_due_from_the_beginning_of_the_last_time(database: Database) -> None:
    work = Work()
    before_ms = now_ms()
    async with doing(database, Job("work", HOURLY_S, work)):
        await until(lambda: work.done == 1)
    found = await row(database)
    assert before_ms - 1 <= found.due_at_ms - 3_600_000 <= now_ms()
    assert found.held_until_ms == 0


async def test_another_process_takes_over_from_one_that_died(database: Database) -> None:
    work = Work()
    await put(database, due_at_ms=0, held_until_ms=now_ms() + 20_000)
    async with doing(database, Job("work", HOURLY_S, work)):
        await asyncio.sleep(0.2)
        assert work.begun == 0
    await put(database, due_at_ms=0, held_until_ms=now_ms() - 1)
    async with doing(database, Job("work", HOURLY_S, work)):
        await until(lambda: work.done == 1)


async def test_a_clock_that_was_set_back_delays_nothing_for_long(database: Database) -> None:
    work = Work()
    await put(database, due_at_ms=10**13, held_until_ms=10**13)
    async with doing(database, Job("work", HOURLY_S, work)):
        await until(lambda: work.done == 1)
    await put(database, due_at_ms=0, held_until_ms=now_ms() + SKEW_MS)  # but a little may be
    async with doing(database, Job("work", HOURLY_S, work)):
        await asyncio.sleep(0.2)
    assert work.done == 1


async def test_a_failure_is_told_once_and_tried_again(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    work, other = Work(), Work()
    work.fails_with = ValueError("it cannot be done")
    async with doing(database, Job("work", 0.02, work), Job("other", 0.02, other)):
        await until(lambda: work.begun >= 3 and other.done >= 3)
        assert caplog.text.count("job work failed and will be tried again") == 1
        work.fails_with = TypeError("nor in this way")
        await until(lambda: "TypeError" in caplog.text)
        work.fails_with = None
        await until(lambda: work.done >= 1)
        work.fails_with = ValueError("it cannot be done")
        await until(lambda: caplog.text.count("job work failed") == 3)


async def test_a_database_that_goes_away_meanwhile_is_told_in_a_line(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    work.fails_with = DatabaseAway("no route to it")
    async with doing(database, Job("work", 0.02, work)):
        await until(lambda: work.begun >= 3)
    assert caplog.text.count("job work will be tried again when the database is back: no route to it") == 1
    assert "Traceback" not in caplog.text


async def test_a_job_that_cancels_itself_has_failed(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    begun = 0

    async def act() -> None:
        nonlocal begun
        begun += 1
        raise asyncio.CancelledError

    async with doing(database, Job("work", 0.02, act)):
        await until(lambda: begun >= 2)
    assert "job work failed" in caplog.text


async def test_stopping_cuts_it_short_and_leaves_it_to_others(database: Database, elsewhere: Database) -> None:
    work, later = Work(slow=True), Work()
    async with doing(database, Job("work", HOURLY_S, work)) as jobs:
        await until(lambda: work.begun == 1)
        await jobs.stop()
        await jobs.stop()
        assert (work.cut, work.at_once) == (1, 0)
    async with doing(elsewhere, Job("work", HOURLY_S, later)):
        await until(lambda: later.done == 1)


async def test_a_process_that_was_robbed_of_a_job_stops_doing_it(database: Database, elsewhere: Database) -> None:
    work = Work(slow=True)
    async with doing(database, Job("work", HOURLY_S, work), hold_s=0.3):
        await until(lambda: work.begun == 1)
        async with elsewhere.session() as session:
            await session.execute(update(JobRow).values(holder="jobs_other", held_until_ms=10**15))
        await until(lambda: work.cut == 1)
    assert (await row(database)).holder == "jobs_other"


async def test_a_job_is_cut_short_when_its_hold_ends_without_the_database(
    database: Database, elsewhere: Database, outage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(slow=True)
    async with doing(database, Job("work", HOURLY_S, work), hold_s=0.3):
        await until(lambda: work.begun == 1)
        await elsewhere.close()
        async with outage():
            await until(lambda: work.cut == 1)
    assert "it is cut short" in caplog.text


async def test_jobs_wait_for_a_database_that_is_away(database: Database, elsewhere: Database, outage: Any) -> None:
    work = Work()
    await elsewhere.close()
    async with outage(), doing(database, Job("work", HOURLY_S, work)):
        await asyncio.sleep(0.1)
        assert work.begun == 0
    async with doing(database, Job("work", HOURLY_S, work)):
        await until(lambda: work.done == 1)


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_what_should_never_happen_does_not_end_it(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    async with database.session() as session:
        await session.execute(text("ALTER TABLE job RENAME TO mislaid"))
    async with doing(database, Job("work", HOURLY_S, work)) as jobs:
        await until(lambda: "job work failed" in caplog.text)
        assert not any(task.done() for task in jobs._tasks)
