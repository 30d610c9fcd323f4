"""Rules, how often they were used, and whose have changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "rule",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "account_id", "scope", "name", "description")),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("enabled", "shadow", "stop")),
        sa.Column("terms", sa.JSON(none_as_null=True), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("created_at_ms", "changed_at_ms")),
        sa.PrimaryKeyConstraint("id", name="pk_rule"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_rule_account_id_account"),
    )
    op.create_index("ix_rule_account_id_name", "rule", ["account_id", "name"], unique=True)
    op.create_table(
        "rule_day",
        sa.Column("rule_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("day", "hits", "shadow_hits", "errors", "last_at_ms")),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("rule_id", "day", name="pk_rule_day"),
        sa.ForeignKeyConstraint(["rule_id"], ["rule.id"], name="fk_rule_day_rule_id_rule", ondelete="CASCADE"),
    )
    op.create_table(
        "rule_change",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_rule_change"),
    )
    op.create_index("ix_rule_change_number", "rule_change", ["number"])
