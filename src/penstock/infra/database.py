"""The database: one engine over SQLite or PostgreSQL, the declarative base, and sessions of one transaction each."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import URL, BigInteger, ColumnElement, Connection, LargeBinary, MetaData, Text, event, exc, literal_column, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import PoolResetState

from penstock.kit.tasks import until

BUSY_S = 10
"""How long a statement waits for another process's write on SQLite."""
CONNECT_S = 5
COMMAND_S = 30
"""How long PostgreSQL may take for a statement."""
CLOSE_S = 2
"""How long closing waits for sessions to end."""
_WAL_SIZE_BYTES = 64 * 1024 * 1024
_OURS = (exc.IntegrityError, exc.DataError, exc.ProgrammingError)
AWAY = (exc.DisconnectionError, exc.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What an unreachable database raises besides the errors that SQLAlchemy wraps."""


class DatabaseAway(Exception):
    """The database could not be reached, was busy for too long, or refused us; what was asked may be tried again."""


class Base(DeclarativeBase):
    """The base of all tables. `str` is TEXT and `int` is BIGINT unless a column says otherwise."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar = {str: Text(), int: BigInteger(), bytes: LargeBinary()}


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, absolute; None for PostgreSQL. Raises ValueError for what we do not speak."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return None
    if backend != "sqlite":
        raise ValueError(f"database_url: '{backend}' is not known; use sqlite:///path or postgresql://user@host/name")
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("database_url: SQLite needs a file, as in sqlite:///data/penstock.db")
    return Path(parsed.database).absolute()


class Database:
    """One database, opened lazily. On SQLite the file must exist: only `schema.migrate` makes it.

    `engine` begins transactions that may write, `reading` ones that do not; both share one pool. `path` is the
    SQLite file, None on PostgreSQL, where the server's own `synchronous_commit` holds for what is not a charge.
    """

    def __init__(self, url: str, durability: Literal["process", "power"] = "process", *, command_s: float | None = COMMAND_S) -> None:
        self.path = sqlite_path(url)
        self._url = url
        self._durability: Literal["process", "power"] = durability
        self.engine = _postgresql(url, command_s) if self.path is None else _sqlite(self.path, durability)
        # SQLite reads one moment in any case
        postgresql = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
        read_only: dict[str, Any] = postgresql if self.path is None else {"sqlite_begin": "DEFERRED"}
        self.reading = self.engine.execution_options(**read_only)
        self._open = 0
        """Sessions that have not ended."""
        self._closed = False

    @asynccontextmanager
    async def session(self, *, read_only: bool = False) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Read-only ones see one moment, that of their first query, and do not wait for writers. Nothing but the database belongs in
        the block: failures are raised as `DatabaseAway`, except broken constraints (`IntegrityError`) and mistakes in our own SQL.
        """
        engine = self.reading if read_only else self.engine
        self._open += 1
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except exc.DBAPIError as failure:
            if isinstance(failure, _OURS) and not failure.connection_invalidated:
                raise
            raise DatabaseAway(str(failure.orig)) from failure
        except AWAY as failure:
            raise DatabaseAway(str(failure) or type(failure).__name__) from failure
        finally:
            self._open -= 1
            if self._closed and not self._open:
                await self.engine.dispose()

    @property
    def now_ms(self) -> ColumnElement[int]:
        """The database's own clock, in milliseconds, to be used in statements: the only clock that all nodes share."""
        if self.path is None:
            return literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)", BigInteger)
        return literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", BigInteger)

    @asynccontextmanager
    async def patient(self) -> AsyncIterator[Database]:
        """The same database over connections whose statements may take as long as they take: for migrations and backups."""
        patient = Database(self._url, self._durability, command_s=None)
        try:
            yield patient
        finally:
            await patient.close()

    async def close(self) -> None:
        """Close all connections, those in use when their sessions end; that is waited for, but not for long."""
        self._closed = True
        await until(lambda: not self._open, CLOSE_S)
        await self.engine.dispose()


def _postgresql(url: str, command_s: float | None) -> AsyncEngine:
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    query = dict(parsed.query)
    if "sslmode" in query:  # libpq's name, which people have in their URLs; asyncpg calls it ssl
        query["ssl"] = query.pop("sslmode")
    arguments = {"timeout": CONNECT_S, "command_timeout": command_s}
    return create_async_engine(parsed.set(query=query), connect_args=arguments, pool_pre_ping=True)


def _sqlite(path: Path, durability: str) -> AsyncEngine:
    # mode=rw: a database that vanished is an error, not a new empty one that any umask may read
    url = URL.create("sqlite+aiosqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
    engine = create_async_engine(url, connect_args={"timeout": BUSY_S}, pool_reset_on_return=None)

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `begun` does
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA synchronous={'FULL' if durability == 'power' else 'NORMAL'}")
        cursor.execute("PRAGMA wal_autocheckpoint=16384")  # charges are written back by their own writer; this is for when it rests
        cursor.execute(f"PRAGMA journal_size_limit={_WAL_SIZE_BYTES}")
        cursor.close()

    def begun(connection: Connection) -> None:
        # IMMEDIATE: two transactions that both read and then write wait for each other instead of failing
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'IMMEDIATE')}")

    def returned(connection: Any, _record: object, state: PoolResetState) -> None:
        # Only a commit that has failed leaves a transaction behind. To roll back every time takes another turn of the connection's
        # thread, and the pool logs whoever is cancelled during that one as a failure.
        if state.asyncio_safe and connection.driver_connection.in_transaction:
            connection.rollback()

    def connecting(*_: object) -> None:
        if not path.exists():  # else the driver leaves a thread behind that reports to a loop which may be gone
            raise sqlite3.OperationalError(f"unable to open database file {path}")

    event.listen(engine.sync_engine, "do_connect", connecting)
    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
    event.listen(engine.sync_engine, "reset", returned)
    return engine
