"""The tables of rules: what they are, how often they were used, and whose have changed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from penstock.accounts.models import Account
from penstock.infra.database import Base


class RuleRow(Base):
    """A rule. Those for everybody (`scope` is `all`) belong to the operator's account, whoever made them."""

    __tablename__ = "rule"
    __table_args__ = (Index(None, "account_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    scope: Mapped[str]
    """`own`: for the requests of the account; `all`: for everybody's."""
    name: Mapped[str]
    description: Mapped[str]
    priority: Mapped[int]
    enabled: Mapped[bool]
    shadow: Mapped[bool]
    stop: Mapped[bool]
    terms: Mapped[dict[str, Any]] = mapped_column(JSON(none_as_null=True))
    """`when` and `then`, as `grammar` writes them."""
    created_at_ms: Mapped[int]
    changed_at_ms: Mapped[int]


class RuleDay(Base):
    """How often a rule was used on a day, in UTC: a number of days since 1970."""

    __tablename__ = "rule_day"

    rule_id: Mapped[str] = mapped_column(ForeignKey(RuleRow.id, ondelete="CASCADE"), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True)
    hits: Mapped[int]
    shadow_hits: Mapped[int]
    errors: Mapped[int]
    last_at_ms: Mapped[int]
    last_error: Mapped[str | None]


class RuleChange(Base):
    """When the rules of an account last changed: the number that the revision of rules had then."""

    __tablename__ = "rule_change"
    __table_args__ = (Index(None, "number"),)

    account_id: Mapped[str] = mapped_column(primary_key=True)
    """Whose rules; empty: those for everybody."""
    number: Mapped[int]
