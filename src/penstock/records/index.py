"""The index: writes the rows that say where records are, without keeping those who write charges waiting."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, exc, text

from penstock.infra.database import BUSY_S, Database, DatabaseAway
from penstock.records.segments import Row

ROWS_LIMIT = 2048
"""Records whose rows fit in one statement."""
_SIZES = (1, 16, 64, *range(256, ROWS_LIMIT + 1, 256))
"""Rows of the statements that SQLite keeps prepared."""
_CHECKPOINT_PAGES = 16_384

_ADD_SEGMENT = text(
    "INSERT INTO record_segment (id, created_at_ms, path, count, size_bytes) "
    "VALUES (:id, :created_at_ms, :path, :count, :size_bytes) ON CONFLICT DO NOTHING"
)
_ADD_RECORDS = text(
    "INSERT INTO record (id, created_at_ms, key_id, segment_id, place) "
    "SELECT id, created_at_ms, key_id, :segment_id, place - 1 "
    "FROM unnest(CAST(:ids AS text[]), CAST(:moments AS bigint[]), CAST(:keys AS text[])) "
    "WITH ORDINALITY AS given (id, created_at_ms, key_id, place) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True)
class Segment:
    """A row of `record_segment`, to be."""

    id: str
    created_at_ms: int
    path: str
    count: int
    size_bytes: int


class Index:
    """Adds segments to a database. Adding one again is harmless. Raises DatabaseAway and SQLAlchemy's errors."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sqlite = None if database.path is None else _sqlite(database.path)

    async def add(self, segment: Segment, rows: list[Row]) -> None:
        """Add a segment and where in it the records are, which are in it in this order; `ROWS_LIMIT` at most."""
        if self._sqlite is None:
            async with self._database.session() as session:
                await session.execute(_ADD_SEGMENT, asdict(segment))
                await session.execute(_ADD_RECORDS, _columns(segment.id, rows))
        else:
            await asyncio.to_thread(_add, self._sqlite, segment, rows)

    def close(self) -> None:
        """Close what was opened."""
        if self._sqlite is not None:
            self._sqlite.dispose()


def _columns(segment_id: str, rows: list[Row]) -> dict[str, Any]:
    ids, moments, keys = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
    return {"segment_id": segment_id, "ids": ids, "moments": moments, "keys": keys}


def _add(engine: Engine, segment: Segment, added: list[Row]) -> None:
    """Two statements, each its own transaction, and each one step of SQLite.

    The writer's lock is thus held for the time of the writing itself. A transaction would hold it while this thread waits
    for the interpreter, which a busy event loop gives it late, and the loop would wait for the lock to write a charge.
    """
    values = list(chain.from_iterable(added))
    rows = _SIZES[bisect_left(_SIZES, len(added))]
    values += values[:3] * (rows - len(added))  # the first row again, which is left out as it is there
    try:
        with engine.connect() as connection:
            connection.execute(_ADD_SEGMENT, asdict(segment))
            if added:
                connection.exec_driver_sql(_insert(rows), (segment.id, *values))
    except exc.OperationalError as failure:
        raise DatabaseAway(str(failure.orig)) from failure


@cache
def _insert(rows: int) -> str:
    values = ",".join(f"(?1,{place},?,?,?)" for place in range(rows))
    return f"INSERT INTO record (segment_id, place, id, created_at_ms, key_id) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608  numbers only


def _sqlite(path: Path) -> Engine:
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, connect_args={"timeout": BUSY_S})

    def connected(connection: Any, _record: object) -> None:
        # The writer of charges writes the log back at moments that suit it; this limit is for when there are none.
        for pragma in ("synchronous=NORMAL", f"wal_autocheckpoint={_CHECKPOINT_PAGES}"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", connected)
    return engine
