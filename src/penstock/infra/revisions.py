"""Revisions: a number per kind of thing, moved in the same transaction as the change, and followed by every process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from sqlalchemy import exc, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import AWAY, Base, Database
from penstock.kit.tasks import spawn

STOP_S = 2
_log = logging.getLogger("penstock.revisions")


class Revision(Base):
    """How often the things called `name` were changed."""

    __tablename__ = "revision"

    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


async def bump(session: AsyncSession, name: str) -> None:
    """Say, in the transaction that changes them, that the things called `name` have changed."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = insert(Revision).values(name=name, number=1)
    await session.execute(added.on_conflict_do_update(index_elements=["name"], set_={"number": Revision.number + 1}))


class Follower:
    """Calls `changed` when the revision `name` has moved, whichever process moved it, and once at the start.

    It asks every `every_s` seconds. SQLite's `data_version` says nearly for free whether any other connection has
    written at all. While the database is away nothing is called; a change made meanwhile is found afterwards.
    """

    def __init__(self, database: Database, name: str, changed: Callable[[], None], *, every_s: float = 0.5) -> None:
        self._database = database
        self._name = name
        self._changed = changed
        self._every_s = every_s
        self._number: int | None = None
        self._away = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow in the background until `stop`."""
        self._task = spawn(self._follow(), name=f"follow {self._name}")

    async def stop(self) -> None:
        """Stop following; harmless when not started."""
        self._stopping.set()
        if self._task is not None:
            # A query that is cut off costs its connection, so let it end, unless the database hangs.
            await asyncio.wait({self._task}, timeout=STOP_S)
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._watch()
            except (exc.SQLAlchemyError, *AWAY) as failure:
                if not self._away:
                    _log.warning("changes of %s cannot be followed while the database is away: %s", self._name, failure)
                self._away = True
            await self._pause()

    async def _watch(self) -> None:
        """Ask over one connection, since `data_version` is counted per connection, until it fails."""
        seen: int | None = None
        async with self._database.reading.connect() as connection:
            while not self._stopping.is_set():
                version = await connection.scalar(text("PRAGMA data_version")) if self._database.path else None
                if version is None or version != seen:  # None on PostgreSQL
                    seen = version
                    number = await connection.scalar(select(Revision.number).where(Revision.name == self._name))
                    self._see(number or 0)
                await connection.rollback()
                await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._every_s)

    def _see(self, number: int) -> None:
        self._away = False
        if number != self._number:
            self._number = number
            self._changed()
