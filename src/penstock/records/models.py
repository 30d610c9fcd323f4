"""The tables of records: segments, pages of what is in them by shelf, what accounts want of theirs, and links to one of them."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class SegmentRow(Base):
    """One stored object that holds many records. Ids are in order of time; `path` is the object's name in the store.

    `offsets` are where in it its groups begin, and where the last one ends, as MessagePack. A segment is there for others when this
    row is: its pages are written before. `stale`: some of its records may stand on no page any more.
    """

    __tablename__ = "record_segment"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at_ms: Mapped[int]
    until_ms: Mapped[int] = mapped_column(index=True)
    path: Mapped[str]
    count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    offsets: Mapped[bytes]
    stale: Mapped[bool] = mapped_column(Boolean)


class PageRow(Base):
    """Which records of a segment stand on a shelf, in summary: enough to tell that none of them is looked for.

    Texts are lists, an item a line, with a line feed before and after each; empty where there would be too many items to say.
    No page spans `pages.SPAN_MS` or more.
    """

    __tablename__ = "record_page"

    shelf: Mapped[str] = mapped_column(primary_key=True)
    segment_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    from_ms: Mapped[int]
    until_ms: Mapped[int]
    """When the first and the last of its records ended."""
    count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    """Its share of the segment."""
    first_id: Mapped[str]
    last_id: Mapped[str]
    keys: Mapped[str]
    models: Mapped[str]
    wires: Mapped[str]
    channels: Mapped[str]
    statuses: Mapped[str]
    outcomes: Mapped[str]
    greatest_cost_nano: Mapped[int]
    ruled: Mapped[bool] = mapped_column(Boolean)
    """Rules were applied to some of them."""

    __table_args__ = (Index(None, "shelf", "from_ms"), Index(None, "shelf", "until_ms"))


class EntriesRow(Base):
    """The entries of a page, in one piece. Apart from the page, so that thousands of pages are deleted in a moment."""

    __tablename__ = "record_entries"

    segment_id: Mapped[str] = mapped_column(primary_key=True)
    shelf: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes]


class PolicyRow(Base):
    """What an account wants of its records. No row: what `Policy` says by default."""

    __tablename__ = "record_policy"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[bool] = mapped_column(Boolean)
    retention_days: Mapped[int | None] = mapped_column(Integer)
    redact_paths: Mapped[list[str]] = mapped_column(JSON(none_as_null=True))
    redact_patterns: Mapped[list[str]] = mapped_column(JSON(none_as_null=True))
    updated_at_ms: Mapped[int]


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
