"""Records: one row for each segment, with the ids of its records, instead of one for each record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put the ids into the segments' rows, and drop those of the records."""
    names = ("first_id", "last_id", "record_ids")
    for name in names:
        op.add_column("record_segment", sa.Column(name, sa.Text(), nullable=True))
    _fill(op.get_bind())
    with op.batch_alter_table("record_segment") as table:
        for name in names:
            table.alter_column(name, existing_type=sa.Text(), nullable=False)
    op.drop_table("record")


def _fill(connection: sa.Connection) -> None:
    segment = sa.table("record_segment", *map(sa.column, ("id", "first_id", "last_id", "record_ids")))
    record = sa.table("record", *map(sa.column, ("id", "segment_id", "place")))
    for segment_id in connection.scalars(sa.select(segment.c.id)).all():
        ids = connection.scalars(sa.select(record.c.id).where(record.c.segment_id == segment_id).order_by(record.c.place)).all()
        values = {"first_id": min(ids, default=""), "last_id": max(ids, default=""), "record_ids": "\n".join(ids)}
        connection.execute(sa.update(segment).where(segment.c.id == segment_id).values(values))
