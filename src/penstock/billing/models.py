"""The tables of billing: one row per charged request; purses, the leases on them, and the entries that explain them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from penstock.accounts.models import OPERATOR, Account, Tier
from penstock.infra.database import Base

_NOT_EXPIRED = text("expired_at_ms IS NULL")


class ChargeRow(Base):
    """What one request consumed and cost. The columns before the last are, in order, `charge.COLUMNS`.

    The id begins with the time (`kit.ids`), so its index is the one by time. There is none by account or key: it would touch a
    page per active key in every commit and cost more than the row itself. `ChargeOf` is that index, filled behind.
    """

    __tablename__ = "charge"

    id: Mapped[str] = mapped_column(unique=True)
    created_at_ms: Mapped[int]
    account_id: Mapped[str | None] = mapped_column(server_default=OPERATOR)
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
    free_nano: Mapped[int] = mapped_column(server_default="0")
    multiplier_micro: Mapped[int] = mapped_column(server_default="1000000")
    price_version: Mapped[str | None]
    upload_ms: Mapped[int] = mapped_column(Integer)
    first_byte_ms: Mapped[int] = mapped_column(Integer)
    duration_ms: Mapped[int] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    """Given by the database, upwards: see docs/decisions/charge-index.md. SQLite has it in any case, as the row's own id."""


class Purse(Base):
    """What may still be spent: an account's money, paid or free, or what a limit leaves of it.

    A limit's purse is filled up to `limit_units` when its window ends. Units are nano-dollars, tokens or requests, as `kind` says.
    What workers have on lease is not in `balance`. Where nothing is on lease, and no window is over, `balance` is what is left.
    """

    __tablename__ = "purse"

    id: Mapped[str] = mapped_column(primary_key=True)
    """`<owner>/<kind>`, the owner an account or a key."""
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id), index=True)
    kind: Mapped[str]
    """`paid`, `free`; `total`, `day`, `week`, `month`; `rpm`, `tpm`, `concurrency`."""
    limit_units: Mapped[int | None]
    balance: Mapped[int]
    from_ms: Mapped[int | None]
    until_ms: Mapped[int | None]
    """The window; None for what has none."""


_OPEN = text("closed_at_ms IS NULL")
_LATE = text("closed_at_ms IS NOT NULL AND spent <> amount")


