"""Money: purses, leases, workers, entries, grants, codes; sums and an index of charges."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPEN = sa.text("closed_at_ms IS NULL")
_NOT_EXPIRED = sa.text("expired_at_ms IS NULL")
_LATE = sa.text("closed_at_ms IS NOT NULL AND spent <> amount")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _int(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _small(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def upgrade() -> None:
    """Make the tables; charges so far were the operator's."""
    _charges()
    _purses()
    _workers()
    _entries()
    _sums()


def _charges() -> None:
    """Number the charges in the order of their ids: SQLite can only do that while the table is made."""
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint("pk_charge", "charge")
    op.rename_table("charge", "charge_before")
    texts = ("wire", "provider", "channel", "model", "served_model")
    tokens = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    columns: list[sa.Column[Any]] = [
        _text("id"), _int("created_at_ms"), _text("key_id", nullable=True), *map(_text, texts), _small("status"), _text("outcome"),
        sa.Column("streamed", sa.Boolean(), nullable=False), sa.Column("estimated", sa.Boolean(), nullable=False),
        *(_int(f"{name}_tokens") for name in tokens), _text("extra_usage", nullable=True), _int("cost_nano"),
        _text("price_version", nullable=True), *map(_small, ("upload_ms", "first_byte_ms", "duration_ms", "attempts")),
    ]  # fmt: skip
    op.create_table(
        "charge",
        *columns,
        sa.Column("account_id", sa.Text(), nullable=True, server_default="acc_operator"),
        sa.Column("free_nano", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("multiplier_micro", sa.BigInteger(), nullable=False, server_default="1000000"),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_charge"),
        sa.UniqueConstraint("id", name="uq_charge_id"),
    )
    names = ", ".join(column.name for column in columns)
    op.execute(sa.text(f"INSERT INTO charge ({names}) SELECT {names} FROM charge_before ORDER BY id"))  # noqa: S608  names only
    op.drop_table("charge_before")


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
    op.create_index("ix_lease_late", "lease", ["id"], sqlite_where=_LATE, postgresql_where=_LATE)


def _workers() -> None:
    op.create_table(
        "worker",
        _text("id"), _text("node"), sa.Column("pid", sa.Integer(), nullable=False), _int("started_at_ms"), _int("seen_at_ms"),
        sa.Column("running", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )  # fmt: skip
    op.create_table(
        "interrupted",
        _text("charge_id"),
        sa.Column("draws", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("charge_id", name="pk_interrupted"),
    )
    op.create_table("recall", _text("purse_id"), _int("asked_at_ms"), sa.PrimaryKeyConstraint("purse_id", name="pk_recall"))
    op.create_table(
        "job",
        _text("name"), _int("due_at_ms"), _text("holder", nullable=True), _int("held_until_ms"),
        sa.PrimaryKeyConstraint("name", name="pk_job"),
    )  # fmt: skip


def _entries() -> None:
    op.create_table(
        "entry",
        _text("id"), _text("kind"), _text("debit"), _text("credit"), _int("amount_nano"), _text("ref"), _text("account_id"),
        _int("created_at_ms"), _text("note"),
        sa.PrimaryKeyConstraint("id", name="pk_entry"),
    )  # fmt: skip
    op.create_index("ix_entry_account_id_created_at_ms", "entry", ["account_id", "created_at_ms"])
    op.create_table(
        "free_grant",
        _text("id"), _text("account_id"), _int("amount_nano"), _int("left_nano"), _int("created_at_ms"),
        _int("expires_at_ms", nullable=True), _int("expired_at_ms", nullable=True), _text("note"),
        sa.PrimaryKeyConstraint("id", name="pk_free_grant"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_free_grant_account_id"),
    )  # fmt: skip
    op.create_index("ix_free_grant_account_id", "free_grant", ["account_id"])
    op.create_index("ix_free_grant_open", "free_grant", ["expires_at_ms"], sqlite_where=_NOT_EXPIRED, postgresql_where=_NOT_EXPIRED)
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
    op.create_table(
        "earning",
        _text("account_id"), _text("tier"), _int("first_at_ms"), _int("from_ms"), _int("paid_nano"), _int("months"),
        sa.PrimaryKeyConstraint("account_id", "tier", name="pk_earning"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_earning_account_id"),
        sa.ForeignKeyConstraint(["tier"], ["tier.name"], name="fk_earning_tier"),
    )  # fmt: skip


def _sums() -> None:
    counts = (
        "requests", "failed", "estimated", "unpriced", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
        "reasoning_tokens", "cost_nano", "free_nano", "duration_ms", "first_byte_ms",
    )  # fmt: skip
    for table in ("usage_hour", "usage_day"):
        op.create_table(
            table,
            _text("account_id"), _int("from_ms"), _text("key_id"), _text("model"), _text("channel"), *map(_int, counts),
            sa.PrimaryKeyConstraint("account_id", "from_ms", "key_id", "model", "channel", name=f"pk_{table}"),
            sqlite_with_rowid=False,
        )  # fmt: skip
        op.create_index(f"ix_{table}_from_ms", table, ["from_ms"])
    op.create_table(
        "usage_key",
        _text("key_id"), *map(_int, ("requests", "tokens", "cost_nano", "free_nano", "used_at_ms")),
        sa.PrimaryKeyConstraint("key_id", name="pk_usage_key"),
    )  # fmt: skip
    op.create_table(
        "charge_of",
        _text("account_id"), _text("charge_id"), _text("key_id"), _text("model"),
        sa.PrimaryKeyConstraint("account_id", "charge_id", name="pk_charge_of"),
        sqlite_with_rowid=False,
    )  # fmt: skip
    op.create_index("ix_charge_of_key_id_charge_id", "charge_of", ["key_id", "charge_id"])
    op.create_table("rollup", _text("name"), _int("mark"), sa.PrimaryKeyConstraint("name", name="pk_rollup"))
    op.execute(sa.text("INSERT INTO rollup (name, mark) VALUES ('charges', 0), ('withdrawals', 0)"))
