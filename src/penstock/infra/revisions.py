"""Revisions: a number per kind of thing, moved in the same transaction as the change, and followed by every process."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

from sqlalchemy import URL, NullPool, create_engine, exc, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import AWAY, Base, Database
from penstock.kit.tasks import finish, happened, spawn

CHANNEL = "penstock"
"""What PostgreSQL is told, and asked to tell, about changes."""
POSTGRESQL_EVERY_S = 1.0
"""How often PostgreSQL is asked although it tells: a notification may have been missed."""
ALONE_EVERY_S, AMONG_EVERY_S = 0.25, 0.05
"""How often SQLite is asked, by a process that serves alone and by one of several."""
REST_S = 0.02
"""Between two looks at PostgreSQL, however many notifications come."""
LOOK_S = 5
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 2.0
"""Between two attempts to reach a database that is away: it doubles from the one to the other."""
STOP_S = 2
_log = logging.getLogger("penstock.revisions")


class Revision(Base):
    """How often the things called `name` were changed."""

    __tablename__ = "revision"

    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


_ALL = select(Revision.name, Revision.number)
_ALL_IN_SQLITE = str(_ALL.compile(dialect=sqlite.dialect()))


async def bump(session: AsyncSession, name: str) -> None:
    """Say, in the transaction that changes them, that the things called `name` have changed."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    added = (postgresql.insert if on_postgresql else sqlite.insert)(Revision).values(name=name, number=1)
    await session.execute(added.on_conflict_do_update(index_elements=["name"], set_={"number": Revision.number + 1}))
    if on_postgresql:
        await session.execute(select(func.pg_notify(CHANNEL, name)))


@dataclass
class _Followed:
    name: str
    changed: Callable[[], None]
    number: int | None = None


class Feed:
    """Tells this process which things were changed, whichever process changed them. One per process.

    PostgreSQL notifies it. SQLite is asked, the more often when this process is not the only one that serves (`alone`); that is
    one read of some microseconds, on the loop. While the database is away nobody is called; a change made meanwhile is found
    afterwards.
    """

    def __init__(self, database: Database, *, alone: bool = True, every_s: float | None = None) -> None:
        self._database = database
        usual_s = POSTGRESQL_EVERY_S if database.path is None else ALONE_EVERY_S if alone else AMONG_EVERY_S
        self._every_s = usual_s if every_s is None else every_s
        self._followed: list[_Followed] = []
        self._away = False
        self._pause_s = FIRST_PAUSE_S
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self, name: str, changed: Callable[[], None]) -> None:
        """Call `changed` when the revision `name` has moved, and once when it is first known. May be called at any time."""
        self._followed.append(_Followed(name, changed))
        self._wake.set()

    async def start(self) -> None:
        """Follow in the background until `stop`."""
        self._task = spawn(self._run(), name="feed")

    async def stop(self) -> None:
        """Stop following; harmless when not started."""
        self._stopping.set()
        self._wake.set()
        await finish(self._task, STOP_S)
        self._task = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await (self._listen() if self._database.path is None else self._poll(self._database.path))
            except (exc.SQLAlchemyError, sqlite3.Error, *AWAY) as failure:
                if not self._away:
                    _log.warning("changes cannot be followed while the database is away: %s", getattr(failure, "orig", failure))
                self._away = True
                await happened(self._stopping, self._pause_s)
                self._pause_s = min(2 * self._pause_s, LAST_PAUSE_S)

    async def _listen(self) -> None:
        """Follow a PostgreSQL, over one connection, until that fails."""
        async with self._database.engine.connect() as pooled:
            connection = await pooled.execution_options(isolation_level="AUTOCOMMIT")
            try:
                async with asyncio.timeout(LOOK_S):
                    bare = (await connection.get_raw_connection()).driver_connection
                    assert bare is not None  # noqa: S101  it has just been made
                    await bare.add_listener(CHANNEL, lambda *_: self._wake.set())
                bare.add_termination_listener(lambda *_: self._wake.set())
                while not self._stopping.is_set():
                    async with asyncio.timeout(LOOK_S):
                        found = await connection.execute(_ALL)
                    self._see(dict(found.all()))
                    await asyncio.sleep(REST_S)
                    await self._wait(self._every_s)
            finally:
                await connection.invalidate()  # it listens still: nobody else must get it from the pool

    async def _poll(self, path: Path) -> None:
        """Follow a SQLite file until that fails."""
        glance = _Glance(path)
        try:
            while not self._stopping.is_set():
                if (numbers := glance.look()) is not None:
                    self._see(numbers)
                await self._wait(self._every_s)
        finally:
            glance.close()

    async def _wait(self, for_s: float) -> None:
        await happened(self._wake, for_s)
        self._wake.clear()

    def _see(self, numbers: dict[str, int]) -> None:
        self._away = False
        self._pause_s = FIRST_PAUSE_S
        for followed in self._followed:
            number = numbers.get(followed.name, 0)
            if number != followed.number:
                followed.number = number
                followed.changed()


class Follower:
    """A feed of one name, for those who have no feed to share."""

    def __init__(self, database: Database, name: str, changed: Callable[[], None]) -> None:
        self._feed = Feed(database)
        self._feed.follow(name, changed)

    async def start(self) -> None:
        """Follow in the background until `stop`."""
        await self._feed.start()

    async def stop(self) -> None:
        """Stop following; harmless when not started."""
        await self._feed.stop()


class _Glance:
    """A connection to a SQLite file that reads and waits for nothing: in WAL mode next to nothing keeps a reader waiting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
        borrowed = create_engine(url, poolclass=NullPool, connect_args={"timeout": 0, "isolation_level": None}).raw_connection()
        self._connection = cast(sqlite3.Connection, borrowed.driver_connection)
        borrowed.detach()
        self._inode = path.stat().st_ino

    def look(self) -> dict[str, int] | None:
        """All revisions; None when they cannot be read just now. Raises sqlite3.Error and OSError when it must be opened afresh."""
        if self._path.stat().st_ino != self._inode:  # SQLite reads on in a file that was removed
            raise FileNotFoundError(f"{self._path} was replaced by another file")
        try:
            return dict(self._connection.execute(_ALL_IN_SQLITE).fetchall())
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
