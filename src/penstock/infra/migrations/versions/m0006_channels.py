"""Channels: what they are, their credentials, their breakers, what their providers offer; and models that a key falls back to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _channels()
    op.create_table(
        "breaker",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("channel_id", "credential_id", "model", "state")),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "credential_id", "model", name="pk_breaker"),
    )
    op.create_table(
        "discovery",
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("offers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("channel_id", name="pk_discovery"),
    )
    op.add_column("key", sa.Column("fallbacks", sa.JSON(none_as_null=True), nullable=True))


def _channels() -> None:
    op.create_table(
        "channel",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "name", "provider", "base_url")),
        sa.Column("models", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("wires", sa.JSON(none_as_null=True), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("priority", "weight")),
        *(sa.Column(name, sa.LargeBinary(), nullable=True) for name in ("proxy_sealed", "headers_sealed")),
        sa.Column("timeouts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("on_disconnect", sa.Text(), nullable=True),
        *(sa.Column(name, sa.JSON(none_as_null=True), nullable=False) for name in ("tags", "options")),
        sa.Column("cost_micro", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("allow_private", "enabled", "discover")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("created_at_ms", "changed_at_ms", "revision")),
        sa.PrimaryKeyConstraint("id", name="pk_channel"),
        sa.UniqueConstraint("name", name="uq_channel_name"),
    )
    op.create_table(
        "channel_credential",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "channel_id", "label")),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_channel_credential"),
        sa.ForeignKeyConstraint(["channel_id"], ["channel.id"], name="fk_channel_credential_channel_id_channel", ondelete="CASCADE"),
    )
    op.create_index("ix_channel_credential_channel_id", "channel_credential", ["channel_id"])
