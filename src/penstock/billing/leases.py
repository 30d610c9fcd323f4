"""Leases: taking, filling, giving back and squaring a process's parts of purses, each in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.billing.models import ChargeRow, Entry, Lease, Purse, Worker
from penstock.billing.purses import DURABLE, MONEY, Want, ensure, locked, renew
from penstock.infra.database import Database, DatabaseAway
from penstock.kit.ids import new_id

REVENUE = "revenue"


BATCH = 500
"""So many rows are asked for in one statement: a database takes no more than some ten thousands of values."""


class Swept(DatabaseAway):
    """The worker was thought dead: it can take no lease any more. It is a new worker as soon as it has noticed."""


class Order(NamedTuple):
    """More of one purse: `target` units are wanted.

    `spent` is what was spent of the lease, written or not: what goes beyond it is given even if the balance falls below zero.
    Of `spare`, which is neither spent nor held, some is taken back where a limit was lowered below what is on lease.
    """

    want: Want
    lease_id: str | None
    target: int
    spent: int = 0
    spare: int = 0
    next_id: str | None = None
    """What a new lease is called. One that has the name already was made by a transaction whose end was not heard of."""
    previous: str | None = None
    """The lease of the window before, which ends."""
    low: int = 0
    """With less room than that, more will be asked for."""


class Filled(NamedTuple):
    """What came of an order: the lease has `amount`, of which `given` was given now. `fresh`: it is not the one that was named."""

    lease_id: str
    fresh: bool
    given: int
    amount: int
    left: int
    elsewhere: int
    from_ms: int | None
    until_ms: int | None


class Part(NamedTuple):
    """Units of a lease that are given back. `spent` is for the kinds that charges do not write; `ends`: the lease is needed no more."""

    purse_id: str
    lease_id: str
    units: int
    spent: int
    ends: bool = False


async def fill(database: Database, worker: str, orders: Sequence[Order], now_ms: int) -> list[Filled]:
    """Give each order what its purse has, up to its target. Purses and leases that do not exist are made.

    Raises DatabaseAway, and Swept where the worker is none any more.
    """
    async with database.session() as session:
        await _present(session, worker)
        fresh = [order.want for order in orders if order.lease_id is None]
        if fresh:
            await _ensure(session, fresh, now_ms)
        purses = await locked(session, (order.want.purse_id for order in orders))
        named = (name for order in orders for name in (order.lease_id, order.next_id, order.previous) if name is not None)
        leases = await _leases(session, named)
        filled = []
        for order in orders:
            purse = purses[order.want.purse_id]
            renew(purse, order.want, now_ms)
            lease = None
            for name in (order.previous, order.next_id, order.lease_id):
                if (found := leases.get(name or "")) is None or found.closed_at_ms is not None:
                    continue
                if name == order.previous or found.from_ms != purse.from_ms:
                    await _leave(session, purse, found, now_ms)
                else:
                    lease = found
            filled.append(await _fill(session, worker, order, purse, lease, now_ms))
        return filled


async def give_back(database: Database, parts: Sequence[Part], now_ms: int) -> None:
    """Return units of leases to their purses, and end the leases that are needed no more. Raises DatabaseAway."""
    async with database.session() as session:
        purses = await locked(session, (part.purse_id for part in parts))
        leases = await _leases(session, (part.lease_id for part in parts))
        for part in parts:
            purse, lease = purses.get(part.purse_id), leases.get(part.lease_id)
            if purse is None or lease is None or lease.closed_at_ms is not None:
                continue
            if purse.kind not in DURABLE:
                lease.spent = part.spent
            if part.ends:
                await _end(session, purse, lease, now_ms)
                continue
            lease.amount -= part.units
            if lease.from_ms == purse.from_ms:
                purse.balance += part.units
            if lease.spent == lease.amount:
                post(session, purse, lease, now_ms)


async def close_all(session: AsyncSession, worker: str, now_ms: int, *, spent: dict[str, int] | None = None) -> int:
    """End all leases of a worker: what is not spent returns, what is spent stays spent. How many there were.

    `spent` tells of the leases whose spending charges do not write; without it a dead worker's requests of this minute count
    as made, and its places as free.
    """
    open_ = select(Lease.id, Lease.purse_id).where(Lease.worker == worker, Lease.closed_at_ms.is_(None)).order_by(Lease.purse_id)
    rows = (await session.execute(open_)).all()
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        purses = await locked(session, (purse_id for _, purse_id in some))
        for lease in (await _leases(session, (lease_id for lease_id, _ in some))).values():
            purse = purses[lease.purse_id]
            if purse.kind == "concurrency":
                lease.spent = 0
            elif purse.kind not in DURABLE:
                lease.spent = lease.amount if spent is None else spent.get(lease.id, lease.amount)
            await _end(session, purse, lease, now_ms)
        await session.flush()
        session.expunge_all()
    return len(rows)


async def square_late(database: Database, now_ms: int) -> int:
    """Take what was spent of leases after they were closed (a journal replayed late, a process that was thought dead) from the purses."""
    async with database.session(read_only=True) as session:
        late = (await session.scalars(select(Lease.id).where(*_LATE).limit(BATCH))).all()
    if not late:
        return 0
    async with database.session() as session:
        await square_those(session, late, now_ms)
    return len(late)


_LATE = (Lease.closed_at_ms.is_not(None), Lease.spent != Lease.amount)
_KEPT_MS = 86_400_000


async def forget_windows(database: Database, now_ms: int) -> None:
    """Delete the closed leases of limits whose window has long ended: nothing is proven by them."""
    async with database.session() as session:
        limits = select(Purse.id).where(Purse.kind.not_in(MONEY))
        await session.execute(delete(Lease).where(Lease.closed_at_ms < now_ms - _KEPT_MS, Lease.purse_id.in_(limits)))


async def square_those(session: AsyncSession, lease_ids: Sequence[str], now_ms: int) -> None:
    """Square these leases."""
    purse_ids = (await session.scalars(select(Lease.purse_id).where(Lease.id.in_(lease_ids)))).all()
    purses = await locked(session, purse_ids)
    for lease in (await _leases(session, lease_ids)).values():
        square(session, purses[lease.purse_id], lease, now_ms)


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


async def _present(session: AsyncSession, worker: str) -> None:
    """Make sure that nobody has swept this worker, nor does before this transaction ends: what it took would be lost."""
    if await session.scalar(select(Worker.id).where(Worker.id == worker).with_for_update(read=True, key_share=True)) is None:
        raise Swept("this process was thought dead")


async def _end(session: AsyncSession, purse: Purse, lease: Lease, now_ms: int) -> None:
    """Square a lease for the last time. Those of limits per minute and at once prove nothing and go."""
    square(session, purse, lease, now_ms)
    lease.closed_at_ms = now_ms
    if purse.kind not in DURABLE:
        await session.delete(lease)


async def _leave(session: AsyncSession, purse: Purse, lease: Lease, now_ms: int) -> None:
    """End a lease of a window that is over, unless it was closed for us. What was spent of it lately is not known here."""
    if lease.closed_at_ms is None:
        if purse.kind not in DURABLE:
            lease.spent = lease.amount
        await _end(session, purse, lease, now_ms)


async def _fill(session: AsyncSession, worker: str, order: Order, purse: Purse, lease: Lease | None, now_ms: int) -> Filled:
    fresh = lease is None or lease.id != order.lease_id
    if lease is None:
        lease = Lease(
            id=order.next_id or new_id("lse", now_ms), worker=worker, purse_id=purse.id, amount=0, spent=0, posted=0, from_ms=purse.from_ms,
            taken_at_ms=now_ms, closed_at_ms=None,
        )  # fmt: skip
        session.add(lease)
    elif purse.kind not in DURABLE:
        lease.spent = 0 if fresh else order.spent
    if purse.balance < 0 and purse.kind not in MONEY and not fresh:
        back = min(order.spare, -purse.balance)
        purse.balance += back
        lease.amount -= back
    short = 0 if fresh else max(0, order.spent - lease.amount)
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
    return Filled(lease.id, fresh, given, lease.amount, purse.balance, elsewhere, purse.from_ms, purse.until_ms)
