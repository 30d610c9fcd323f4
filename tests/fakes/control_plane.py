"""The control plane without the rest: routes under test over a real database, with the real gate, and clients that are let in."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import httpx
from fastapi import APIRouter, FastAPI

from penstock.accounts.api import errors
from penstock.accounts.api.gate import COOKIE, CSRF_HEADER, Gate
from penstock.accounts.identity import CLI
from penstock.accounts.service import Accounts, Draft
from penstock.accounts.sessions import Browser, Sessions
from penstock.accounts.trail import Trail
from penstock.billing.ledger import Ledger, Movement
from penstock.billing.membership import Memberships
from penstock.billing.models import ChargeRow
from penstock.billing.usage import Statistics
from penstock.compat import envelope
from penstock.infra.database import Database
from penstock.keys.managing import ManagementKeys
from penstock.keys.service import Keys, Made
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.rules.compile import NO_RULES
from penstock.rules.service import Rules
from penstock.rules.statistics import Uses
from penstock.rules.trial import Trials
from penstock.settings import Settings


class ControlPlane:
    """An application with these routes, in this order. Use as a context manager; leaving it closes its clients."""

    def __init__(self, database: Database, *routers: APIRouter, **settings: Any) -> None:
        self.database = database
        self.accounts = Accounts(database)
        self.sessions = Sessions(database)
        self.keys = Keys(database)
        trail = Trail(database)
        self.memberships = Memberships(database, trail)
        self.ledger = Ledger(database, trail, self.memberships)
        self.operators = NO_RULES
        """The rules for everybody, as a process knows them."""
        self.app = FastAPI()
        self._stack = AsyncExitStack()
        errors.install(self.app, {envelope.PREFIX: envelope.refused})
        rules = Rules(database)
        state = {
            "gate": Gate(self.sessions, self.accounts, (ManagementKeys(database).find,)),
            "keys": self.keys,
            "rules": rules,
            "rule_uses": Uses(database),
            "rule_trials": Trials(rules, self.keys, lambda: self.operators),
            "usage": Statistics(database),
            "ledger": self.ledger,
            "membership": self.memberships,
            "settings": Settings(**settings),
        }
        for name, service in state.items():
            setattr(self.app.state, name, service)
        for router in routers:
            self.app.include_router(router)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def client(self, token: str | None = None, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A program that shows this token, or none."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1))
        made = httpx.AsyncClient(transport=transport, base_url="http://penstock", headers=headers)
        self._stack.push_async_callback(made.aclose)
        return made

    async def account(self, role: str = "member") -> str:
        """A new account; its id."""
        return (await self.accounts.create(CLI, Draft("someone", role=role))).id

    async def browser(self, account_id: str) -> httpx.AsyncClient:
        """A browser that somebody has signed in with to this account."""
        async with self.database.session() as session:
            opened = await self.sessions.open(session, account_id, Browser("", ""))
        made = self.client()
        made.cookies.set(COOKIE, opened.token)
        made.headers[CSRF_HEADER] = opened.csrf_token
        return made

    async def manager(self, account_id: str, **terms: Any) -> Made:
        """A management key of this account."""
        return await self.keys.create("root", account_id=account_id, kind="management", **terms)

    async def top_up(self, account_id: str, amount_nano: int) -> None:
        """Money for this account."""
        async with self.database.session() as session:
            await self.ledger.top_up(session, CLI, Movement(account_id, amount_nano))

    async def charge(self, account_id: str, key_id: str, cost_nano: int, at_ms: int | None = None) -> None:
        """A request of this key that has cost so much: 12 tokens in, 5 out."""
        at_ms = clock.now_ms() if at_ms is None else at_ms
        texts = {"wire": "chat", "provider": "demo", "channel": "demo", "model": "m", "served_model": "m", "outcome": "complete"}
        counts = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens")
        times = {"upload_ms": 1, "first_byte_ms": 2, "duration_ms": 3, "attempts": 1}
        facts = {"id": new_id("req", at_ms), "created_at_ms": at_ms, "account_id": account_id, "key_id": key_id, "cost_nano": cost_nano}
        flags = {"streamed": False, "estimated": False, "status": 200, "price_version": "demo", "input_tokens": 12, "output_tokens": 5}
        async with self.database.session() as session:
            session.add(ChargeRow(**facts, **texts, **dict.fromkeys(counts, 0), **times, **flags))
