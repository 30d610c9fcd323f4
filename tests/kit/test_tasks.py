"""A spawned task is kept until it ends, and its failure is seen by somebody."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from penstock.kit.tasks import failure_of, finish, happened, spawn, until


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("lost")


async def test_a_task_that_nobody_holds_is_not_collected() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    spawn(work(), name="work")
    gc.collect()

    await asyncio.wait_for(done.wait(), 5)


async def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(fail(), name="doomed")
    await asyncio.wait([task])
    await asyncio.sleep(0)

    assert [(record.levelno, record.message) for record in caplog.records] == [(logging.ERROR, "task doomed failed")]


async def test_a_failure_that_is_awaited_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="lost"):
        await spawn(fail(), name="doomed", awaited=True)

    assert caplog.records == []


async def test_a_cancelled_task_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(asyncio.sleep(60), name="idle")
    task.cancel()
    await asyncio.wait([task])

    assert caplog.records == []


async def test_a_task_that_comes_to_its_end_in_time_is_let_finish() -> None:
    stopping, done = asyncio.Event(), []

    async def work() -> None:
        await stopping.wait()
        done.append("written")

    task = spawn(work(), name="work")
    stopping.set()
    await finish(task, 5)

    assert done == ["written"]
    assert not task.cancelled()


async def test_a_task_that_hangs_is_cancelled() -> None:
    task = spawn(asyncio.sleep(60), name="hanging")
    await finish(task, 0.01)
    await asyncio.wait([task], timeout=5)

    assert task.cancelled()


async def test_there_may_be_no_task_to_finish() -> None:
    await finish(None, 5)


async def give(number: int) -> int:
    return number


async def be_cancelled() -> None:
    raise asyncio.CancelledError


async def test_a_failure_is_given_instead_of_raised() -> None:
    assert await failure_of(give(1)) is None
    assert isinstance(await failure_of(fail()), ValueError)
    assert isinstance(await failure_of(be_cancelled()), asyncio.CancelledError)


async def test_an_event_is_waited_for_and_no_longer_than_so_long() -> None:
    event = asyncio.Event()
    await happened(event, 0.001)
    assert not event.is_set()
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(5):
        await happened(event, 60)
    assert event.is_set()


async def test_what_nobody_tells_of_is_looked_at_again_and_again() -> None:
    looks: list[int] = []
    async with asyncio.timeout(5):
        await until(lambda: bool(looks.append(1)) or len(looks) > 2, 60)
    assert len(looks) == 3
    await until(lambda: False, 0.001)
