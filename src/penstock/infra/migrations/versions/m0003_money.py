"""Money: purses, leases, workers, entries, grants, codes; sums and an index of charges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPEN = sa.text("closed_at_ms IS NULL")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _int(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    """Make the tables; charges so far were the operator's."""
    op.add_column("charge", sa.Column("account_id", sa.Text(), nullable=True, server_default="acc_operator"))
    op.add_column("charge", sa.Column("free_nano", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("charge", sa.Column("multiplier_micro", sa.BigInteger(), nullable=False, server_default="1000000"))
    _purses()
    _workers()
    _entries()
    _sums()


def _purses() -> None:
    op.create_table(
        "purse",
        _text("id"), _text("account_id"), _text("kind"), _int("limit_units", nullable=True), _int("balance"),
        _int("from_ms", nullable=True), _int("until_ms", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_purse"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_purse_account_id"),
    )  # fmt: skip
    op.create_index("ix_purse_account_id", "purse", ["account_id"])
    op.create_table(
        "lease",
        _text("id"), _text("worker"), _text("purse_id"), _int("amount"), _int("spent"), _int("posted"), _int("from_ms", nullable=True),
        _int("taken_at_ms"), _int("closed_at_ms", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_lease"),
        sa.ForeignKeyConstraint(["purse_id"], ["purse.id"], name="fk_lease_purse_id"),
    )  # fmt: skip
    op.create_index("ix_lease_purse_id", "lease", ["purse_id"])
    op.create_index("ix_lease_open", "lease", ["worker"], sqlite_where=_OPEN, postgresql_where=_OPEN)


def _workers() -> None:
    op.create_table(
        "worker",
        _text("id"), _text("node"), sa.Column("pid", sa.Integer(), nullable=False), _int("started_at_ms"), _int("seen_at_ms"),
        sa.Column("running", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )  # fmt: skip
    op.create_table("recall", _text("purse_id"), _int("asked_at_ms"), sa.PrimaryKeyConstraint("purse_id", name="pk_recall"))


def _entries() -> None:
    op.create_table(
        "entry",
        _text("id"), _text("kind"), _text("debit"), _text("credit"), _int("amount_nano"), _text("ref"), _text("account_id"),
        _int("created_at_ms"), _text("note"),
        sa.PrimaryKeyConstraint("id", name="pk_entry"),
    )  # fmt: skip
    op.create_index("ix_entry_account_id_id", "entry", ["account_id", "id"])
    op.create_table(
        "free_grant",
        _text("id"), _text("account_id"), _int("amount_nano"), _int("left_nano"), _int("created_at_ms"),
        _int("expires_at_ms", nullable=True), _int("expired_at_ms", nullable=True), _text("note"),
        sa.PrimaryKeyConstraint("id", name="pk_free_grant"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_free_grant_account_id"),
    )  # fmt: skip
    op.create_index("ix_free_grant_account_id", "free_grant", ["account_id"])
    op.create_table(
        "code",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _text("id"), _text("batch"), _text("kind"), _int("amount_nano"), _text("prefix"), _int("grant_days", nullable=True),
        _int("created_at_ms"), _text("created_by"), _int("expires_at_ms", nullable=True), _text("account_id", nullable=True),
        _int("redeemed_at_ms", nullable=True), _int("disabled_at_ms", nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_code"),
        sa.UniqueConstraint("id", name="uq_code_id"),
    )  # fmt: skip
    op.create_index("ix_code_batch", "code", ["batch"])


def _sums() -> None:
    counts = (
        "requests", "failed", "estimated", "unpriced", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
        "reasoning_tokens", "cost_nano", "free_nano", "duration_ms", "first_byte_ms",
    )  # fmt: skip
    op.create_table(
        "usage_hour",
        _text("account_id"), _int("hour_ms"), _text("key_id"), _text("model"), _text("channel"), *map(_int, counts),
        sa.PrimaryKeyConstraint("account_id", "hour_ms", "key_id", "model", "channel", name="pk_usage_hour"),
    )  # fmt: skip
    op.create_table(
        "charge_of",
        _text("account_id"), _text("charge_id"), _text("key_id"), _text("model"),
        sa.PrimaryKeyConstraint("account_id", "charge_id", name="pk_charge_of"),
        sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_table("rollup", _text("name"), _text("mark"), sa.PrimaryKeyConstraint("name", name="pk_rollup"))
