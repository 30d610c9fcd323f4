"""Accounts: who pays, sessions, tickets, tiers, the audit trail; and every key belongs to one."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LIVE = sa.text("deleted_at_ms IS NULL")


def upgrade() -> None:
    """Make the tables, the operator's account, the first tiers, and give the operator all keys there are."""
    _accounts()
    _sessions()
    _tiers()
    _trail()
    now_ms = time.time_ns() // 1_000_000
    op.execute(
        sa.text(
            "INSERT INTO account (id, name, role, prepaid, limits, created_at_ms, confirmed_at_ms) "
            "VALUES ('acc_operator', 'operator', 'admin', false, '{}', :now, :now)"
        ).bindparams(now=now_ms)
    )
    _keys()


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("prepaid", sa.Boolean(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("disabled_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
    )
    op.create_index("ix_account_email", "account", ["email"], unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)


def _sessions() -> None:
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_session"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_session_account_id"),
    )
    op.create_index("ix_session_account_id", "session", ["account_id"])
    op.create_table(
        "ticket",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("account_id", "email", "role", "created_by")),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_ticket"),
        sa.UniqueConstraint("id", name="uq_ticket_id"),
    )
    op.create_table(
        "attempt",
        sa.Column("subject", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("failures", "blocked_until_ms", "seen_at_ms")),
        sa.PrimaryKeyConstraint("subject", name="pk_attempt"),
    )


def _tiers() -> None:
    tier = op.create_table(
        "tier",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("multiplier_micro", sa.BigInteger(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("monthly_nano", sa.BigInteger(), nullable=True),
        sa.Column("earns", sa.JSON(), nullable=False),
        sa.Column("window_days", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tier"),
    )
    op.bulk_insert(
        tier,
        [
            {
                "name": name, "title": title, "rank": rank, "multiplier_micro": 1_000_000, "limits": {}, "models": None,
                "monthly_nano": None, "earns": [], "window_days": 31,
            }
            for rank, (name, title) in enumerate((("free", "Free"), ("vip", "VIP"), ("premium", "Premium")))
        ],
    )  # fmt: skip
    op.create_table(
        "membership",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "tier", name="pk_membership"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_membership_account_id"),
        sa.ForeignKeyConstraint(["tier"], ["tier.name"], name="fk_membership_tier"),
    )


def _trail() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("actor", "via", "address", "action")),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_index("ix_event_account_id_id", "event", ["account_id", "id"])
    op.create_table(
        "repeat",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key", name="pk_repeat"),
    )


def _keys() -> None:
    op.drop_index("ix_key_name", "key")
    with op.batch_alter_table("key") as key:
        key.add_column(sa.Column("account_id", sa.Text(), nullable=False, server_default="acc_operator"))
        key.add_column(sa.Column("wires", sa.JSON(none_as_null=True), nullable=True))
        key.add_column(sa.Column("networks", sa.JSON(none_as_null=True), nullable=True))
        key.add_column(sa.Column("limits", sa.JSON(none_as_null=True), nullable=True))
        key.create_foreign_key("fk_key_account_id", "account", ["account_id"], ["id"])
    op.create_index("ix_key_account_id_name", "key", ["account_id", "name"], unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)
