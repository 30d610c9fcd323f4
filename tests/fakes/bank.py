"""A bank without HTTP: accounts with money, workers with treasuries over a real database, requests that hold and settle."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import Any

from sqlalchemy import func, select

from penstock.accounts.models import Account
from penstock.billing.charge import Charge
from penstock.billing.holds import Hold, Holds
from penstock.billing.models import ChargeRow, Entry, Lease, Purse
from penstock.billing.presence import Presence
from penstock.billing.purses import Want, add, ensure, free, paid
from penstock.billing.store import Store
from penstock.billing.store_postgresql import PostgresqlStore
from penstock.billing.store_sqlite import SqliteStore
from penstock.billing.treasury import Sizes, Treasury
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.ids import new_id

LEASE_S = 60
"""Longer than any test, so that workers are swept only when a test says so, having made them old."""
SIZES = Sizes(least_nano=1_000, most_nano=100_000, wait_s=0.5)


class Teller:
    """One worker: a treasury, its presence and a store of its own."""

    def __init__(self, database: Database, store: Store, sizes: Sizes = SIZES) -> None:
        self.running: list[Charge] = []
        self.treasury = Treasury(database, sizes)
        self.presence = Presence(database, self.treasury, lambda: self.running, lease_s=LEASE_S)
        self.holds = Holds()
        self.store = store
        self._writing = asyncio.Lock()

    async def write(self, *charges: Charge) -> None:
        """Make charges durable, one transaction at a time as the books do."""
        async with self._writing:
            await self.store.write(list(charges))

    async def reserve(self, wants: tuple[Want, ...], nano: int, tokens: int = 0) -> Hold:
        """A hold that is not entered yet. Raises as the treasury does."""
        funds = self.treasury.funds(wants)
        if not funds.covers(nano, tokens, perf_counter_ns()):
            await self.treasury.reserve(funds, nano, tokens)
        return Hold(self.holds, funds, nano, tokens)

    def settle(self, hold: Hold, account_id: str, cost_nano: int, tokens: int = 0) -> Charge:
        """The charge that a settled hold becomes; not written yet."""
        draws = hold.settle(cost_nano, tokens)
        return charge_of(account_id, cost_nano, hold.free_nano, draws)

    async def pay(self, wants: tuple[Want, ...], account_id: str, nano: int, cost_nano: int) -> Charge:
        """A whole request: reserve, hold, settle, write."""
        with await self.reserve(wants, nano) as hold:
            charge = self.settle(hold, account_id, cost_nano)
        await self.write(charge)
        return charge


class Bank:
    """What all workers share, and what must always be true of it."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url
        self.tellers: list[Teller] = []

    async def teller(self, sizes: Sizes = SIZES) -> Teller:
        """A new worker that is present."""
        path = self.database.path
        store: Store = PostgresqlStore(self.url, "process") if path is None else SqliteStore(path, "process")
        teller = Teller(self.database, store, sizes)
        await teller.presence.start()
        self.tellers.append(teller)
        return teller

    async def account(self, paid_nano: int = 0, free_nano: int = 0) -> tuple[str, tuple[Want, ...]]:
        """A prepaid account with money, and the purses that its requests draw on."""
        account_id = new_id("acc")
        now_ms = clock.now_ms()
        wants = (Want(free(account_id), account_id, "free"), Want(paid(account_id), account_id, "paid"))
        async with self.database.session() as session:
            session.add(
                Account(
                    id=account_id, name=account_id, email=None, role="member", password=None, prepaid=True, limits={}, created_at_ms=now_ms,
                    confirmed_at_ms=now_ms, disabled_at_ms=None, deleted_at_ms=None,
                )
            )  # fmt: skip
            await session.flush()
            await ensure(session, wants, now_ms)
        await self.fill(account_id, "paid", paid_nano)
        await self.fill(account_id, "free", free_nano)
        return account_id, wants

    async def fill(self, account_id: str, kind: str, nano: int) -> None:
        """Money from outside, as an entry and in the purse."""
        if not nano:
            return
        purse_id = f"{account_id}/{kind}"
        async with self.database.session() as session:
            session.add(
                Entry(
                    id=new_id("ent"), kind="top_up", debit=purse_id, credit="cash", amount_nano=nano, ref="", account_id=account_id,
                    created_at_ms=clock.now_ms(), note="",
                )
            )  # fmt: skip
            await add(session, purse_id, nano)

    async def left(self, purse_id: str) -> int:
        """What may still be spent of a purse, wherever it is."""
        async with self.database.session(read_only=True) as session:
            balance = await session.scalar(select(Purse.balance).where(Purse.id == purse_id)) or 0
            on_lease = await session.scalar(select(func.sum(Lease.amount - Lease.spent)).where(Lease.purse_id == purse_id)) or 0
        return int(balance + on_lease)

    async def spent(self, account_id: str) -> int:
        """The sum of an account's charges."""
        async with self.database.session(read_only=True) as session:
            return int(await session.scalar(select(func.sum(ChargeRow.cost_nano)).where(ChargeRow.account_id == account_id)) or 0)

    async def check(self) -> None:
        """Entries explain balances and leases, charges explain what was spent of the leases; to the nano."""
        async with self.database.session(read_only=True) as session:
            for purse in await session.scalars(select(Purse).where(Purse.kind.in_(("paid", "free")))):
                debits = await session.scalar(select(func.sum(Entry.amount_nano)).where(Entry.debit == purse.id)) or 0
                credits_ = await session.scalar(select(func.sum(Entry.amount_nano)).where(Entry.credit == purse.id)) or 0
                unposted = await session.scalar(select(func.sum(Lease.amount - Lease.posted)).where(Lease.purse_id == purse.id)) or 0
                assert debits - credits_ == purse.balance + unposted, purse.id
                part = ChargeRow.free_nano if purse.kind == "free" else ChargeRow.cost_nano - ChargeRow.free_nano
                charged = await session.scalar(select(func.sum(part)).where(ChargeRow.account_id == purse.account_id)) or 0
                spent = await session.scalar(select(func.sum(Lease.spent)).where(Lease.purse_id == purse.id)) or 0
                assert charged == spent, purse.id

    async def open_leases(self) -> list[dict[str, Any]]:
        """Leases that still have something."""
        async with self.database.session(read_only=True) as session:
            rows = await session.scalars(select(Lease).where(Lease.closed_at_ms.is_(None)))
            return [{"purse": row.purse_id, "left": row.amount - row.spent} for row in rows]

    async def close(self) -> None:
        """Everybody goes home."""
        for teller in self.tellers:
            await teller.presence.stop()
            await teller.store.close()


def charge_of(account_id: str, cost_nano: int, free_nano: int = 0, draws: tuple[tuple[str, int], ...] = ()) -> Charge:
    """A charge of so much."""
    return Charge(
        new_id("req"), clock.now_ms(), account_id, None, "chat", "demo", "demo", "m", "m", 200, "complete", False, False, 1, 0, 0, 0, 1, 0,
        None, cost_nano, free_nano, 1_000_000, "demo", 0, 0, 0, 1, draws,
    )  # fmt: skip
