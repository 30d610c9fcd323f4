"""The index: writes the rows that say where records are, without keeping those who write charges waiting."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, exc, text

from penstock.infra.database import BUSY_S, Database, DatabaseAway

_CHECKPOINT_PAGES = 16_384

_ADD = text(
    "INSERT INTO record_segment (id, created_at_ms, path, count, size_bytes, first_id, last_id, record_ids) "
    "VALUES (:id, :created_at_ms, :path, :count, :size_bytes, :first_id, :last_id, :record_ids) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True)
class Segment:
    """A segment that was stored as `path`: its size there, and the ids of its records in their order."""

    id: str
    created_at_ms: int
    path: str
    size_bytes: int
    record_ids: list[str]


class Index:
    """Adds segments to a database. Adding one again is harmless. Raises DatabaseAway and SQLAlchemy's errors."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sqlite = None if database.path is None else _sqlite(database.path)

    async def add(self, segment: Segment) -> None:
        """Add a segment, which has a record at least."""
        ids = segment.record_ids
        row = {
            "id": segment.id,
            "created_at_ms": segment.created_at_ms,
            "path": segment.path,
            "count": len(ids),
            "size_bytes": segment.size_bytes,
            "first_id": min(ids),
            "last_id": max(ids),
            "record_ids": "\n".join(ids),
        }
        if self._sqlite is None:
            async with self._database.session() as session:
                await session.execute(_ADD, row)
        else:
            await asyncio.to_thread(_add, self._sqlite, row)

    def close(self) -> None:
        """Close what was opened."""
        if self._sqlite is not None:
            self._sqlite.dispose()


def _add(engine: Engine, row: dict[str, Any]) -> None:
    """One statement, which is its own transaction, and one step of SQLite.

    The writer's lock is thus held for the time of the writing itself. A transaction would hold it while this thread waits
    for the interpreter, which a busy event loop gives it late, and the loop would wait for the lock to write a charge.
    """
    try:
        with engine.connect() as connection:
            connection.execute(_ADD, row)
    except exc.OperationalError as failure:
        raise DatabaseAway(str(failure.orig)) from failure


def _sqlite(path: Path) -> Engine:
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, connect_args={"timeout": BUSY_S})

    def connected(connection: Any, _record: object) -> None:
        # The writer of charges writes the log back at moments that suit it; this limit is for when there are none.
        for pragma in ("synchronous=NORMAL", f"wal_autocheckpoint={_CHECKPOINT_PAGES}"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", connected)
    return engine