class Lease(Base):
    """What one worker has of one purse: `amount` was taken from its balance, `spent` of that is spent.

    `spent` grows in the transaction that writes the charges. To square a lease is to give `amount - spent` back to the balance (or
    to take what is missing from it), set `amount` to `spent`, and post an entry of `spent - posted`: that can be done at any
    time and any number of times. Rows stay, so that what is spent late still has a place.
    """

    __tablename__ = "lease"
    __table_args__ = (
        Index(None, "purse_id"),
        Index("ix_lease_open", "worker", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_lease_late", "id", sqlite_where=_LATE, postgresql_where=_LATE),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    worker: Mapped[str]
    purse_id: Mapped[str] = mapped_column(ForeignKey(Purse.id))
    amount: Mapped[int]
    spent: Mapped[int]
    posted: Mapped[int]
    from_ms: Mapped[int | None]
    """The window of the purse when it was taken: what is left of it is given back only to the same one."""
    taken_at_ms: Mapped[int]
    closed_at_ms: Mapped[int | None]


class Worker(Base):
    """A process that serves; it says every second that it lives, and what its long requests have cost so far."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    started_at_ms: Mapped[int]
    seen_at_ms: Mapped[int]
    running: Mapped[bytes | None]
    """Charges, as JSON, to be posted as `interrupted` if it dies now."""


class Interrupted(Base):
    """What a charge that a sweep has posted draws of leases: should its own charge turn up in a journal, it takes the place of this one."""

    __tablename__ = "interrupted"

    charge_id: Mapped[str] = mapped_column(primary_key=True)
    draws: Mapped[list[Any]] = mapped_column(JSON)


class Recall(Base):
    """A wish that workers give back what they do not need of a purse."""

    __tablename__ = "recall"

    purse_id: Mapped[str] = mapped_column(primary_key=True)
    asked_at_ms: Mapped[int]


class Entry(Base):
    """A movement of money: from `credit` to `debit`, insert-only. Corrections are new entries.

    Sides are purses, or one of the accounts without a floor: `cash`, `grants`, `revenue`, `adjustments`, `expired`. An entry that
    fills a purse has it as `debit`, one that empties it as `credit`.
    """

    __tablename__ = "entry"
    __table_args__ = (Index(None, "account_id", "created_at_ms"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    """Derived from what it is about, so that doing it twice is harmless."""
    kind: Mapped[str]
    """`top_up`, `grant`, `charge`, `overage`, `refund`, `adjust`, `app_charge` or `expire`."""
    debit: Mapped[str]
    credit: Mapped[str]
    amount_nano: Mapped[int]
    """Above zero."""
    ref: Mapped[str]
    """A lease, a code, a grant, an order: what it is about."""
    account_id: Mapped[str]
    created_at_ms: Mapped[int]
    note: Mapped[str]


class Grant(Base):
    """Free money with an end. What is spent of the free purse is taken from the grant that ends first."""

    __tablename__ = "free_grant"
    __table_args__ = (
        Index(None, "account_id"),
        Index("ix_free_grant_open", "expires_at_ms", sqlite_where=_NOT_EXPIRED, postgresql_where=_NOT_EXPIRED),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    amount_nano: Mapped[int]
    left_nano: Mapped[int]
    """As of the last grant or expiry of the account."""
    created_at_ms: Mapped[int]
    expires_at_ms: Mapped[int | None]
    expired_at_ms: Mapped[int | None]
    note: Mapped[str]


class Code(Base):
    """A redemption code, kept as a digest: whoever shows it gets its amount, once."""

    __tablename__ = "code"
    __table_args__ = (Index(None, "batch"),)

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    batch: Mapped[str]
    kind: Mapped[str]
    """`top_up` or `grant`."""
    amount_nano: Mapped[int]
    prefix: Mapped[str]
    grant_days: Mapped[int | None]
    created_at_ms: Mapped[int]
    created_by: Mapped[str]
    expires_at_ms: Mapped[int | None]
    account_id: Mapped[str | None]
    """Who has redeemed it."""
    redeemed_at_ms: Mapped[int | None]
    disabled_at_ms: Mapped[int | None]


class Earning(Base):
    """What an account has paid towards a tier since a first top-up, and the months that have come of it."""

    __tablename__ = "earning"

    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id), primary_key=True)
    tier: Mapped[str] = mapped_column(ForeignKey(Tier.name), primary_key=True)
    first_at_ms: Mapped[int]
    """When the first top-up was: what is paid within the tier's window from then on adds up."""
    from_ms: Mapped[int]
    """Where the months begin: at the first top-up, or at the end of a membership that ran at that time."""
    paid_nano: Mapped[int]
    months: Mapped[int]


ALL_KEYS = "*"


class _Usage:
    """Sums of charges by account, time, key, model and channel, for statistics; complete up to the mark of `Rollup`."""

    account_id: Mapped[str] = mapped_column(primary_key=True)
    from_ms: Mapped[int] = mapped_column(primary_key=True)
    """When the hour or day begins; a charge belongs to that in which its request came."""
    key_id: Mapped[str] = mapped_column(primary_key=True)
    """Empty for requests without a key."""
    model: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int]
    failed: Mapped[int]
    estimated: Mapped[int]
    unpriced: Mapped[int]
    input_tokens: Mapped[int]
    cache_read_tokens: Mapped[int]
    cache_write_tokens: Mapped[int]
    output_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    cost_nano: Mapped[int]
    free_nano: Mapped[int]
    duration_ms: Mapped[int]
    first_byte_ms: Mapped[int]


class UsageHour(_Usage, Base):
    """By hours."""

    __tablename__ = "usage_hour"
    __table_args__: Any = (Index(None, "from_ms"), {"sqlite_with_rowid": False})


class UsageDay(_Usage, Base):
    """By days of UTC; and those of all keys together once more, with `ALL_KEYS` as the key: most questions are not about keys."""

    __tablename__ = "usage_day"
    __table_args__: Any = (Index(None, "from_ms"), {"sqlite_with_rowid": False})


class UsageKey(Base):
    """All that a key was ever used for, up to the mark of `Rollup`."""

    __tablename__ = "usage_key"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int]
    tokens: Mapped[int]
    cost_nano: Mapped[int]
    free_nano: Mapped[int]
    used_at_ms: Mapped[int]
    """When it was last charged for."""


class ChargeOf(Base):
    """Which charges an account has, and a key, in their order: an index that is filled behind the charges, up to the mark of `Rollup`."""

    __tablename__ = "charge_of"
    __table_args__: Any = (Index(None, "key_id", "charge_id"), {"sqlite_with_rowid": False})

    account_id: Mapped[str] = mapped_column(primary_key=True)
    charge_id: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str]
    """Empty for requests without a key."""
    model: Mapped[str]


class Rollup(Base):
    """How far charges have been summed and indexed, in two rows."""

    __tablename__ = "rollup"

    name: Mapped[str] = mapped_column(primary_key=True)
    """`charges`, and `withdrawals`."""
    mark: Mapped[int]
    """All charges whose number is not above it have; how often charges were taken back."""
