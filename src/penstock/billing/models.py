"""The tables of billing: one row per charged request."""

from __future__ import annotations

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class ChargeRow(Base):
    """What one request consumed and cost. The columns, in order, are the fields of `charge.Charge`.

    The id begins with the time (`kit.ids`), so the primary key is the index by time. There is no other index: one by
    key would touch a page per active key in every commit and cost more than the row itself.
    """

    __tablename__ = "charge"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at_ms: Mapped[int]
    key_id: Mapped[str | None]
    wire: Mapped[str]
    provider: Mapped[str]
    channel: Mapped[str]
    model: Mapped[str]
    served_model: Mapped[str]
    status: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str]
    streamed: Mapped[bool]
    estimated: Mapped[bool]
    input_tokens: Mapped[int]
    cache_read_tokens: Mapped[int]
    cache_write_5m_tokens: Mapped[int]
    cache_write_1h_tokens: Mapped[int]
    output_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    extra_usage: Mapped[str | None]
    cost_nano: Mapped[int]
    price_version: Mapped[str | None]
    upload_ms: Mapped[int] = mapped_column(Integer)
    first_byte_ms: Mapped[int] = mapped_column(Integer)
    duration_ms: Mapped[int] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer)
