"""Recovery: a new password for whoever reads the account's mail."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from penstock.accounts.emails import read_email
from penstock.accounts.identity import Identity
from penstock.accounts.models import Account
from penstock.accounts.passwords import Passwords, check_password
from penstock.accounts.post import Post
from penstock.accounts.service import live
from penstock.accounts.sessions import Browser, Opened
from penstock.accounts.signing import Signing
from penstock.accounts.throttle import Throttle, asking_for_mail
from penstock.accounts.tickets import Purpose, Tickets
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError


class Recovery:
    """Replaces forgotten passwords."""

    def __init__(self, database: Database, passwords: Passwords, post: Post, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._passwords = passwords
        self._post = post
        self._throttle = Throttle(database, now_ms)
        self._tickets = Tickets(database, now_ms)
        self._trail = Trail(database, now_ms)
        self._signing = Signing(database, passwords, now_ms)

    async def ask(self, email: str, address: str) -> None:
        """Send a link to the address, if there is an account with it that may sign in; nobody learns whether there is.

        Raises PenstockError `invalid_request`, `too_many_requests`, `overloaded`.
        """
        email = read_email(email)
        await self._throttle.admit(asking_for_mail(email, address))
        self._post.later(self._send(email), "mail for a new password")

    async def ticket(self, who: Identity, account_id: str) -> str:
        """The token of such a link, for an administrator to pass on."""
        async with self._database.session() as session:
            account = await live(session, account_id)
            if account.email is None:
                raise PenstockError("conflict", "This account has no e-mail address, so nobody can sign in to it. Give it one first.")
            await self._trail.note(session, who, "account.password_reset", account_id, account_id=account_id)
            return await self._tickets.make(session, Purpose("reset", account_id, account.email, created_by=who.account_id))

    async def send(self, who: Identity, account_id: str) -> None:
        """Send such a link to an account. Raises PenstockError `not_found`, `conflict`, `overloaded`."""
        async with self._database.session(read_only=True) as session:
            account = await session.get(Account, account_id)
        token = await self.ticket(who, account_id)
        if account is not None and account.email is not None:
            self._post.later(self._post.send(self._post.letters.reset(account.email, token)), "mail for a new password")

    async def complete(self, token: str, password: str, browser: Browser) -> tuple[Account, Opened]:
        """Set another password for whoever has the token, end all sessions, and sign in.

        Raises PenstockError `invalid_request` for a token that does not work, `conflict` for an account that is disabled.
        """
        ticket = await self._tickets.look(token, "reset")
        check_password(password, ticket.email)
        hashed = await self._passwords.hash(password)
        async with self._database.session() as session:
            account = await live(session, ticket.account_id or "")
            await self._tickets.use(session, token, "reset")
            if account.disabled_at_ms is not None:
                raise PenstockError("conflict", "This account is disabled. Ask whoever runs this gateway.")
            who = Identity(account.id, account.role, ticket.id, browser.address)
            await self._signing.replace_password(session, who, account, hashed, but=None)
            await self._throttle.forget(session, ticket.email or "")
            return account, await self._signing.open(session, account, browser, ticket.id)

    async def _send(self, email: str) -> None:
        able = (Account.deleted_at_ms.is_(None), Account.disabled_at_ms.is_(None), Account.confirmed_at_ms.is_not(None))
        async with self._database.session() as session:
            account_id = await session.scalar(select(Account.id).where(Account.email == email, *able))
            if account_id is None:
                return
            token = await self._tickets.make(session, Purpose("reset", account_id, email))
        await self._post.send(self._post.letters.reset(email, token))
