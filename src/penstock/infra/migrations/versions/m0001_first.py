"""The first tables: keys, charges, records and revisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    _keys()
    _charges()
    _records()


def _keys() -> None:
    op.create_table(
        "revision",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_revision"),
    )
    op.create_table(
        "key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("old_digest", sa.LargeBinary(), nullable=True),
        sa.Column("old_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("models", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("record", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("disabled_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_key"),
        sa.UniqueConstraint("digest", name="uq_key_digest"),
        sa.UniqueConstraint("old_digest", name="uq_key_old_digest"),
    )
    live = sa.text("deleted_at_ms IS NULL")
    op.create_index("ix_key_name", "key", ["name"], unique=True, sqlite_where=live, postgresql_where=live)


def _charges() -> None:
    texts = ("wire", "provider", "channel", "model", "served_model")
    tokens = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    op.create_table(
        "charge",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        *(sa.Column(f"{name}_tokens", sa.BigInteger(), nullable=False) for name in tokens),
        sa.Column("extra_usage", sa.Text(), nullable=True),
        sa.Column("cost_nano", sa.BigInteger(), nullable=False),
        sa.Column("price_version", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("upload_ms", "first_byte_ms", "duration_ms", "attempts")),
        sa.PrimaryKeyConstraint("id", name="pk_charge"),
    )


def _records() -> None:
    op.create_table(
        "record_segment",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_segment"),
    )
    op.create_table(
        "record",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record"),
    )
