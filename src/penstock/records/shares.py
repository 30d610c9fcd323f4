"""The table of shares: links that show one record to whoever has them."""

from __future__ import annotations

from sqlalchemy import Boolean
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class ShareRow(Base):
    """A link. Its token is kept as a digest, and shown once."""

    __tablename__ = "record_share"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    shelf: Mapped[str] = mapped_column(index=True)
    record_id: Mapped[str]
    created_by: Mapped[str]
    """The account of whoever has made it."""
    headers: Mapped[bool] = mapped_column(Boolean)
    bodies: Mapped[bool] = mapped_column(Boolean)
    """What of the record is shown besides the entry."""
    created_at_ms: Mapped[int]
    expires_at_ms: Mapped[int]
