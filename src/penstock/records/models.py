"""The table of records: segments, which are files of many records, and which records are in them."""

from __future__ import annotations

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class SegmentRow(Base):
    """One stored object that holds many records. Ids are in order of time; `path` is the object's name in the store.

    `record_ids` are those of its records, which are those of the requests: one a line, in the order in which the object has them.
    They lie between `first_id` and `last_id`, which keeps the search for one of them to a few rows.
    """

    __tablename__ = "record_segment"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at_ms: Mapped[int]
    path: Mapped[str]
    count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    first_id: Mapped[str]
    last_id: Mapped[str]
    record_ids: Mapped[str] = mapped_column(deferred=True)
