"""Leases: taking, filling, giving back and squaring a process's parts of purses, each in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.billing.models import ChargeRow, Entry, Lease, Purse
from penstock.billing.purses import DURABLE, MONEY, Want, ensure, locked, renew
from penstock.infra.database import Database
from penstock.kit.ids import new_id

REVENUE = "revenue"


class Order(NamedTuple):
    """More of one purse. `target` units are wanted; `short` are spent already and are given even if the balance falls below zero."""

    want: Want
    lease_id: str | None
    target: int
    short: int = 0
    spent: int = 0
    """For the kinds whose spending is not written with charges."""


class Filled(NamedTuple):
    """What came of an order. `fresh`: the lease is a new one, so all that it has was given now."""

    lease_id: str
    fresh: bool
    given: int
    left: int
    elsewhere: int
    from_ms: int | None
    until_ms: int | None


async def fill(database: Database, worker: str, orders: Sequence[Order], now_ms: int) -> list[Filled]:
    """Give each order what its purse has, up to its target. Purses and leases that do not exist are made. Raises DatabaseAway."""
    async with database.session() as session:
        fresh = [order.want for order in orders if order.lease_id is None]
        if fresh:
            await _ensure(session, fresh, now_ms)
        purses = await locked(session, (order.want.purse_id for order in orders))
        leases = await _leases(session, (order.lease_id for order in orders if order.lease_id is not None))
        filled = []
        for order in orders:
            purse = purses[order.want.purse_id]
            renew(purse, order.want, now_ms)
            lease = leases.get(order.lease_id or "")
            if lease is not None and (lease.closed_at_ms is not None or lease.from_ms != purse.from_ms):
                await _leave(session, lease, now_ms)
                lease = None
            filled.append(await _fill(session, worker, order, purse, lease, now_ms))
        return filled


async def give_back(database: Database, parts: Iterable[tuple[str, str, int, int]], now_ms: int) -> None:
    """Return units of leases to their purses: (purse, lease, units, spent), `spent` for the kinds that charges do not write."""
    rows = list(parts)
    async with database.session() as session:
        purses = await locked(session, (purse_id for purse_id, *_ in rows))
        leases = await _leases(session, (lease_id for _, lease_id, *_ in rows))
        for purse_id, lease_id, units, spent in rows:
            purse, lease = purses.get(purse_id), leases.get(lease_id)
            if purse is None or lease is None or lease.closed_at_ms is not None:
                continue
            if purse.kind not in DURABLE:
                lease.spent = spent
            lease.amount -= units
            if lease.from_ms == purse.from_ms:
                purse.balance += units
            if lease.spent == lease.amount:
                post(session, purse, lease, now_ms)


async def close_all(session: AsyncSession, worker: str, now_ms: int, *, spent: dict[str, int] | None = None) -> int:
    """End all leases of a worker: what is not spent returns, what is spent stays spent. How many there were.

    `spent` tells of the leases whose spending charges do not write; without it a dead worker's requests of this minute count
    as made, and its places as free.
    """
    rows = (await session.execute(select(Lease.id, Lease.purse_id).where(Lease.worker == worker, Lease.closed_at_ms.is_(None)))).all()
    purses = await locked(session, (purse_id for _, purse_id in rows))
    leases = await _leases(session, (lease_id for lease_id, _ in rows))
    for lease in leases.values():
        purse = purses[lease.purse_id]
        if purse.kind == "concurrency":
            lease.spent = 0
        elif purse.kind not in DURABLE:
            lease.spent = lease.amount if spent is None else spent.get(lease.id, lease.amount)
        square(session, purse, lease, now_ms)
        lease.closed_at_ms = now_ms
        if purse.kind not in DURABLE:
            await session.delete(lease)
    return len(rows)


async def square_late(database: Database, now_ms: int) -> int:
    """Take what was spent of leases after they were closed (a journal replayed late, a process that was thought dead) from the purses."""
    async with database.session(read_only=True) as session:
        late = (await session.execute(select(Lease.id, Lease.purse_id).where(*_LATE).limit(500))).all()
    if not late:
        return 0
    async with database.session() as session:
        purses = await locked(session, (purse_id for _, purse_id in late))
        for lease in (await _leases(session, (lease_id for lease_id, _ in late))).values():
            square(session, purses[lease.purse_id], lease, now_ms)
    return len(late)


_LATE = (Lease.closed_at_ms.is_not(None), Lease.spent != Lease.amount)
_KEPT_MS = 86_400_000


async def forget_windows(database: Database, now_ms: int) -> None:
    """Delete the closed leases of limits whose window has long ended: nothing is proven by them."""
    async with database.session() as session:
        limits = select(Purse.id).where(Purse.kind.not_in(MONEY))
        await session.execute(delete(Lease).where(Lease.closed_at_ms < now_ms - _KEPT_MS, Lease.purse_id.in_(limits)))


def square(session: AsyncSession, purse: Purse, lease: Lease, now_ms: int) -> None:
    """Give what is not spent back to the balance, or take what is missing from it, and post what was spent."""
    if lease.from_ms == purse.from_ms:
        purse.balance += lease.amount - lease.spent
    lease.amount = lease.spent
    post(session, purse, lease, now_ms)


def post(session: AsyncSession, purse: Purse, lease: Lease, now_ms: int) -> None:
    """Write the entry for what was spent of a lease since the last one."""
    if purse.kind not in MONEY or lease.spent == lease.posted:
        return
    amount = lease.spent - lease.posted
    # below zero: an overage was posted for a request that died before its charge was written
    kind, debit, credit = ("charge", REVENUE, purse.id) if amount > 0 else ("refund", purse.id, REVENUE)
    session.add(_entry(lease, purse, kind, (debit, credit), abs(amount), now_ms))
    lease.posted = lease.spent


def _entry(lease: Lease, purse: Purse, kind: str, sides: tuple[str, str], amount: int, now_ms: int) -> Entry:
    return Entry(
        id=new_id("ent", now_ms), kind=kind, debit=sides[0], credit=sides[1], amount_nano=amount, ref=lease.id,
        account_id=purse.account_id, created_at_ms=now_ms, note="",
    )  # fmt: skip


async def _ensure(session: AsyncSession, wants: list[Want], now_ms: int) -> None:
    """Make the purses; one of a cap in all begins with what its owner has spent before there was a cap."""
    known = set(await session.scalars(select(Purse.id).where(Purse.id.in_([want.purse_id for want in wants]))))
    new = [want for want in wants if want.purse_id not in known]
    if not new:
        return
    await ensure(session, new, now_ms)
    for want in new:
        if want.kind == "total":
            owner = want.purse_id.partition("/")[0]
            column = ChargeRow.account_id if owner == want.account_id else ChargeRow.key_id
            # an owner's charges are younger than the owner, whose id has the time it was made
            since = f"req_{owner.partition('_')[2][:12]}" if owner != "acc_operator" else ""
            spent = await session.scalar(select(func.sum(ChargeRow.cost_nano)).where(column == owner, ChargeRow.id >= since))
            purse = await session.get_one(Purse, want.purse_id)
            purse.balance -= int(spent or 0)
    await session.flush()


async def _leases(session: AsyncSession, lease_ids: Iterable[str]) -> dict[str, Lease]:
    ids = sorted(set(lease_ids))
    if not ids:
        return {}
    found = await session.scalars(
        select(Lease).where(Lease.id.in_(ids)).order_by(Lease.id).with_for_update().execution_options(populate_existing=True)
    )
    return {lease.id: lease for lease in found}


async def _leave(session: AsyncSession, lease: Lease, now_ms: int) -> None:
    """A lease of a window that is over, or one that was closed for us."""
    if lease.closed_at_ms is not None:
        return
    purse = await session.get_one(Purse, lease.purse_id)
    if purse.kind not in DURABLE:
        await session.delete(lease)
    else:
        lease.closed_at_ms = now_ms


async def _fill(session: AsyncSession, worker: str, order: Order, purse: Purse, lease: Lease | None, now_ms: int) -> Filled:
    fresh = lease is None
    if lease is None:
        lease = Lease(
            id=new_id("lse", now_ms), worker=worker, purse_id=purse.id, amount=0, spent=0, posted=0, from_ms=purse.from_ms,
            taken_at_ms=now_ms, closed_at_ms=None,
        )  # fmt: skip
        session.add(lease)
    elif purse.kind not in DURABLE:
        lease.spent = order.spent
    short = 0 if fresh else order.short
    given = max(min(order.target, max(purse.balance, 0)), short)
    overdrawn = given - max(purse.balance, 0)
    if overdrawn > 0 and purse.kind in MONEY:
        session.add(_entry(lease, purse, "overage", (REVENUE, purse.id), overdrawn, now_ms))
        lease.posted += overdrawn
    purse.balance -= given
    lease.amount += given
    elsewhere = 0
    if given < order.target:
        same = (Lease.purse_id == purse.id, Lease.from_ms.is_not_distinct_from(purse.from_ms))
        others = select(func.sum(Lease.amount - Lease.spent)).where(*same, Lease.worker != worker, Lease.closed_at_ms.is_(None))
        elsewhere = int(await session.scalar(others) or 0)
    return Filled(lease.id, fresh, given, purse.balance, elsewhere, purse.from_ms, purse.until_ms)
