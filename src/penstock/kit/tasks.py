"""Background tasks that are not collected while they run and whose failures are seen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

_running: set[asyncio.Task[Any]] = set()
_log = logging.getLogger("penstock.tasks")


def spawn(coroutine: Coroutine[Any, Any, Any], *, name: str, awaited: bool = False) -> asyncio.Task[Any]:
    """Start a task, keep it alive until it ends, and log its failure, unless it is `awaited` by someone who sees that."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_running.discard if awaited else _ended)
    return task


async def finish(task: asyncio.Task[Any] | None, within_s: float) -> None:
    """Let a task that has been told to stop come to its end, and cancel it if it does not in time; harmless without one."""
    if task is not None:
        await asyncio.wait({task}, timeout=within_s)
        task.cancel()


async def failure_of(work: Awaitable[Any]) -> BaseException | None:
    """What went wrong with it, whatever it was; None if nothing did. For those whom no failure may end."""
    found: Any = (await asyncio.gather(work, return_exceptions=True))[0]
    return found if isinstance(found, BaseException) else None


async def until(true: Callable[[], bool], within_s: float) -> None:
    """Wait until something is true of which nobody tells, looking again and again, and no longer than so long: for what is rare."""
    end_s = time.monotonic() + within_s
    while not true() and time.monotonic() < end_s:  # noqa: ASYNC110  nobody would set an event
        await asyncio.sleep(0.01)


async def happened(event: asyncio.Event, for_s: float) -> None:
    """Wait for an event, and no longer than so long."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), for_s)


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (exc := task.exception()) is not None:
        _log.error("task %s failed", task.get_name(), exc_info=exc)
