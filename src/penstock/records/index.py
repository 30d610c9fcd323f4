"""The index: writes the rows that say where records are, without keeping those who write charges waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.infra.database import BUSY_S, Base, Database, DatabaseAway
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.pages import Segment

_CHECKPOINT_PAGES = 16_384
_ROWS = 500
"""Rows that SQLite is given in one statement."""


class Index:
    """Adds segments to a database. Adding one again is harmless. Raises DatabaseAway and SQLAlchemy's errors."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sqlite = None if database.path is None else _sqlite(database.path)

    async def add(self, segment: Segment) -> None:
        """Add a segment. Until its own row is there, nobody sees its pages."""
        if self._sqlite is not None:
            await asyncio.to_thread(_add, self._sqlite, segment)
            return
        async with self._database.session() as session:
            await add_rows(session, segment)

    def close(self) -> None:
        """Close what was opened."""
        if self._sqlite is not None:
            self._sqlite.dispose()


async def add_rows(session: AsyncSession, segment: Segment) -> None:
    """Add a segment in a transaction."""
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        await connection.run_sync(_insert_all, segment)
        return
    for model, rows in _in_order(segment):
        await connection.execute(postgresql.insert(model).on_conflict_do_nothing(), rows)


def _in_order(segment: Segment) -> list[tuple[type[Base], list[dict[str, Any]]]]:
    return [(EntriesRow, segment.entries), (PageRow, segment.pages), (SegmentRow, [segment.row])]


def _add(engine: Engine, segment: Segment) -> None:
    """Few statements, each its own transaction and one step of SQLite.

    The writer's lock is thus held for the time of the writing itself. A transaction would hold it while this thread waits
    for the interpreter, which a busy event loop gives it late, and the loop would wait for the lock to write a charge.
    """
    try:
        with engine.connect() as connection:
            _insert_all(connection, segment)
    except exc.OperationalError as failure:
        raise DatabaseAway(str(failure.orig)) from failure


def _insert_all(connection: Connection, segment: Segment) -> None:
    for model, rows in _in_order(segment):
        for begin in range(0, len(rows), _ROWS):
            _insert(connection, model.__tablename__, rows[begin : begin + _ROWS])


def _insert(connection: Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of a table as one statement, which SQLAlchemy would take longer to write than SQLite to do."""
    marks = f"({', '.join('?' * len(rows[0]))})"
    names = ", ".join(f'"{name}"' for name in rows[0])
    values = tuple(value for row in rows for value in row.values())
    statement = f'INSERT INTO "{table}" ({names}) VALUES {", ".join([marks] * len(rows))} ON CONFLICT DO NOTHING'  # noqa: S608  our own names
    connection.exec_driver_sql(statement, values)


def _sqlite(path: Path) -> Engine:
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, connect_args={"timeout": BUSY_S})

    def connected(connection: Any, _record: object) -> None:
        # The writer of charges writes the log back at moments that suit it; this limit is for when there are none.
        for pragma in ("synchronous=NORMAL", f"wal_autocheckpoint={_CHECKPOINT_PAGES}"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", connected)
    return engine
