"""Shares: links that show one record to whoever has them, for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "record_share",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "shelf", "record_id", "created_by")),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("headers", "bodies")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("created_at_ms", "expires_at_ms")),
        sa.PrimaryKeyConstraint("id", name="pk_record_share"),
        sa.UniqueConstraint("digest", name="uq_record_share_digest"),
    )
    op.create_index("ix_record_share_shelf", "record_share", ["shelf"])
