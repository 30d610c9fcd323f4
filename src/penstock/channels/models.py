"""The tables of channels: what they are, their credentials, their breakers, and what their providers say they have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base


class ChannelRow(Base):
    """A channel. Whatever changes of it or of its credentials, `revision` goes up by one."""

    __tablename__ = "channel"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    provider: Mapped[str]
    base_url: Mapped[str]
    models: Mapped[list[list[str | None]]] = mapped_column(JSON(none_as_null=True), deferred=True)
    """Pairs of a public name or glob and the provider's name; null: the same name."""
    wires: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """What it speaks, the preferred first; None means what its provider speaks."""
    priority: Mapped[int] = mapped_column(Integer)
    weight: Mapped[int] = mapped_column(Integer)
    proxy_sealed: Mapped[bytes | None]
    headers_sealed: Mapped[bytes | None]
    """A JSON object of names and values."""
    timeouts: Mapped[dict[str, float]] = mapped_column(JSON(none_as_null=True))
    on_disconnect: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(JSON(none_as_null=True))
    options: Mapped[dict[str, Any]] = mapped_column(JSON(none_as_null=True))
    cost_micro: Mapped[int]
    allow_private: Mapped[bool]
    enabled: Mapped[bool]
    discover: Mapped[bool]
    created_at_ms: Mapped[int]
    changed_at_ms: Mapped[int]
    revision: Mapped[int]


class CredentialRow(Base):
    """A credential of a channel."""

    __tablename__ = "channel_credential"
    __table_args__ = (Index(None, "channel_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    channel_id: Mapped[str] = mapped_column(ForeignKey(ChannelRow.id, ondelete="CASCADE"))
    label: Mapped[str]
    secret_sealed: Mapped[bytes]
    hint: Mapped[str]
    """The end of the secret; empty for a short one."""
    enabled: Mapped[bool]
    created_at_ms: Mapped[int]


class BreakerRow(Base):
    """A breaker as the processes tell each other of it. Channels from settings have their name for an id, and no credential's."""

    __tablename__ = "breaker"

    channel_id: Mapped[str] = mapped_column(primary_key=True)
    credential_id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    """Empty: all models."""
    state: Mapped[str]
    until_ms: Mapped[int]
    failures: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str]
    at_ms: Mapped[int]


class DiscoveryRow(Base):
    """What a provider last said it has. Channels from settings have their name for an id."""

    __tablename__ = "discovery"

    channel_id: Mapped[str] = mapped_column(primary_key=True)
    offers: Mapped[list[dict[str, Any]]] = mapped_column(JSON(none_as_null=True), deferred=True)
    at_ms: Mapped[int]
    """When it was last asked."""
    failure: Mapped[str | None]
    """Why it did not answer then; the offers are those from before."""
