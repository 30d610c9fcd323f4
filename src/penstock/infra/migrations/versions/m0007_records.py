"""Records: shelves, whose pages say which records of a segment stand on them; and what accounts want of their records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. What was recorded before had no shelf and is forgotten; its files are removed with other leftovers."""
    op.drop_table("record_segment")
    op.create_table(
        "record_segment",
        sa.Column("id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("created_at_ms", "until_ms")),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("offsets", sa.LargeBinary(), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_segment"),
    )
    op.create_index("ix_record_segment_until_ms", "record_segment", ["until_ms"])
    op.create_table(
        "record_page",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("shelf", "segment_id")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("from_ms", "until_ms")),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("first_id", "last_id")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("keys", "models", "wires", "channels", "statuses", "outcomes")),
        sa.Column("greatest_cost_nano", sa.BigInteger(), nullable=False),
        sa.Column("ruled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("shelf", "segment_id", name="pk_record_page"),
    )
    op.create_index("ix_record_page_segment_id", "record_page", ["segment_id"])
    for moment in ("from_ms", "until_ms"):
        op.create_index(f"ix_record_page_shelf_{moment}", "record_page", ["shelf", moment])
    op.create_table(
        "record_entries",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("segment_id", "shelf")),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("segment_id", "shelf", name="pk_record_entries"),
    )
    op.create_table(
        "record_policy",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("record", sa.Boolean(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        *(sa.Column(name, sa.JSON(none_as_null=True), nullable=False) for name in ("redact_paths", "redact_patterns")),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_record_policy"),
    )
