"""Tickets: secrets that work once, for who has no session yet: the first administrator, someone invited, a forgotten password."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.models import Account, Ticket
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id

Kind = Literal["first_admin", "invite", "confirm", "reset"]

_HOUR_MS = 3600 * 1000
LASTS_MS: dict[Kind, int] = {"first_admin": 168 * _HOUR_MS, "invite": 168 * _HOUR_MS, "confirm": 48 * _HOUR_MS, "reset": _HOUR_MS}
_FIRST_ID = "tkt_first_admin"
"""The id of the one that the first start makes: there can be no second."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a ticket is for. `account_id` is whose it is, `email` the address that whoever has it has proven to read."""

    kind: Kind
    account_id: str | None = None
    email: str | None = None
    role: str | None = None
    created_by: str | None = None


class Tickets:
    """The tickets of one database."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def make(self, session: AsyncSession, purpose: Purpose) -> str:
        """The token of a new ticket, which is kept nowhere. Those for the same purpose that were not used stop working."""
        await session.execute(delete(Ticket).where(*_same(purpose), Ticket.used_at_ms.is_(None)))
        token = secrets.token_hex(32)
        session.add(Ticket(**self._row(new_id("tkt", self._now_ms()), token, purpose)))
        return token

    async def look(self, token: str, *kinds: Kind) -> Ticket:
        """The ticket, if it would work now. It is not used up. Raises PenstockError `invalid_request`."""
        query = select(Ticket).where(*self._works(token, kinds))
        async with self._database.session(read_only=True) as session:
            return _found(await session.scalar(query))

    async def use(self, session: AsyncSession, token: str, *kinds: Kind) -> Ticket:
        """Use the ticket up, in the transaction of what it is used for: of several at once one wins. Raises as `look` does."""
        used = update(Ticket).where(*self._works(token, kinds)).values(used_at_ms=self._now_ms()).returning(Ticket)
        return _found(await session.scalar(used))

    async def forget(self, session: AsyncSession, account_id: str, email: str | None = None) -> None:
        """Delete the tickets of an account, and those for its e-mail address."""
        whose = Ticket.account_id == account_id
        await session.execute(delete(Ticket).where(whose if email is None else or_(whose, Ticket.email == email)))

    async def first_admin(self, *, again: bool = False) -> str | None:
        """The token that makes the first administrator; None if one can sign in already.

        It is made once for a database, by the first process that asks, None for all others; `again` replaces it.
        """
        async with self._database.session() as session:
            if await _has_admin(session):
                return None
            if again:
                await session.execute(delete(Ticket).where(Ticket.kind == "first_admin"))
            insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
            token = secrets.token_hex(32)
            row = self._row(_FIRST_ID, token, Purpose("first_admin"))
            made = await session.scalar(insert(Ticket).values(row).on_conflict_do_nothing().returning(Ticket.id))
        return None if made is None else token

    async def is_set_up(self) -> bool:
        """Whether there is an administrator who can sign in."""
        async with self._database.session(read_only=True) as session:
            return await _has_admin(session)

    def _row(self, ticket_id: str, token: str, purpose: Purpose) -> dict[str, object]:
        now_ms = self._now_ms()
        return {
            "digest": _digest(token), "id": ticket_id, "kind": purpose.kind, "account_id": purpose.account_id, "email": purpose.email,
            "role": purpose.role, "created_by": purpose.created_by, "created_at_ms": now_ms,
            "expires_at_ms": now_ms + LASTS_MS[purpose.kind], "used_at_ms": None,
        }  # fmt: skip

    def _works(self, token: str, kinds: Collection[Kind]) -> tuple[ColumnElement[bool], ...]:
        open_ = (Ticket.used_at_ms.is_(None), Ticket.expires_at_ms > self._now_ms())
        return (Ticket.digest == _digest(token), Ticket.kind.in_(kinds), *open_)


async def first_admin_token(database: Database) -> str | None:
    """What the first start of a gateway prints: the token of `POST /api/setup`; None on every other start."""
    return await Tickets(database).first_admin()


async def purge(database: Database, now_ms: int) -> int:
    """Delete the tickets that are over; returns how many there were. That of the first start stays: it says that there was one."""
    over = or_(Ticket.expires_at_ms <= now_ms, Ticket.used_at_ms.is_not(None))
    async with database.session() as session:
        return len((await session.scalars(delete(Ticket).where(over, Ticket.id != _FIRST_ID).returning(Ticket.id))).all())


async def _has_admin(session: AsyncSession) -> bool:
    """Whether there is an administrator who can sign in."""
    able = (Account.password.is_not(None), Account.disabled_at_ms.is_(None), Account.deleted_at_ms.is_(None))
    return await session.scalar(select(Account.id).where(Account.role == "admin", *able).limit(1)) is not None


def _same(purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
    names = ("kind", "account_id") if purpose.account_id is not None else ("kind", "account_id", "email", "created_by")
    return tuple(getattr(Ticket, name).is_not_distinct_from(getattr(purpose, name)) for name in names)


def _found(ticket: Ticket | None) -> Ticket:
    if ticket is None:
        message = "This link has been used, or is too old, or was not copied whole. Ask for a new one."
        raise PenstockError("invalid_request", message, param="token")
    return ticket


def _digest(token: str) -> bytes:
    return sha256(token.strip().encode(errors="surrogatepass")).digest()
