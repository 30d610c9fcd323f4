"""The schema: brings a database to the newest migration, safely when several processes start at once."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import cache, partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from penstock.infra.database import BUSY_S, Database, DatabaseAway
from penstock.infra.files import private_file

_ADVISORY_LOCK = 0x50656E73746F636B  # any number that nobody else locks


class NewerDatabaseError(Exception):
    """The database was migrated by a newer Penstock than this one."""


@cache
def _steps() -> tuple[str, ...]:
    """The migrations this program knows, newest first."""
    return tuple(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())


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
        return await connection.run_sync(lambda bare: MigrationContext.configure(bare).get_current_revision())


async def migrate(database: Database) -> bool:
    """Bring the database to `head`; True if anything had to be done. Raises DatabaseAway and NewerDatabaseError."""
    at = await current(database)
    if at == head():
        return False
    if at is not None and not known(at):
        raise NewerDatabaseError(f"the database is at migration {at}, which this version of Penstock does not know; use a newer one")
    async with _alone(database), database.session() as session:
        connection = await session.connection()
        if database.path is None:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        await connection.run_sync(_upgrade)
    return True


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    """On SQLite: hold a lock on the file's directory while the file is made and switched to WAL.

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
