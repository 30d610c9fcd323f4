"""Backup and restore: all tables as they were at one moment, in a file that either engine takes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from obstore.store import ObjectStore
from sqlalchemy import BigInteger, LargeBinary, MetaData, String, Table, exc, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

import penstock
from penstock.infra import archive, schema
from penstock.infra.archive import Archive, DamagedError
from penstock.infra.database import Database
from penstock.kit.clock import iso, now_ms

FORMAT = 1
ROWS = 1000
"""Rows that are read, and written, at a time."""
_PIECE_BYTES = 1 << 20


class BackupError(Exception):
    """It cannot be backed up or restored; says why."""


@dataclass(frozen=True)
class Objects:
    """Files that rows name: those of the store whose names are in `column` of `table`."""

    store: ObjectStore
    table: str
    column: str


@dataclass
class Contents:
    """What a backup has in it."""

    migration: str
    engine: str
    """`sqlite` or `postgresql`: where it was made."""
    version: str
    made_at: str
    rows: dict[str, int] = field(default_factory=dict)
    """By table."""
    objects: int = 0
    missing: int = 0
    """Objects that rows name and that were not there."""


async def back_up(database: Database, path: Path, objects: Objects | None = None) -> Contents:
    """Write all rows, as they are at one moment, and the objects they name, if asked to, while others go on writing.

    Raises BackupError, DatabaseAway, NewerDatabaseError and OSError.
    """
    at = await schema.current(database)
    if at is None:
        raise BackupError("there is no database yet, so there is nothing to back up")
    if not schema.known(at):
        raise schema.NewerDatabaseError(f"the database is at migration {at}, which this version of Penstock does not know; use a newer one")
    contents = Contents(at, "postgresql" if database.path is None else "sqlite", penstock.__version__, iso(now_ms()))
    with archive.written(path) as made:
        head = {"format": FORMAT, "version": contents.version, "migration": at, "engine": contents.engine, "made_at": contents.made_at}
        made.add({"penstock": head})
        async with database.patient() as patient, patient.session(read_only=True) as session:
            connection = await session.connection()
            if await connection.run_sync(schema.migration_of) != at:
                raise BackupError("the database is being migrated; try again")
            metadata = schema.tables(at)
            for table in metadata.sorted_tables:
                contents.rows[str(table.name)] = await _add_table(made, connection, table)
            names = await _names(connection, metadata, objects)
        for name in names:  # objects are never changed, so that they need not be of the same moment
            await _add_object(made, objects, name, contents)
        made.add({"end": {"rows": contents.rows, "objects": contents.objects}})
    return contents


async def _add_table(made: Archive, connection: AsyncConnection, table: Table) -> int:
    made.add({"table": str(table.name), "columns": [str(column.name) for column in table.columns]})
    count = 0
    rows = await connection.stream(select(table).order_by(*table.primary_key), execution_options={"yield_per": ROWS})
    async for some in rows.partitions():
        made.add(*map(tuple, some))
        count += len(some)
    return count


async def _names(connection: AsyncConnection, metadata: MetaData, objects: Objects | None) -> list[str]:
    if objects is None:
        return []
    return list(await connection.scalars(select(metadata.tables[objects.table].columns[objects.column])))


async def _add_object(made: Archive, objects: Objects | None, name: str, contents: Contents) -> None:
    assert objects is not None  # noqa: S101  it gave the name
    try:
        found = await objects.store.get_async(name)
        data = bytes(await found.bytes_async())
    except FileNotFoundError:
        contents.missing += 1
        return
    pieces = [data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)]
    made.add({"object": name, "pieces": len(pieces)}, *pieces)
    contents.objects += 1


def contents_of(path: Path) -> Contents:
    """What a backup has in it, every line read and checked. Raises BackupError, DamagedError and OSError."""
    values = archive.read(path)
    contents = _head(path, next(values, None))
    end: Any = None
    table = ""
    pieces = 0
    for end in values:
        match end:
            case [*_]:
                contents.rows[table] += 1
            case str():
                pieces -= 1
            case {"table": str(table)}:
                contents.rows[table] = 0
            case {"object": str(), "pieces": int(more)}:
                contents.objects += 1
                pieces += more
    if end != {"end": {"rows": contents.rows, "objects": contents.objects}} or pieces:
        raise DamagedError(f"{path} is damaged: it has not what it says")
    return contents


def _head(path: Path, value: Any) -> Contents:
    match value:
        case {"penstock": {"format": 1, "version": str(version), "migration": str(at), "engine": str(engine), "made_at": str(made_at)}}:
            return Contents(at, engine, version, made_at)
        case {"penstock": {"format": int(), "version": version}}:
            raise BackupError(f"{path} was made by Penstock {version}, which this version cannot read; use a newer one")
    raise DamagedError(f"{path} is not a backup made by Penstock")


async def restore(database: Database, path: Path, store: ObjectStore) -> Contents:
    """Fill an empty database of either engine, and the store, with a backup; all of it, or nothing.

    Raises BackupError, DamagedError, NotEmptyError, NewerDatabaseError, DatabaseAway and OSError.
    """
    contents = contents_of(path)
    try:
        async with schema.founding(database, contents.migration) as connection:
            tables = schema.tables(contents.migration)
            for table in reversed(tables.sorted_tables):  # what the migrations put there
                await connection.execute(table.delete())
            await _fill(connection, tables, archive.read(path), store)
            if database.path is None:
                for table in tables.sorted_tables:
                    await _count_on(connection, table)
    except (exc.IntegrityError, exc.DataError) as failure:
        raise BackupError(f"{path} cannot be restored: {failure.orig}") from failure
    return contents


async def _fill(connection: AsyncConnection, tables: MetaData, values: Iterator[Any], store: ObjectStore) -> None:
    waiting: list[dict[str, Any]] = []
    readers: dict[str, Callable[[Any], Any]] = {}
    table: Table | None = None
    for value in values:
        if isinstance(value, list):
            waiting.append({name: read(cell) for (name, read), cell in zip(readers.items(), value, strict=True)})
            if len(waiting) < ROWS:
                continue
        if waiting and table is not None:
            await connection.execute(insert(table), waiting)
            waiting = []
        match value:
            case {"table": name, "columns": columns}:
                table = tables.tables.get(name)
                if table is None or set(columns) != set(table.columns.keys()):
                    raise DamagedError(f"its table {name} is not as the migration has it that it was made at")
                readers = {column: _reader(table, column, nul=connection.dialect.name == "sqlite") for column in columns}
            case {"object": name, "pieces": count}:
                await store.put_async(name, b"".join(map(base64.b64decode, islice(values, count))))


def _reader(table: Table, column: str, *, nul: bool) -> Callable[[Any], Any]:
    """What makes a value of a column again of what is in the file."""
    kind = table.columns[column].type
    if isinstance(kind, LargeBinary):
        return lambda cell: None if cell is None else base64.b64decode(cell)
    if isinstance(kind, String) and not nul:  # PostgreSQL has no way to keep a NUL
        return lambda cell: cell.replace("\0", "\ufffd") if cell and "\0" in cell else cell
    return lambda cell: cell


async def _count_on(connection: AsyncConnection, table: Table) -> None:
    """Have PostgreSQL number the next rows behind those that were restored."""
    for column in table.primary_key:
        if isinstance(column.type, BigInteger):
            sequence = await connection.scalar(
                text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
            )
            if sequence is not None:
                highest = await connection.scalar(select(func.max(column)))
                await connection.execute(select(func.setval(sequence, (highest or 0) + 1, False)))
