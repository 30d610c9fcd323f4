"""The table of keys."""

from __future__ import annotations

from sqlalchemy import JSON, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base

_LIVE = text("deleted_at_ms IS NULL")


class Key(Base):
    """A key: whose token it is, kept as a digest, and what it may do. Deleted ones stay, without digest, for the bills."""

    __tablename__ = "key"
    __table_args__ = (Index(None, "name", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    """`key`, or `team` for those whose tokens have the team form."""
    digest: Mapped[bytes | None] = mapped_column(unique=True)
    prefix: Mapped[str]
    last_four: Mapped[str]
    old_digest: Mapped[bytes | None] = mapped_column(unique=True)
    """The token before the last rotation, which still works until `old_until_ms`."""
    old_until_ms: Mapped[int | None]
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Globs of the models it may use; None means all."""
    record: Mapped[bool]
    created_at_ms: Mapped[int]
    expires_at_ms: Mapped[int | None]
    disabled_at_ms: Mapped[int | None]
    deleted_at_ms: Mapped[int | None]
