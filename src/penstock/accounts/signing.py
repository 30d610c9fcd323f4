"""Signing in and out: by e-mail address and password, as the first administrator, and what ends all other sessions."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.emails import read_email
from penstock.accounts.identity import Identity
from penstock.accounts.models import OPERATOR, Account, Session
from penstock.accounts.passwords import LONGEST, Passwords, check_password
from penstock.accounts.service import REVISION, Draft, check_name, live, unique_email
from penstock.accounts.sessions import Browser, Opened, Sessions, SignedIn
from penstock.accounts.throttle import Throttle, signing_in
from penstock.accounts.tickets import Tickets
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError


class Signing:
    """Opens and ends the sessions of one database."""

    def __init__(self, database: Database, passwords: Passwords, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._passwords = passwords
        self._now_ms = now_ms
        self._sessions = Sessions(database, now_ms)
        self._throttle = Throttle(database, now_ms)
        self._tickets = Tickets(database, now_ms)
        self._trail = Trail(database, now_ms)

    async def sign_in(self, email: str, password: str, browser: Browser) -> tuple[Account, Opened]:
        """A new session for whoever knows the password.

        Raises PenstockError `wrong_credentials`, the same and after the same time whatever is wrong, `too_many_requests` after too many
        failures, `overloaded`.
        """
        email = _as_kept(email)
        subjects = signing_in(email, browser.address, known=await self._is_known(email, browser.address))
        await self._throttle.admit(subjects)
        account = await self._by_email(email)
        kept = None if account is None else account.password
        good = await self._passwords.verify(kept, password[: LONGEST + 1])
        if not good or account is None or kept is None or not _may_sign_in(account):
            raise _wrong_credentials()
        hashed = await self._passwords.hash(password) if self._passwords.outdated(kept) else kept
        async with self._database.session() as session:
            account = await live(session, account.id)
            if account.password != kept or not _may_sign_in(account):
                raise _wrong_credentials()
            account.password = hashed
            await self._throttle.forgive(session, subjects)
            return account, await self.open(session, account, browser, "session")

    async def open(self, session: AsyncSession, account: Account, browser: Browser, via: str) -> Opened:
        """A session of an account, in the transaction that has found out who it is; `via` says how, for the audit trail."""
        who = Identity(account.id, account.role, via, browser.address)
        await self._trail.note(session, who, "session.create", account.id, account_id=account.id)
        return await self._sessions.open(session, account.id, browser)

    async def set_up(self, token: str, draft: Draft, browser: Browser) -> tuple[Account, Opened]:
        """Give the operator's account a name, e-mail address and password, once, and sign in to it.

        Raises PenstockError `invalid_request` for a token that does not work, `conflict` when there is an administrator already.
        """
        email, password = read_email(draft.email or ""), draft.password or ""
        name = check_name(draft.name)
        check_password(password, email)
        await self._tickets.look(token, "first_admin")
        hashed = await self._passwords.hash(password)
        async with unique_email(), self._database.session() as session:
            account = await live(session, OPERATOR)
            ticket = await self._tickets.use(session, token, "first_admin")
            if account.password is not None:
                raise PenstockError("conflict", "This gateway has been set up already. Sign in.")
            account.name, account.email, account.password, account.confirmed_at_ms = name, email, hashed, self._now_ms()
            who = Identity(account.id, account.role, ticket.id, browser.address)
            await self._trail.note(session, who, "account.set_up", account.id, account_id=account.id)
            await bump(session, REVISION)
            return account, await self.open(session, account, browser, ticket.id)

    async def check(self, account_id: str, password: str, address: str, param: str = "password") -> Account:
        """The account, if this is its password: asked again before what cannot be undone. Counted as an attempt to sign in.

        Raises PenstockError `wrong_credentials`, `too_many_requests`.
        """
        async with self._database.session(read_only=True) as session:
            account = await session.get_one(Account, account_id)
        subjects = signing_in(account.email or account_id, address, known=True)
        await self._throttle.admit(subjects)
        if not await self._passwords.verify(account.password, password[: LONGEST + 1]):
            raise PenstockError("wrong_credentials", "This is not your password.", param=param)
        async with self._database.session() as session:
            await self._throttle.forgive(session, subjects)
        return account

    async def change_password(self, signed_in: SignedIn, address: str, current: str, password: str) -> None:
        """Another password, for whoever knows the one there is. All other sessions end, and links to reset it stop working."""
        account = await self.check(signed_in.account_id, current, address, "current_password")
        check_password(password, account.email, "new_password")
        hashed = await self._passwords.hash(password)
        async with self._database.session() as session:
            found = await live(session, account.id)
            if found.password != account.password:
                raise PenstockError("conflict", "The password has been changed meanwhile. Sign in again.")
            await self.replace_password(session, signed_in.identity(address), found, hashed, but=signed_in.digest)

    async def replace_password(self, session: AsyncSession, who: Identity, account: Account, hashed: str, *, but: bytes | None) -> None:
        """Set another password, in this transaction: all sessions end but the one with that digest, and tickets stop working."""
        account.password = hashed
        await self._sessions.end_all(session, account.id, but=but)
        await self._tickets.forget(session, account.id)
        await self._trail.note(session, who, "account.password", account.id, account_id=account.id)

    async def _is_known(self, email: str, address: str) -> bool:
        """Whether someone is signed in, from this network address, to the account with this e-mail address."""
        query = select(Session.digest).join(Account, Account.id == Session.account_id)
        async with self._database.session(read_only=True) as session:
            found = await session.scalar(query.where(Account.email == email, Session.address == address).limit(1))
        return found is not None

    async def _by_email(self, email: str) -> Account | None:
        query = select(Account).where(Account.email == email, Account.deleted_at_ms.is_(None))
        async with self._database.session(read_only=True) as session:
            account: Account | None = await session.scalar(query)
        return account


def _as_kept(email: str) -> str:
    """What someone typed in the form that addresses are kept in; nothing, which nobody has, if it is no address."""
    try:
        return read_email(email)
    except PenstockError:
        return ""


def _may_sign_in(account: Account) -> bool:
    return account.confirmed_at_ms is not None and account.disabled_at_ms is None


def _wrong_credentials() -> PenstockError:
    return PenstockError("wrong_credentials", "The e-mail address and the password do not belong together, or may not sign in.")
