"""Purses: what an account may still spend, and what its limits leave of it. One row each; the worker's part of one is a lease."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.billing.models import Purse
from penstock.kit.errors import PenstockError
from penstock.kit.limits import Limits
from penstock.kit.money import MAX_NANO

Kind = Literal["paid", "free", "total", "day", "week", "month", "rpm", "tpm", "concurrency"]
MONEY = frozenset({"paid", "free"})
"""Purses with entries in the ledger."""
DURABLE = frozenset({"paid", "free", "total", "day", "week", "month"})
"""What is spent of these is written with the charge; of the others only at once when a lease is given back."""
CAPS: tuple[Kind, ...] = ("total", "day", "week", "month")
_MINUTE_MS = 60_000
_SKEW_MS = 10 * _MINUTE_MS
"""The clocks of nodes may differ by so much."""
_DAY_MS = 86_400_000
_ROLLING_MS = {"day": _DAY_MS, "week": 7 * _DAY_MS, "month": 30 * _DAY_MS}


class Window(NamedTuple):
    """From `from_ms` up to, not including, `until_ms`."""

    from_ms: int
    until_ms: int


class Want(NamedTuple):
    """A purse that somebody draws on: whose it is, and what fills it where it is a limit's."""

    purse_id: str
    account_id: str
    kind: Kind
    limit: int | None = None
    rolling: bool = False


def paid(account_id: str) -> str:
    """The id of the purse with the money that was paid."""
    return f"{account_id}/paid"


def free(account_id: str) -> str:
    """The id of the purse with the money that was granted."""
    return f"{account_id}/free"


def wants_of(owner: str, account_id: str, limits: Limits) -> list[Want]:
    """The purses of an owner's limits; an owner is an account or a key."""
    rolling = limits.window == "rolling"
    caps = [(kind, getattr(limits, f"{kind}_nano")) for kind in CAPS]
    rates: list[tuple[Kind, int | None]] = [("rpm", limits.rpm), ("tpm", limits.tpm), ("concurrency", limits.concurrency)]
    return [Want(f"{owner}/{kind}", account_id, kind, limit, rolling) for kind, limit in (*caps, *rates) if limit is not None]


def window(kind: Kind, now_ms: int, *, rolling: bool) -> Window | None:
    """The window of a limit that begins now or has begun; None for what has no end."""
    if kind in ("rpm", "tpm"):
        from_ms = now_ms - now_ms % _MINUTE_MS
        return Window(from_ms, from_ms + _MINUTE_MS)
    if kind not in _ROLLING_MS:
        return None
    if rolling:
        return Window(now_ms, now_ms + _ROLLING_MS[kind])
    day = datetime.fromtimestamp(now_ms // 1000, UTC).replace(hour=0, minute=0, second=0)
    if kind == "week":
        day -= timedelta(days=day.weekday())
        return _between(day, day + timedelta(days=7))
    if kind == "month":
        day = day.replace(day=1)
        return _between(day, (day + timedelta(days=32)).replace(day=1))
    return _between(day, day + timedelta(days=1))


def _between(start: datetime, end: datetime) -> Window:
    return Window(int(start.timestamp()) * 1000, int(end.timestamp()) * 1000)


async def ensure(session: AsyncSession, wants: Iterable[Want], now_ms: int) -> None:
    """Make the purses that do not exist yet: of money empty, of limits full."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    rows = []
    for want in sorted(set(wants)):
        span = window(want.kind, now_ms, rolling=want.rolling)
        rows.append(
            {
                "id": want.purse_id, "account_id": want.account_id, "kind": want.kind, "limit_units": want.limit,
                "balance": want.limit or 0, "from_ms": span and span.from_ms, "until_ms": span and span.until_ms,
            }
        )  # fmt: skip
    if rows:
        await session.execute(insert(Purse).on_conflict_do_nothing(index_elements=["id"]), rows)


async def locked(session: AsyncSession, purse_ids: Iterable[str]) -> dict[str, Purse]:
    """The purses, theirs for the rest of this transaction, locked in the order of their ids so that nobody waits in a circle."""
    found = await session.scalars(
        select(Purse)
        .where(Purse.id.in_(sorted(set(purse_ids))))
        .order_by(Purse.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {purse.id: purse for purse in found}


def renew(purse: Purse, want: Want, now_ms: int) -> None:
    """Fill a limit's purse whose window is over, and take over a limit that was changed."""
    if want.limit is None:
        return
    # a window that is to begin in some time was made by a clock that has been set back since
    if purse.from_ms is not None and purse.until_ms is not None and not purse.from_ms - _SKEW_MS <= now_ms < purse.until_ms:
        span = window(want.kind, now_ms, rolling=want.rolling)
        purse.from_ms, purse.until_ms = span or (None, None)
        purse.balance = purse.limit_units = want.limit
    elif purse.limit_units != want.limit:
        purse.balance += want.limit - (purse.limit_units or 0)
        purse.limit_units = want.limit


async def add(session: AsyncSession, purse_id: str, amount: int, *, floor: int | None = None) -> None:
    """Change a balance by an amount, which may be negative; the purse must exist.

    Raises PenstockError `invalid_request` where the balance would not fit into 64 bits, `insufficient_funds` where it would
    fall below `floor`.
    """
    bounds = [Purse.balance <= MAX_NANO - amount] if amount >= 0 else [Purse.balance >= -MAX_NANO - amount]
    if floor is not None:
        bounds.append(Purse.balance + amount >= floor)
    moved = update(Purse).where(Purse.id == purse_id, *bounds).values(balance=Purse.balance + amount)
    if cast("CursorResult[Any]", await session.execute(moved)).rowcount == 1:
        return
    balance = await session.scalar(select(Purse.balance).where(Purse.id == purse_id))
    if balance is None:
        raise PenstockError("not_found", "There is no such purse.")
    if floor is not None and balance + amount < floor:
        raise PenstockError("insufficient_funds", "The balance does not hold that much.", param="amount_nano")
    raise PenstockError("invalid_request", "The balance would not fit into 64 bits.", param="amount_nano")
