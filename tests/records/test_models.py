"""The tables are those that the migrations make."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select

from penstock.infra.database import Database
from penstock.records.models import RecordRow, SegmentRow


@pytest.mark.parametrize("table", [RecordRow.__table__, SegmentRow.__table__], ids=["record", "record_segment"])
async def test_the_columns_are_those_of_the_database(database: Database, table) -> None:
    async with database.session(read_only=True) as session:
        connection = await session.connection()
        columns = await connection.run_sync(lambda bare: inspect(bare).get_columns(table.name))
        assert (await session.execute(select(table))).all() == []
    assert [(c["name"], c["nullable"]) for c in columns] == [(c.name, c.nullable) for c in table.columns]
