"""The tables of records: segments, which are files of many records, and where in them each record is."""

from __future__ import annotations

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class SegmentRow(Base):
    """One stored object that holds many records. Ids are in order of time; `path` is the object's name in the store."""

    __tablename__ = "record_segment"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at_ms: Mapped[int]
    path: Mapped[str]
    count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]


class RecordRow(Base):
    """Where a record is: the place in its segment, counted from 0. The id is the request's."""

    __tablename__ = "record"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at_ms: Mapped[int]
    key_id: Mapped[str | None]
    segment_id: Mapped[str]
    place: Mapped[int] = mapped_column(Integer)
