"""The table is the one that the migrations make, also of what was there before."""

from __future__ import annotations

from sqlalchemy import inspect, select, text
from sqlalchemy.orm import undefer

from penstock.infra import schema
from penstock.infra.database import Database
from penstock.records.models import SegmentRow


async def test_the_columns_are_those_of_the_database(database: Database) -> None:
    table = SegmentRow.__table__
    async with database.session(read_only=True) as session:
        connection = await session.connection()
        columns = await connection.run_sync(lambda bare: inspect(bare).get_columns(table.name))
        assert (await session.execute(select(table))).all() == []
    assert [(c["name"], c["nullable"]) for c in columns] == [(c.name, c.nullable) for c in table.columns]


async def test_rows_of_records_become_ids_in_the_rows_of_their_segments(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    async with schema.founding(database, "0004") as connection:
        for segment, ids in (("seg_1", ["req_3", "req_1", "req_2"]), ("seg_2", ["req_4"]), ("seg_3", [])):
            values = {"id": segment, "count": len(ids)}
            await connection.execute(text("INSERT INTO record_segment VALUES (:id, 1, 'a/b.zst', :count, 5)"), values)
            for place, record in reversed(list(enumerate(ids))):
                values = {"id": record, "segment": segment, "place": place}
                await connection.execute(text("INSERT INTO record VALUES (:id, 1, NULL, :segment, :place)"), values)

    async with database.session(read_only=True) as session:
        rows = (await session.scalars(select(SegmentRow).options(undefer(SegmentRow.record_ids)).order_by(SegmentRow.id))).all()
    await database.close()
    assert [(row.id, row.count, row.first_id, row.last_id, row.record_ids) for row in rows] == [
        ("seg_1", 3, "req_1", "req_3", "req_3\nreq_1\nreq_2"),
        ("seg_2", 1, "req_4", "req_4", "req_4"),
        ("seg_3", 0, "", "", ""),
    ]
