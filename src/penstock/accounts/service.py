"""What can be done with accounts: make, find, change, disable, enable and delete them; each change is in the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.emails import read_email
from penstock.accounts.identity import Identity, no_account
from penstock.accounts.models import OPERATOR, Account, Event, Repeat, Session
from penstock.accounts.passwords import Passwords, check_password
from penstock.accounts.tickets import Tickets
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.limits import change_limits, read_limits, write_limits
from penstock.kit.pages import Page, Place, cut

REVISION = "accounts"
CALLERS = "keys"
"""The revision of what the relay remembers of callers: some of it is the account's."""
NAME_LIMIT = 200
DELETED = "deleted"
"""The name that is left of a deleted account."""

Role = Literal["admin", "member"]
State = Literal["active", "disabled", "deleted"]
Ending = Callable[[AsyncSession, str], Awaitable[None]]
"""What else ends with an account, in the same transaction."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which accounts are asked for; None means all that are not deleted. `search` is part of a name, an e-mail address or an id."""

    search: str | None = None
    role: Role | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An account to be made. Without e-mail and password nobody can sign in to it; without a password they can ask for one by mail."""

    name: str
    email: str | None = None
    password: str | None = None
    role: Role = "member"
    prepaid: bool = True
    limits: Mapping[str, Any] | None = None


class Changes(TypedDict, total=False):
    """What administrators can change of an account; what is left out stays."""

    name: str
    email: str
    role: Role
    prepaid: bool
    limits: Mapping[str, Any] | None
    """By the names of `kit.limits.Limits`. Those that are left out stay; None takes all of them away."""


class Accounts:
    """The accounts of one database. Methods raise PenstockError (`not_found`, `invalid_request`, `conflict`) and DatabaseAway."""

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int] = clock.now_ms,
        *,
        passwords: Passwords | None = None,
        endings: Sequence[Ending] = (),
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._passwords = passwords or Passwords()
        self._endings = tuple(endings)
        self._trail = Trail(database, now_ms)
        self._tickets = Tickets(database, now_ms)

    async def identify(self, account_id: str, via: str, address: str) -> Identity:
        """Who acts for an account by something they showed. Raises PenstockError `account_disabled` or `invalid_key`."""
        query = select(Account.role, Account.disabled_at_ms).where(Account.id == account_id, Account.deleted_at_ms.is_(None))
        async with self._database.session(read_only=True) as session:
            found = (await session.execute(query)).one_or_none()
        if found is None:
            raise PenstockError("invalid_key", "The account of this key was deleted.")
        if found.disabled_at_ms is not None:
            raise PenstockError("account_disabled", "The account of this key is disabled. Ask whoever runs this gateway.")
        return Identity(account_id, found.role, via, address)

    async def get(self, account_id: str) -> Account:
        """One account; a deleted one too."""
        async with self._database.session(read_only=True) as session:
            account = await session.get(Account, account_id)
        if account is None:
            raise no_account(account_id)
        return account

    async def find(self, ref: str) -> Account:
        """The account that is not deleted with this id or this e-mail address."""
        either = or_(Account.id == ref, Account.email == ref.strip().lower())
        async with self._database.session(read_only=True) as session:
            account = await session.scalar(select(Account).where(either, Account.deleted_at_ms.is_(None)))
        if account is None:
            raise no_account(ref)
        return account

    async def list(self, wanted: Wanted = Wanted(), place: Place = Place()) -> Page[Account]:  # noqa: B008  both are frozen
        """A page of accounts, newest first, the operator's before all others."""
        query = select(Account).order_by(Account.id.desc()).limit(place.limit + 1)
        query = query.where(Account.deleted_at_ms.is_not(None) if wanted.state == "deleted" else Account.deleted_at_ms.is_(None))
        if wanted.state in ("active", "disabled"):
            disabled = Account.disabled_at_ms
            query = query.where(disabled.is_(None) if wanted.state == "active" else disabled.is_not(None))
        if wanted.role is not None:
            query = query.where(Account.role == wanted.role)
        if wanted.search:
            query = query.where(
                or_(*(part.icontains(wanted.search, autoescape=True) for part in (Account.name, Account.email, Account.id)))
            )
        if place.after is not None:
            query = query.where(Account.id < place.after)
        async with self._database.session(read_only=True) as session:
            return cut((await session.scalars(query)).all(), place.limit, lambda account: account.id)

    async def create(self, who: Identity, draft: Draft) -> Account:
        """A new account. Its e-mail address counts as proven: an administrator vouches for it."""
        email = None if draft.email is None else read_email(draft.email)
        hashed = None
        if draft.password is not None:
            if email is None:
                raise PenstockError("invalid_request", "Who signs in with a password needs an e-mail address.", param="email")
            check_password(draft.password, email)
            hashed = await self._passwords.hash(draft.password)
        account = new_account(draft.name, email, hashed, draft.role, self._now_ms())
        account.prepaid = draft.prepaid
        account.limits = write_limits(change_limits(read_limits({}), draft.limits or {}))
        async with unique_email(), self._database.session() as session:
            await self.add(session, who, account)
        return account

    async def add(self, session: AsyncSession, who: Identity, account: Account) -> None:
        """Add an account, in this transaction. Raises IntegrityError when its e-mail address is another's."""
        session.add(account)
        detail = {"role": account.role, "prepaid": account.prepaid, "limits": account.limits}
        await self._trail.note(session, who, "account.create", account.id, account_id=account.id, detail=detail)
        await bump(session, REVISION)
        await session.flush()

    async def change(self, who: Identity, account_id: str, **changes: Unpack[Changes]) -> Account:
        """Change what is given."""
        columns: dict[str, Any] = dict(changes)
        if "name" in changes:
            columns["name"] = check_name(changes["name"])
        if "email" in changes:
            columns["email"] = read_email(changes["email"])
        async with unique_email(), self._database.session() as session:
            account = await (self._leaving if changes.get("role") == "member" else live)(session, account_id)
            if "limits" in changes:
                kept = {} if changes["limits"] is None else account.limits
                columns["limits"] = write_limits(change_limits(read_limits(kept), changes["limits"] or {}))
            if columns.get("email", account.email) != account.email:
                await self._tickets.forget(session, account_id)  # they went to the address that was
                columns["confirmed_at_ms"] = self._now_ms()
            for name, value in columns.items():
                setattr(account, name, value)
            told: dict[str, Any] = {name: columns[name] for name in ("role", "prepaid", "limits") if name in columns}
            await self._changed(session, who, account, "change", {**told, "changed": sorted(changes)})
        return account

    async def disable(self, who: Identity, account_id: str) -> Account:
        """Refuse its keys and its sign-ins until it is enabled again; its sessions end. What runs is finished and charged."""
        async with self._database.session() as session:
            account = await self._leaving(session, account_id)
            account.disabled_at_ms = account.disabled_at_ms or self._now_ms()
            await session.execute(delete(Session).where(Session.account_id == account_id))
            await self._changed(session, who, account, "disable")
        return account

    async def sign_out(self, who: Identity, account_id: str) -> None:
        """End all sessions of an account."""
        async with self._database.session() as session:
            await live(session, account_id)
            await session.execute(delete(Session).where(Session.account_id == account_id))
            await self._trail.note(session, who, "account.sign_out", account_id, account_id=account_id)

    async def enable(self, who: Identity, account_id: str) -> Account:
        """Accept a disabled account again."""
        async with self._database.session() as session:
            account = await live(session, account_id)
            account.disabled_at_ms = None
            await self._changed(session, who, account, "enable")
        return account

    async def delete(self, who: Identity, account_id: str) -> None:
        """Forget who the account was: its name, e-mail address and password, its sessions and tickets, where its requests came from.

        Its keys open nothing any more. What runs is finished and charged; its charges and entries stay, for the books.
        """
        async with self._database.session() as session:
            account = await self._leaving(session, account_id)
            await self._tickets.forget(session, account_id, account.email)
            await session.execute(delete(Session).where(Session.account_id == account_id))
            await session.execute(delete(Repeat).where(Repeat.account_id == account_id))
            for ending in self._endings:
                await ending(session, account_id)
            account.name, account.email, account.password = DELETED, None, None
            account.deleted_at_ms = self._now_ms()
            await self._changed(session, who, account, "delete")
            await session.flush()
            await session.execute(update(Event).where(Event.actor == account_id).values(address=""))

    async def _leaving(self, session: AsyncSession, account_id: str) -> Account:
        """An account that is about to administer no more, if that may be.

        The rows of all administrators are locked first: of two who disable each other, one is refused.
        """
        query = select(Account).where(Account.role == "admin", Account.deleted_at_ms.is_(None)).order_by(Account.id).with_for_update()
        admins = [one for one in (await session.scalars(query)).all() if one.password is not None and one.disabled_at_ms is None]
        account = await live(session, account_id)
        if account_id == OPERATOR:
            raise PenstockError("conflict", "This is the account of whoever runs the gateway. It stays an administrator's, and enabled.")
        if [one.id for one in admins] == [account_id]:
            raise PenstockError("conflict", "This is the last administrator who can sign in. Make another one first.")
        return account

    async def _changed(
        self, session: AsyncSession, who: Identity, account: Account, action: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        await self._trail.note(session, who, f"account.{action}", account.id, account_id=account.id, detail=detail)
        await bump(session, REVISION)
        await bump(session, CALLERS)


def new_account(name: str, email: str | None, hashed: str | None, role: str, now_ms: int) -> Account:
    """An account that is not in the database yet, prepaid and without limits. Raises PenstockError `invalid_request` for the name."""
    return Account(
        id=new_id("acc", now_ms),
        name=check_name(name),
        email=email,
        role=role,
        password=hashed,
        prepaid=True,
        limits={},
        created_at_ms=now_ms,
        confirmed_at_ms=now_ms,
    )


@asynccontextmanager
async def unique_email() -> AsyncIterator[None]:
    """Around a transaction that gives an account an e-mail address: says so when that is another account's."""
    try:
        yield
    except IntegrityError as broken:
        raise PenstockError("conflict", "There is an account with this e-mail address already.", param="email") from broken


async def live(session: AsyncSession, account_id: str) -> Account:
    """An account that is not deleted, and nobody else's to change until the transaction ends. Raises PenstockError `not_found`."""
    query = select(Account).where(Account.id == account_id, Account.deleted_at_ms.is_(None)).with_for_update()
    account: Account | None = await session.scalar(query)
    if account is None:
        raise no_account(account_id)
    return account


def check_name(name: str) -> str:
    """The name of an account. Raises PenstockError `invalid_request` for what cannot be one."""
    if not name or len(name) > NAME_LIMIT or not name.isprintable() or name != name.strip():
        words = f"A name has 1 to {NAME_LIMIT} printable characters, and no blanks around it."
        raise PenstockError("invalid_request", words, param="name")
    return name
