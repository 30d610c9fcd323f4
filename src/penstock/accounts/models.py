"""The tables of accounts: who pays, their sessions, one-time tickets, membership, what administrators did, answers kept for repeats."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from penstock.infra.database import Base

OPERATOR = "acc_operator"
"""The account of whoever runs the gateway: an administrator, made by the migration, with no balance to keep."""

_LIVE = text("deleted_at_ms IS NULL")


class Account(Base):
    """Who pays. Deleted ones stay, without name, email or password, for the books."""

    __tablename__ = "account"
    __table_args__ = (Index(None, "email", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str | None]
    """In lower case. None: nobody can sign in to it."""
    role: Mapped[str]
    """`admin` or `member`."""
    password: Mapped[str | None]
    """Its argon2id hash."""
    prepaid: Mapped[bool]
    """It spends its balance and nothing more; else what it consumes is only counted."""
    limits: Mapped[dict[str, Any]] = mapped_column(JSON)
    """See `kit.limits.Limits`."""
    created_at_ms: Mapped[int]
    confirmed_at_ms: Mapped[int | None]
    """When the e-mail address was proven; None: it may not sign in yet."""
    disabled_at_ms: Mapped[int | None]
    deleted_at_ms: Mapped[int | None]


class Session(Base):
    """A signed-in browser."""

    __tablename__ = "session"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """SHA-256 of the cookie."""
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id), index=True)
    created_at_ms: Mapped[int]
    seen_at_ms: Mapped[int]
    expires_at_ms: Mapped[int]
    agent: Mapped[str]
    address: Mapped[str]


class Ticket(Base):
    """A secret that works once: of the first administrator, an invitation, a confirmation, a forgotten password."""

    __tablename__ = "ticket"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    """`first_admin`, `invite`, `confirm` or `reset`."""
    account_id: Mapped[str | None]
    """Whose it is, for `confirm` and `reset`."""
    email: Mapped[str | None]
    role: Mapped[str | None]
    created_by: Mapped[str | None]
    created_at_ms: Mapped[int]
    expires_at_ms: Mapped[int]
    used_at_ms: Mapped[int | None]


class Attempt(Base):
    """Failed attempts to sign in, by address and by e-mail: what throttles them, in all processes alike."""

    __tablename__ = "attempt"

    subject: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    blocked_until_ms: Mapped[int]
    seen_at_ms: Mapped[int]


class Tier(Base):
    """A level of membership, and what it gives."""

    __tablename__ = "tier"

    name: Mapped[str] = mapped_column(primary_key=True)
    """`free`, `vip`, `premium` at first. `free` is that of accounts without membership."""
    title: Mapped[str]
    rank: Mapped[int]
    """Of several memberships the one of the highest rank counts."""
    multiplier_micro: Mapped[int]
    """Millionths: 1_000_000 is the price as it is."""
    limits: Mapped[dict[str, Any]] = mapped_column(JSON)
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Globs of the models it may use; None means all."""
    monthly_nano: Mapped[int | None]
    """What a month costs, for the price list; None: not sold."""
    earns: Mapped[list[dict[str, int]]] = mapped_column(JSON)
    """What top-ups within `window_days` earn: `[{"amount_nano", "months"}]`."""
    window_days: Mapped[int]


class Membership(Base):
    """That an account has a tier for some time."""

    __tablename__ = "membership"

    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id), primary_key=True)
    tier: Mapped[str] = mapped_column(ForeignKey(Tier.name), primary_key=True)
    started_at_ms: Mapped[int]
    until_ms: Mapped[int]


class Event(Base):
    """The audit trail: what someone did that others must be able to find out."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    """`evt_...`; it begins with the time."""
    at_ms: Mapped[int]
    actor: Mapped[str]
    """The id of the account that acted, or `cli`."""
    via: Mapped[str]
    """`session`, `cli`, or the id of the management key or the ticket that was shown."""
    address: Mapped[str]
    action: Mapped[str]
    """As in `key.create`, `account.disable`, `topup.create`."""
    account_id: Mapped[str | None]
    """Whose thing it was done to."""
    subject: Mapped[str]
    """The id of what it was done to."""
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What was changed; never a secret."""


class Repeat(Base):
    """The answer to a request with an `Idempotency-Key`, for when it is sent again."""

    __tablename__ = "repeat"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[bytes]
    answer: Mapped[str]
    created_at_ms: Mapped[int]
