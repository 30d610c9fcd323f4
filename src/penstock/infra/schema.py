"""The schema: brings a database to the newest migration, safely when several processes start at once."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import cache, partial
from pathlib import Path

from sqlalchemy import JSON, BigInteger, Connection, Integer, MetaData, create_engine, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock.infra.database import BUSY_S, Database, DatabaseAway
from penstock.infra.files import private_file

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = {"lock": 0x50656E73746F636B}  # any number that nobody else locks
_log = logging.getLogger("penstock.schema")


class NewerDatabaseError(Exception):
    """The database was migrated by a newer Penstock than this one."""


class NotEmptyError(Exception):
    """The database has tables of ours where there must be none."""


@cache
def _steps() -> tuple[str, ...]:
    """The migrations this program knows, newest first: the numbers in the names of their files."""
    return tuple(sorted((path.name[1:5] for path in _MIGRATIONS.glob("versions/m*.py")), reverse=True))


def head() -> str:
    """The newest migration this program knows."""
    return _steps()[0]


def known(migration: str) -> bool:
    """Whether this program knows the migration; a newer one may have made it."""
    return migration in _steps()


async def current(database: Database) -> str | None:
    """The migration the database is at; None when it was never migrated, or is a SQLite file yet to be made."""
    if database.path is not None and not database.path.exists():
        return None
    async with database.session(read_only=True) as session:
        connection = await session.connection()
        return await connection.run_sync(migration_of)


def migration_of(connection: Connection) -> str | None:
    """The migration that a connection's transaction sees."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


async def migrate(database: Database) -> bool:
    """Bring the database to `head`; True if anything had to be done. Raises DatabaseAway and NewerDatabaseError.

    While another process does it, this one waits, however long it takes.
    """
    if not _is_behind(await current(database)):
        return False
    async with _migrating(database) as connection:
        behind = _is_behind(await connection.run_sync(migration_of))  # somebody may have been quicker
        if behind:
            await connection.run_sync(_upgrade, head())
    return behind


@asynccontextmanager
async def founding(database: Database, migration: str) -> AsyncIterator[AsyncConnection]:
    """One transaction in which an empty database is brought to an older migration, filled by the block, and brought to `head`.

    Raises as `migrate` does, and NotEmptyError when there are tables of ours already.
    """
    if not known(migration):
        raise NewerDatabaseError(f"it was made at migration {migration}, which this version of Penstock does not know; use a newer one")
    async with _migrating(database) as connection:
        if await connection.run_sync(_is_founded):
            raise NotEmptyError("there is a database already; name an empty one")
        await connection.run_sync(_upgrade, migration)
        yield connection
        await connection.run_sync(_upgrade, head())


def tables(migration: str) -> MetaData:
    """All tables as they are at a migration, but the one that says which it is; their types suit both engines."""
    metadata = MetaData()
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        _upgrade(connection, migration)
        metadata.reflect(connection)
    engine.dispose()
    metadata.remove(metadata.tables["alembic_version"])
    for column in (column for table in metadata.tables.values() for column in table.columns):
        if isinstance(column.type, Integer):
            column.type = BigInteger()
        elif isinstance(column.type, JSON):
            column.type = JSON(none_as_null=True)
    return metadata


def _is_behind(at: str | None) -> bool:
    if at is not None and not known(at):
        raise NewerDatabaseError(f"the database is at migration {at}, which this version of Penstock does not know; use a newer one")
    return at != head()


def _is_founded(connection: Connection) -> bool:
    return bool({"alembic_version", *tables(head()).tables} & set(inspect(connection).get_table_names()))


def _upgrade(connection: Connection, migration: str) -> None:
    from alembic import command  # noqa: PLC0415  it takes 10 MB, and most processes find nothing to migrate
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, migration)


@asynccontextmanager
async def _migrating(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction beside which no other process migrates."""
    async with _alone(database), database.patient() as patient, patient.session() as session:
        connection = await session.connection()
        if database.path is None and not await connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), _LOCK):
            _log.warning("waiting for another process that migrates the database")
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), _LOCK)
        yield connection


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    """On SQLite: hold a lock on the file's directory, under which the file is made and switched to WAL.

    The switch needs the file to itself and does not wait for others as statements do. PostgreSQL has its own lock.
    """
    if database.path is None:
        yield
        return
    path = private_file(database.path)
    held = os.open(path.parent, os.O_RDONLY)
    try:
        await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_EX)
        await asyncio.to_thread(partial(_to_wal, path))
        yield
    finally:
        os.close(held)


def _to_wal(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as failure:
        raise DatabaseAway(f"{path}: {failure}") from failure
