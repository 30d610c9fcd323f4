"""Sessions: signed-in browsers. A cookie of 256 random bits, of which only the digest is kept."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.models import Account, Session
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError

DAY_MS = 24 * 3600 * 1000
IDLE_MS = 7 * DAY_MS
"""How long a session may be unused before it ends."""
LONGEST_MS = 30 * DAY_MS
"""How long a session may last, however much it is used."""
SESSIONS_LIMIT = 50
"""Sessions of one account; signing in again ends the one that was unused for the longest time."""
_SEEN_EVERY_MS = 60_000
_AGENT_LIMIT = 200
_ID_SIZE = 12


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that holds, and whose it is."""

    account_id: str
    role: str
    digest: bytes
    csrf_token: str
    """What the browser's own pages show with every change, and other sites cannot know."""

    @property
    def id(self) -> str:
        """The name of the session in lists."""
        return public_id(self.digest)

    def identity(self, address: str) -> Identity:
        """Who acts in the session, from that address."""
        return Identity(self.account_id, self.role, "session", address)


@dataclass(frozen=True, slots=True)
class Browser:
    """What is known of the browser that signs in. `token` is the cookie it has already, whose session ends with that."""

    agent: str
    address: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session: the cookie, which is kept nowhere, its CSRF token and its end."""

    token: str
    csrf_token: str
    expires_at_ms: int


class Sessions:
    """The sessions of one database."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def open(self, session: AsyncSession, account_id: str, browser: Browser) -> Opened:
        """A new session, in the transaction that has found out who signs in."""
        now_ms = self._now_ms()
        if browser.token is not None:
            await session.execute(delete(Session).where(Session.digest == _digest(browser.token)))
        await self._make_room(session, account_id)
        token = secrets.token_hex(32)
        session.add(
            Session(
                digest=_digest(token),
                account_id=account_id,
                created_at_ms=now_ms,
                seen_at_ms=now_ms,
                expires_at_ms=now_ms + LONGEST_MS,
                agent=_line(browser.agent),
                address=browser.address,
            )
        )
        return Opened(token, csrf_token(token), now_ms + LONGEST_MS)

    async def find(self, token: str) -> SignedIn | None:
        """Whose cookie this is; None if nobody's, or if the session or the account is over. The session counts as used."""
        digest, now_ms = _digest(token), self._now_ms()
        query = (
            select(Session.account_id, Session.seen_at_ms, Account.role)
            .join(Account, Account.id == Session.account_id)
            .where(Session.digest == digest, *_holds(now_ms), Account.disabled_at_ms.is_(None), Account.deleted_at_ms.is_(None))
        )
        async with self._database.session(read_only=True) as session:
            found = (await session.execute(query)).one_or_none()
        if found is None:
            return None
        if now_ms - found.seen_at_ms >= _SEEN_EVERY_MS:
            async with self._database.session() as session:
                await session.execute(update(Session).where(Session.digest == digest).values(seen_at_ms=now_ms))
        return SignedIn(found.account_id, found.role, digest, csrf_token(token))

    async def list(self, account_id: str) -> Sequence[Session]:
        """The sessions of an account that hold, the one that was used last first."""
        query = select(Session).where(Session.account_id == account_id, *_holds(self._now_ms()))
        async with self._database.session(read_only=True) as session:
            return (await session.scalars(query.order_by(Session.seen_at_ms.desc(), Session.digest))).all()

    async def end(self, account_id: str, session_id: str) -> None:
        """End one session of an account. Raises PenstockError `not_found`."""
        digest = next((one.digest for one in await self.list(account_id) if public_id(one.digest) == session_id), None)
        if digest is None:
            raise PenstockError("not_found", f"There is no session '{session_id}'.")
        async with self._database.session() as session:
            await session.execute(delete(Session).where(Session.digest == digest))

    async def end_others(self, signed_in: SignedIn) -> None:
        """End all sessions of an account but this one."""
        async with self._database.session() as session:
            await self.end_all(session, signed_in.account_id, but=signed_in.digest)

    async def end_all(self, session: AsyncSession, account_id: str, *, but: bytes | None = None) -> None:
        """End all sessions of an account, in the transaction of what is the reason; all but the one with this digest."""
        query = delete(Session).where(Session.account_id == account_id)
        await session.execute(query if but is None else query.where(Session.digest != but))

    async def _make_room(self, session: AsyncSession, account_id: str) -> None:
        query = select(Session.digest).where(Session.account_id == account_id).order_by(Session.seen_at_ms.desc(), Session.digest)
        surplus = (await session.scalars(query.offset(SESSIONS_LIMIT - 1))).all()
        if surplus:
            await session.execute(delete(Session).where(Session.digest.in_(surplus)))


async def purge(database: Database, now_ms: int) -> int:
    """Delete the sessions that are over; returns how many there were."""
    over = (Session.expires_at_ms <= now_ms) | (Session.seen_at_ms <= now_ms - IDLE_MS)
    async with database.session() as session:
        return len((await session.scalars(delete(Session).where(over).returning(Session.digest))).all())


def csrf_token(token: str) -> str:
    """The CSRF token of a session, derived from its cookie, which it does not tell."""
    return hmac.digest(token.encode(errors="surrogatepass"), b"penstock csrf", "sha256").hex()


def public_id(digest: bytes) -> str:
    """What a session is called where others may see it: a part of its digest."""
    return f"ses_{digest[:_ID_SIZE].hex()}"


def _holds(now_ms: int) -> tuple[ColumnElement[bool], ...]:
    return (Session.expires_at_ms > now_ms, Session.seen_at_ms > now_ms - IDLE_MS)


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()


def _line(text: str) -> str:
    """What a browser calls itself, as it may be kept and shown."""
    return "".join(character for character in text if character.isprintable())[:_AGENT_LIMIT]
