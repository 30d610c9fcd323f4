"""The tables are those that the migrations make."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select, text

from penstock.infra import schema
from penstock.infra.database import Base, Database
from penstock.records.models import EntriesRow, PageRow, PolicyRow, SegmentRow


@pytest.mark.parametrize("model", [SegmentRow, PageRow, EntriesRow, PolicyRow])
async def test_the_columns_are_those_of_the_database(database: Database, model: type[Base]) -> None:
    table = model.__table__
    async with database.session(read_only=True) as session:
        connection = await session.connection()
        columns = await connection.run_sync(lambda bare: inspect(bare).get_columns(table.name))
        indexes = await connection.run_sync(lambda bare: inspect(bare).get_indexes(table.name))
        assert (await session.execute(select(table))).all() == []
    assert [(c["name"], c["nullable"]) for c in columns] == [(c.name, c.nullable) for c in table.columns]
    assert {index["name"] for index in indexes} == {index.name for index in table.indexes}


async def test_what_was_recorded_before_there_were_shelves_is_forgotten(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    async with schema.founding(database, "0006") as connection:
        columns = "id, created_at_ms, path, count, size_bytes, first_id, last_id, record_ids"
        await connection.execute(text(f"INSERT INTO record_segment ({columns}) VALUES ('seg_1', 1, 'a.zst', 1, 5, 'a', 'a', 'a')"))
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(SegmentRow))).all() == []
    await database.close()
