"""The rows that say where records are, on both engines."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from penstock.infra.database import Database, DatabaseAway
from penstock.records.index import ROWS_LIMIT, Index, Segment
from penstock.records.models import RecordRow, SegmentRow
from penstock.records.record import Record
from penstock.records.segments import Row


def rows_of(records: list[Record]) -> list[Row]:
    """What the index is to have of the records."""
    return [(record.id, record.created_at_ms, record.key_id) for record in records]


@pytest.fixture
async def index(database: Database) -> AsyncIterator[Index]:
    index = Index(database)
    yield index
    index.close()


def segment(count: int, number: int = 1) -> Segment:
    return Segment(f"seg_{number}", 1_700_000_000_000, f"2023/11/14/seg_{number}.zst", count, 12_345)


async def rows(database: Database) -> list[tuple[str, int, str | None, str, int]]:
    async with database.session(read_only=True) as session:
        found = await session.scalars(select(RecordRow).order_by(RecordRow.segment_id, RecordRow.place))
        return [(row.id, row.created_at_ms, row.key_id, row.segment_id, row.place) for row in found]


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 300, ROWS_LIMIT])
async def test_rows_of_a_segment(index: Index, database: Database, make_record: Callable[..., Record], count: int) -> None:
    records = [make_record(key_id=None if place % 2 else "key_1") for place in range(count)]

    await index.add(segment(count), rows_of(records))

    assert await rows(database) == [(r.id, r.created_at_ms, r.key_id, "seg_1", place) for place, r in enumerate(records)]
    async with database.session(read_only=True) as session:
        found = (await session.scalars(select(SegmentRow))).one()
    assert (found.id, found.path, found.count, found.size_bytes) == ("seg_1", "2023/11/14/seg_1.zst", count, 12_345)


async def test_adding_again_is_harmless(index: Index, database: Database, make_record: Callable[..., Record]) -> None:
    records = [make_record() for _ in range(3)]

    await index.add(segment(3), rows_of(records))
    await index.add(segment(3), rows_of(records))
    await index.add(segment(1, 2), rows_of([make_record()]))

    assert [row[3:] for row in await rows(database)] == [("seg_1", 0), ("seg_1", 1), ("seg_1", 2), ("seg_2", 0)]


async def test_an_id_is_kept_once(index: Index, database: Database, make_record: Callable[..., Record]) -> None:
    await index.add(segment(3), rows_of([make_record(id="req_1"), make_record(id="req_2"), make_record(id="req_1")]))

    assert [(row[0], row[4]) for row in await rows(database)] == [("req_1", 0), ("req_2", 1)]


async def test_a_database_without_tables(empty_database_url: str, make_record: Callable[..., Record]) -> None:
    database = Database(empty_database_url)
    index = Index(database)
    with pytest.raises((DatabaseAway, SQLAlchemyError)):
        await index.add(segment(1), rows_of([make_record()]))
    index.close()
    await database.close()


async def test_another_writer_is_not_kept_waiting(index: Index, database: Database, make_record: Callable[..., Record]) -> None:
    if database.path is None:
        return  # PostgreSQL locks rows, not the database
    await index.add(segment(1), rows_of([make_record()]))
    with closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(RecordRow)) == 1
