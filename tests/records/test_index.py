"""The rows that say where records are, on both engines."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import undefer

from penstock.infra.database import Database, DatabaseAway
from penstock.records.index import Index, Segment
from penstock.records.models import SegmentRow


@pytest.fixture
async def index(database: Database) -> AsyncIterator[Index]:
    index = Index(database)
    yield index
    index.close()


def segment(*ids: str, number: int = 1) -> Segment:
    return Segment(f"seg_{number}", 1_700_000_000_000, f"2023/11/14/seg_{number}.zst", 12_345, list(ids))


async def rows(database: Database) -> list[SegmentRow]:
    async with database.session(read_only=True) as session:
        return list(await session.scalars(select(SegmentRow).options(undefer(SegmentRow.record_ids)).order_by(SegmentRow.id)))


@pytest.mark.parametrize("count", [1, 2, 5000])
async def test_the_row_of_a_segment(index: Index, database: Database, count: int) -> None:
    ids = [f"req_{count - place:06d}" for place in range(count)]

    await index.add(segment(*ids))

    [row] = await rows(database)
    assert (row.id, row.created_at_ms, row.path, row.size_bytes) == ("seg_1", 1_700_000_000_000, "2023/11/14/seg_1.zst", 12_345)
    assert (row.count, row.first_id, row.last_id, row.record_ids) == (count, ids[-1], ids[0], "\n".join(ids))


async def test_adding_again_is_harmless(index: Index, database: Database) -> None:
    await index.add(segment("req_1", "req_2"))
    await index.add(segment("req_1", "req_2"))
    await index.add(segment("req_3", number=2))

    assert [(row.id, row.count) for row in await rows(database)] == [("seg_1", 2), ("seg_2", 1)]


async def test_a_database_without_tables(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    index = Index(database)
    with pytest.raises((DatabaseAway, SQLAlchemyError)):
        await index.add(segment("req_1"))
    index.close()
    await database.close()


async def test_another_writer_is_not_kept_waiting(index: Index, database: Database) -> None:
    if database.path is None:
        return  # PostgreSQL locks rows, not the database
    await index.add(segment("req_1"))
    with closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(SegmentRow)) == 1
