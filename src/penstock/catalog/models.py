"""The tables of the catalog: what the operator changes of official prices, and every price that was ever charged."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class PriceOverride(Base):
    """A price of the operator's own, from a time on. Insert-only but for `retired_at_ms`."""

    __tablename__ = "price_override"
    __table_args__ = (Index(None, "model"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    """The provider's name, or `*`."""
    model: Mapped[str]
    """The name as the provider knows it, or a glob."""
    free: Mapped[bool]
    """The model costs nothing, on purpose."""
    card: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Rates by service tier, as decimal strings of dollars: see `catalog.cards`."""
    output_cap: Mapped[int | None]
    """Output tokens to hold funds for when a request sets no bound; None: the setting."""
    effective_at_ms: Mapped[int]
    created_at_ms: Mapped[int]
    created_by: Mapped[str]
    confirmed_at_ms: Mapped[int | None]
    """None: it jumps beyond the bound, and waits for a confirmation."""
    retired_at_ms: Mapped[int | None]


class Multiplier(Base):
    """What the operator multiplies the prices of models by. The exact name wins, then the longest glob."""

    __tablename__ = "multiplier"

    model: Mapped[str] = mapped_column(primary_key=True)
    """A public name or a glob."""
    multiplier_micro: Mapped[int]
    changed_at_ms: Mapped[int]


class PriceUsed(Base):
    """A price that was charged, or waits to be: its rates as they were, so that receipts can be computed again years later."""

    __tablename__ = "price_used"

    version: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    model: Mapped[str]
    price: Mapped[dict[str, Any]] = mapped_column(JSON)
    """See `catalog.prices.pack`."""
    first_used_at_ms: Mapped[int]


class PriceInForce(Base):
    """Which version of an official price holds, and one that waits because it jumps beyond the bound."""

    __tablename__ = "price_in_force"

    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    pending_version: Mapped[str | None]
    changed_at_ms: Mapped[int]
