"""Prices: the operator's own, multipliers, and what was ever charged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "price_override",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "provider", "model")),
        sa.Column("free", sa.Boolean(), nullable=False),
        sa.Column("card", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("output_cap", sa.BigInteger(), nullable=True),
        sa.Column("effective_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("confirmed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("retired_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_price_override"),
    )
    op.create_index("ix_price_override_model", "price_override", ["model"])
    op.create_table(
        "multiplier",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("multiplier_micro", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_multiplier"),
    )
    op.create_table(
        "price_used",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("version", "provider", "model")),
        sa.Column("price", sa.JSON(), nullable=False),
        sa.Column("first_used_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_price_used"),
    )
    op.create_table(
        "price_in_force",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("provider", "model", "version")),
        sa.Column("pending_version", sa.Text(), nullable=True),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "model", name="pk_price_in_force"),
    )
