"""Joining: accounts of people who were invited, or who register themselves, and the proof that an e-mail address is theirs.

An account is made when its address is proven, and its password is chosen then: nobody can prepare one for somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from penstock.accounts.emails import read_email
from penstock.accounts.identity import Identity
from penstock.accounts.models import Account
from penstock.accounts.passwords import Passwords, check_password
from penstock.accounts.post import Post
from penstock.accounts.service import REVISION, Accounts, Role, check_name, live, new_account, unique_email
from penstock.accounts.sessions import Browser, Opened
from penstock.accounts.signing import Signing
from penstock.accounts.throttle import Throttle, asking_for_mail
from penstock.accounts.tickets import Purpose, Tickets
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError

Registration = Literal["off", "invite", "open"]
"""Who brings people in: administrators; members too, by inviting them; or everyone themselves."""


@dataclass(frozen=True, slots=True)
class Joiner:
    """What someone says of themselves when they join."""

    name: str
    password: str


class Joining:
    """Brings people into one database."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        post: Post,
        registration: Registration = "off",
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._post = post
        self._registration = registration
        self._now_ms = now_ms
        self._accounts = Accounts(database, now_ms, passwords=passwords)
        self._signing = Signing(database, passwords, now_ms)
        self._throttle = Throttle(database, now_ms)
        self._tickets = Tickets(database, now_ms)
        self._trail = Trail(database, now_ms)

    async def register(self, email: str, address: str) -> None:
        """Send a link that makes an account; nobody learns whether there is one already.

        Raises PenstockError `forbidden` where nobody may register themselves, `invalid_request`, `too_many_requests`, `overloaded`.
        """
        if self._registration != "open":
            raise PenstockError("forbidden", "Nobody can register here by themselves. Ask for an invitation.")
        email = read_email(email)
        await self._throttle.admit(asking_for_mail(email, address))
        self._post.later(self._send_link(Purpose("confirm", email=email, role="member")), "mail for a registration")

    async def invite(self, who: Identity, email: str, role: Role = "member") -> None:
        """Send someone a link that makes an account. Only administrators learn whether they have one already.

        Raises PenstockError `forbidden`, `invalid_request`, `too_many_requests`, `overloaded`; for administrators `conflict` too.
        """
        if not who.is_admin and (self._registration == "off" or role != "member"):
            raise PenstockError("forbidden", "Only administrators may invite people here.")
        email = read_email(email)
        if not who.is_admin:
            await self._throttle.admit(asking_for_mail(email, who.address or who.account_id))
        elif await self._is_taken(email):
            raise PenstockError("conflict", "There is an account with this e-mail address already.", param="email")
        async with self._database.session() as session:
            detail = {"role": role}
            await self._trail.note(session, who, "account.invite", who.account_id, account_id=who.account_id, detail=detail)
        self._post.later(self._send_link(Purpose("invite", email=email, role=role, created_by=who.account_id)), "mail for an invitation")

    async def ticket(self, who: Identity, email: str, role: Role = "member") -> str:
        """The token of such a link, for an administrator to pass on. Raises PenstockError `invalid_request`, `conflict`."""
        email = read_email(email)
        if await self._is_taken(email):
            raise PenstockError("conflict", "There is an account with this e-mail address already.", param="email")
        async with self._database.session() as session:
            await self._trail.note(session, who, "account.invite", who.account_id, account_id=who.account_id, detail={"role": role})
            return await self._tickets.make(session, Purpose("invite", email=email, role=role, created_by=who.account_id))

    async def join(self, token: str, joiner: Joiner, browser: Browser) -> tuple[Account, Opened]:
        """Make the account of an invitation or a registration, and sign in to it.

        Raises PenstockError `invalid_request`, for a token that does not work as well, and `conflict` when the address has an account.
        """
        ticket = await self._tickets.look(token, "invite", "confirm")
        if ticket.account_id is not None or ticket.email is None:
            raise PenstockError("invalid_request", "This link is for another e-mail address of an account that there is.", param="token")
        name = check_name(joiner.name)
        check_password(joiner.password, ticket.email)
        hashed = await self._passwords.hash(joiner.password)
        async with unique_email(), self._database.session() as session:
            await self._tickets.use(session, token, "invite", "confirm")
            account = new_account(name, ticket.email, hashed, ticket.role or "member", self._now_ms())
            await self._accounts.add(session, Identity(account.id, account.role, ticket.id, browser.address), account)
            return account, await self._signing.open(session, account, browser, ticket.id)

    async def ask_email(self, who: Identity, email: str, password: str) -> None:
        """Send a link to another address of one's own account, which has it once the link is used.

        Raises PenstockError `wrong_credentials`, `invalid_request`, `too_many_requests`, `overloaded`.
        """
        email = read_email(email)
        await self._signing.check(who.account_id, password, who.address)
        await self._throttle.admit(asking_for_mail(email, who.address))
        self._post.later(self._send_link(Purpose("confirm", who.account_id, email)), "mail for another address")

    async def confirm_email(self, token: str, address: str) -> None:
        """Give the account the address that the link was sent to, and tell the one it had.

        Raises PenstockError `invalid_request` for a token that does not work, `conflict` when another account has the address by now.
        """
        async with unique_email(), self._database.session() as session:
            ticket = await self._tickets.use(session, token, "confirm")
            if ticket.account_id is None:
                raise PenstockError("invalid_request", "This link makes an account: choose a name and a password too.", param="token")
            account = await live(session, ticket.account_id)
            before, account.email, account.confirmed_at_ms = account.email, ticket.email, self._now_ms()
            await self._tickets.forget(session, account.id)
            who = Identity(account.id, account.role, ticket.id, address)
            await self._trail.note(session, who, "account.change", account.id, account_id=account.id, detail={"changed": ["email"]})
            await bump(session, REVISION)
        if before is not None and before != ticket.email:
            self._post.later(self._post.send(self._post.letters.moved(before)), "mail about another address")

    async def _send_link(self, purpose: Purpose) -> None:
        """Write to the address: a link, or, to one who has an account, that there is one."""
        email, letters = purpose.email or "", self._post.letters
        if await self._is_taken(email):
            await self._post.send(letters.already(email))
            return
        async with self._database.session() as session:
            token = await self._tickets.make(session, purpose)
        if purpose.account_id is not None:
            letter = letters.new_email(email, token)
        else:
            letter = letters.invitation(email, token) if purpose.kind == "invite" else letters.confirmation(email, token)
        await self._post.send(letter)

    async def _is_taken(self, email: str) -> bool:
        query = select(Account.id).where(Account.email == email, Account.deleted_at_ms.is_(None))
        async with self._database.session(read_only=True) as session:
            return await session.scalar(query) is not None
