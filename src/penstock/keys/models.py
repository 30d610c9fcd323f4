"""The table of keys."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from penstock.accounts.models import OPERATOR, Account
from penstock.infra.database import Base

_LIVE = text("deleted_at_ms IS NULL")


class Key(Base):
    """A key: whose token it is, kept as a digest, and what it may do. Deleted ones stay, without digest, for the bills."""

    __tablename__ = "key"
    __table_args__ = (Index(None, "account_id", "name", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id), server_default=OPERATOR)
    name: Mapped[str]
    kind: Mapped[str]
    """`key`; `team` for those whose tokens have the team form; `management` for those that may call the control API of their account."""
    digest: Mapped[bytes | None] = mapped_column(unique=True)
    prefix: Mapped[str]
    last_four: Mapped[str]
    old_digest: Mapped[bytes | None] = mapped_column(unique=True)
    """The token before the last rotation, which still works until `old_until_ms`."""
    old_until_ms: Mapped[int | None]
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Globs of the models it may use; None means all."""
    wires: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Names of the wires it may use; None means all."""
    networks: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Addresses it may be used from, as CIDR; None means all."""
    limits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """See `kit.limits.Limits`; None means none."""
    fallbacks: Mapped[dict[str, list[str]] | None] = mapped_column(JSON(none_as_null=True))
    """By a glob of models, those that answer when none of a model's channels can; None means none."""
    record: Mapped[bool]
    created_at_ms: Mapped[int]
    expires_at_ms: Mapped[int | None]
    disabled_at_ms: Mapped[int | None]
    deleted_at_ms: Mapped[int | None]
