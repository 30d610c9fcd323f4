"""Recalls: a process that is short of a purse asks the others to give back what they do not need of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from penstock.billing.models import Recall
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import bump
from penstock.kit.tasks import spawn

REVISION = "recall"
FRESH_MS = 2_000
REST_S = 0.05
STOP_S = 5


async def recall(database: Database, purse_ids: Sequence[str], now_ms: int) -> None:
    """Ask all processes to give back what they do not need of these purses; without a database nobody hears it."""
    try:
        async with database.session() as session:
            insert = postgresql.insert if database.path is None else sqlite.insert
            rows = [{"purse_id": purse_id, "asked_at_ms": now_ms} for purse_id in sorted(set(purse_ids))]
            added = insert(Recall)
            await session.execute(
                added.on_conflict_do_update(index_elements=["purse_id"], set_={"asked_at_ms": added.excluded.asked_at_ms}), rows
            )
            await bump(session, REVISION)
    except DatabaseAway:
        return


class Recaller:
    """Asks on behalf of requests that wait: however many they are, and however often they ask, at most once in `REST_S`."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._wanted: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def ask(self, purse_ids: Iterable[str]) -> None:
        """Have others give back of these purses, soon."""
        self._wanted.update(purse_ids)
        if self._task is None:
            self._task = spawn(self._ask(), name="recalls")

    async def stop(self) -> None:
        """Ask no more."""
        self._wanted.clear()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_S)

    async def _ask(self) -> None:
        try:
            while self._wanted:
                purse_ids = sorted(self._wanted)
                self._wanted.clear()
                await recall(self._database, purse_ids, self._now_ms())
                await asyncio.sleep(REST_S)
        finally:
            self._task = None


async def recalled(database: Database, now_ms: int) -> list[str]:
    """The purses that somebody has lately been short of."""
    try:
        async with database.session(read_only=True) as session:
            return list(await session.scalars(select(Recall.purse_id).where(Recall.asked_at_ms > now_ms - FRESH_MS)))
    except DatabaseAway:
        return []
