"""A desk where money is handled: all services of billing over one database, a clock that is set by hand, accounts, and an auditor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.api import errors
from penstock.accounts.api.gate import Gate
from penstock.accounts.identity import CLI, Identity
from penstock.accounts.models import OPERATOR, Account, Event, Tier
from penstock.accounts.repeats import Repeats
from penstock.accounts.service import Accounts
from penstock.accounts.sessions import Sessions
from penstock.accounts.throttle import Throttle
from penstock.accounts.trail import Trail
from penstock.billing.api import codes, membership, money
from penstock.billing.codes import Codes
from penstock.billing.grants import Gift, Grants
from penstock.billing.leases import Order, close_all, fill
from penstock.billing.ledger import Balance, Ledger, Movement
from penstock.billing.membership import Memberships
from penstock.billing.models import Entry, Lease, Purse, Worker
from penstock.billing.purses import Want
from penstock.infra.database import Database
from penstock.infra.revisions import Revision
from penstock.kit.ids import new_id

T = TypeVar("T")
DOLLAR = 10**9
DAY_MS = 86_400_000


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


class Client(httpx.AsyncClient):
    """A program that calls the control API."""

    async def made(self, method: str, path: str, body: object = None, **given: Any) -> dict[str, Any]:
        """The answer of what must succeed."""
        answer = await self.request(method, path, json=body, **given)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def refused(self, method: str, path: str, body: object = None, **given: Any) -> tuple[int, str, str | None]:
        """Status, code and parameter of what must not."""
        answer = await self.request(method, path, json=body, **given)
        error = answer.json()["error"]
        assert error["request_id"] == answer.headers["x-request-id"]
        return answer.status_code, error["code"], error["param"]


class Desk:
    """The services of one database, and their everyday acts, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = Clock()
        self.trail = Trail(database, self.clock)
        self.repeats = Repeats(database, self.clock)
        self.throttle = Throttle(database, self.clock)
        self.memberships = Memberships(database, self.trail, self.clock)
        self.ledger = Ledger(database, self.trail, self.memberships, self.clock)
        self.grants = Grants(database, self.trail, self.clock)
        self.codes = Codes(database, self.trail, self.memberships, self.throttle, self.clock)

    async def do(self, act: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """One act in a transaction of its own."""
        async with self.database.session() as session:
            return await act(session)

    async def account(self, **given: object) -> str:
        """A new member's account."""
        account_id = new_id("acc", self.clock.ms)
        facts = {
            "name": "someone", "email": None, "role": "member", "password": None, "prepaid": True, "limits": {},
            "created_at_ms": self.clock.ms, "confirmed_at_ms": self.clock.ms, "disabled_at_ms": None, "deleted_at_ms": None,
        }  # fmt: skip
        async with self.database.session() as session:
            session.add(Account(id=account_id, **facts | given))
        return account_id

    async def earns(self, tier: str, rows: dict[int, int], window_days: int = 31) -> None:
        """Let a tier be earned: dollars and the months they give."""
        table = [{"amount_nano": dollars * DOLLAR, "months": months} for dollars, months in rows.items()]
        async with self.database.session() as session:
            await session.execute(update(Tier).where(Tier.name == tier).values(earns=table, window_days=window_days))

    async def top_up(self, account_id: str, amount_nano: int, **more: object) -> Entry:
        return await self.do(lambda session: self.ledger.top_up(session, CLI, Movement(account_id, amount_nano, **more)))

    async def adjust(self, account_id: str, amount_nano: int, **more: object) -> Entry:
        return await self.do(lambda session: self.ledger.adjust(session, CLI, Movement(account_id, amount_nano, **{"note": "why", **more})))

    async def refund(self, top_up: Entry, amount_nano: int, **more: object) -> Entry:
        movement = Movement(top_up.account_id, amount_nano, **more)
        return await self.do(lambda session: self.ledger.refund(session, CLI, top_up.id, movement))

    async def grant(self, account_id: str, amount_nano: int, days: float | None = None, **more: object) -> str:
        ends_ms = None if days is None else self.clock.ms + int(days * DAY_MS)
        gift = Gift(account_id, amount_nano, ends_ms, **more)
        return (await self.do(lambda session: self.grants.grant(session, CLI, gift))).id

    async def lease(self, purse_id: str, amount: int, worker: str = "wrk_a") -> str:
        """Have a worker take so much of a purse; what it gets is what there is."""
        account_id, kind = purse_id.split("/")
        order = Order(Want(purse_id, account_id, kind), None, amount)
        seen = Worker(id=worker, node="", pid=0, started_at_ms=0, seen_at_ms=0, running=None)
        await self.do(lambda session: session.merge(seen))
        return (await fill(self.database, worker, [order], self.clock.ms))[0].lease_id

    async def spend(self, lease_id: str, amount: int) -> None:
        """Spend of a lease, as charges do."""
        await self.do(lambda session: session.execute(update(Lease).where(Lease.id == lease_id).values(spent=Lease.spent + amount)))

    async def close(self, worker: str = "wrk_a") -> None:
        """Have a worker give its leases back."""
        await self.do(lambda session: close_all(session, worker, self.clock.ms))

    async def balance(self, account_id: str) -> Balance:
        return await self.ledger.balance(account_id)

    def app(self) -> FastAPI:
        """The control API of money. A management key is the id of its account."""

        async def bearer(token: str, address: str) -> tuple[str, str] | None:
            return token, "key_of_it"

        app = FastAPI()
        errors.install(app)
        accounts = Accounts(self.database, self.clock)
        app.state.gate = Gate(Sessions(self.database, self.clock), accounts, [bearer])
        app.state.ledger, app.state.grants, app.state.codes = self.ledger, self.grants, self.codes
        app.state.membership, app.state.repeats = self.memberships, self.repeats
        for part in (money, codes, membership):
            app.include_router(part.routes)
        return app

    def client(self, account_id: str = OPERATOR) -> Client:
        """Whoever has the management key of this account; unless told otherwise the operator."""
        headers = {"authorization": f"Bearer {account_id}"}
        return Client(transport=httpx.ASGITransport(self.app()), base_url="http://penstock", headers=headers)

    async def events(self) -> list[Event]:
        """The audit trail, oldest first."""
        async with self.database.session(read_only=True) as session:
            return list(await session.scalars(select(Event).order_by(Event.id)))

    async def revision(self, name: str) -> int:
        """How often the things of this name were changed."""
        async with self.database.session(read_only=True) as session:
            return await session.scalar(select(Revision.number).where(Revision.name == name)) or 0

    async def audit(self, account_id: str | None = None) -> None:
        """That entries and balances agree, to the nano, purse by purse, of one account or of all."""
        whose = [] if account_id is None else [Purse.account_id == account_id]
        async with self.database.session(read_only=True) as session:
            for purse in await session.scalars(select(Purse).where(*whose)):
                into = await session.scalar(select(func.sum(Entry.amount_nano)).where(Entry.debit == purse.id)) or 0
                out = await session.scalar(select(func.sum(Entry.amount_nano)).where(Entry.credit == purse.id)) or 0
                leased = await session.scalar(select(func.sum(Lease.amount - Lease.posted)).where(Lease.purse_id == purse.id)) or 0
                assert int(into) - int(out) == purse.balance + int(leased), purse.id


def member(account_id: str) -> Identity:
    """Whoever is signed in to the account."""
    return Identity(account_id, "member", "session", "127.0.0.1")
