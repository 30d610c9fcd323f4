"""The table of jobs: when each is due, and which process does it."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class JobRow(Base):
    """Something that one process of all does now and then."""

    __tablename__ = "job"

    name: Mapped[str] = mapped_column(primary_key=True)
    due_at_ms: Mapped[int]
    holder: Mapped[str | None]
    """The process that does it, or did it last."""
    held_until_ms: Mapped[int]
    """Until then it is the holder's, who moves this on while it lasts; 0 when it is done."""
