"""Catching up: what was changed is read again as soon as the feed says so, and until that has worked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.infra.database import DatabaseAway
from penstock.infra.revisions import Feed
from penstock.kit.tasks import finish, happened, spawn

PAUSE_S = 1.0
"""Between attempts while the database is away."""
STOP_S = 2.0
_log = logging.getLogger("penstock.revisions")


class CatchUp:
    """Calls `read` when the revision `name` has moved, once at a time, between `start` and `stop`.

    When that raises DatabaseAway or TimeoutError it is called again a second later; that is told once.
    """

    def __init__(self, feed: Feed, name: str, read: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._feed = feed
        self._name = name
        self._read = read
        self._away = False
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, *, behind: bool = False) -> None:
        """Begin; `behind` says that what there is now could not be read."""
        self._away = behind
        if behind:
            self._wake.set()
        self._task = spawn(self._run(), name=self._name)
        self._feed.follow(self._name, self._wake.set)

    async def stop(self) -> None:
        """Stop, after the reading under way; harmless when not started."""
        self._stopping.set()
        self._wake.set()
        await finish(self._task, STOP_S)
        self._task = None

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                await self._read()
                self._away = False
            except (DatabaseAway, TimeoutError) as failure:
                if not self._away:
                    _log.warning(
                        "changes of %s cannot be read while the database is away: %s", self._name, str(failure) or "it took too long"
                    )
                self._away = True
                self._wake.set()
                await happened(self._stopping, PAUSE_S)
