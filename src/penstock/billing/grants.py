"""Grants: free money with an end. It is spent before what was paid, and of grants the one that ends first is spent first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.trail import Trail
from penstock.billing.ledger import EXPIRED, GRANTS, Posting, check_amount, check_text, existing, payee, post, purse_of, unspent
from penstock.billing.models import Grant, Purse
from penstock.billing.purses import free, locked
from penstock.billing.recalls import recall
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id

_NEVER_MS = 2**63 - 1


class Gift(NamedTuple):
    """What is to be granted. `expires_at_ms` None: it does not end."""

    account_id: str
    amount_nano: int
    expires_at_ms: int | None = None
    note: str = ""


async def give(session: AsyncSession, grant_id: str, gift: Gift, now_ms: int) -> Grant:
    """Fill the free purse and keep the end of what is given; the account is locked by the caller."""
    posting = Posting(f"grant/{grant_id}", "grant", gift.account_id, "free", gift.amount_nano, GRANTS, grant_id, gift.note)
    purse = await purse_of(session, posting, now_ms)
    await _allot(session, purse)
    await post(session, posting, now_ms)
    grant = Grant(
        id=grant_id, account_id=gift.account_id, amount_nano=gift.amount_nano, left_nano=gift.amount_nano, created_at_ms=now_ms,
        expires_at_ms=gift.expires_at_ms, expired_at_ms=None, note=gift.note,
    )  # fmt: skip
    session.add(grant)
    return grant


class Grants:
    """The grants of accounts. Methods with a session are part of its transaction."""

    def __init__(self, database: Database, trail: Trail, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._trail = trail
        self._now_ms = now_ms

    async def grant(self, session: AsyncSession, who: Identity, gift: Gift) -> Grant:
        """Give an account free money."""
        now_ms = self._now_ms()
        check_amount(gift.amount_nano)
        check_text(gift.note, "note")
        if gift.expires_at_ms is not None and gift.expires_at_ms <= now_ms:
            raise PenstockError("invalid_request", "The end has already passed.", param="expires_at")
        await payee(session, gift.account_id)
        grant = await give(session, new_id("grt", now_ms), gift, now_ms)
        expires_at = gift.expires_at_ms and clock.iso(gift.expires_at_ms)
        detail = {"amount_nano": gift.amount_nano, "expires_at": expires_at}
        await self._trail.note(session, who, "grant.create", grant.id, account_id=gift.account_id, detail=detail)
        return grant

    async def end(self, session: AsyncSession, who: Identity, account_id: str, grant_id: str) -> Grant:
        """End a grant before its time; what of it is on lease goes with a later run of `expire`."""
        now_ms = self._now_ms()
        await payee(session, account_id)
        await locked(session, [free(account_id)])
        grant = await session.get(Grant, grant_id)
        if grant is None or grant.account_id != account_id:
            raise PenstockError("not_found", f"The account has no grant '{grant_id}'.", param="grant_id")
        if grant.expires_at_ms is None or grant.expires_at_ms > now_ms:
            grant.expires_at_ms = now_ms
            await session.flush()
            await _expire(session, account_id, now_ms)
            await self._trail.note(session, who, "grant.end", grant_id, account_id=account_id)
        return grant

    async def list(self, account_id: str) -> list[Grant]:
        """The grants that are not over, the one that is spent first first, with what is left of each at this moment."""
        async with self._database.session(read_only=True) as session:
            await existing(session, account_id)
            purse = await session.get(Purse, free(account_id))
            grants = await _open(session, account_id)
            if purse is not None:
                _spend(grants, purse.balance + await unspent(session, purse.id))
            session.expunge_all()  # what is left is only shown, not written
            return [grant for grant in grants if grant.left_nano]


async def expire(database: Database, now_ms: int) -> int:
    """Take back what is left of grants that have ended; how many accounts had any. Run it every minute, in any number of processes.

    What workers have on lease of it is called back first and taken by a later run; if it is spent instead, it was spent in time.
    """
    ended = select(Grant.account_id).where(Grant.expired_at_ms.is_(None), Grant.expires_at_ms <= now_ms).distinct()
    async with database.session(read_only=True) as session:
        accounts = (await session.scalars(ended)).all()
    waits = []
    for account_id in accounts:
        async with database.session() as session:
            if not await _expire(session, account_id, now_ms):
                waits.append(free(account_id))
    if waits:
        await recall(database, waits, now_ms)
    return len(accounts)


async def _expire(session: AsyncSession, account_id: str, now_ms: int) -> bool:
    """Take back what is in the purse; False when some of it is on lease."""
    purse = (await locked(session, [free(account_id)]))[free(account_id)]
    await _allot(session, purse)
    balance, whole = max(purse.balance, 0), True
    for grant in await _open(session, account_id):
        if grant.expires_at_ms is None or grant.expires_at_ms > now_ms:
            continue
        taken = min(grant.left_nano, balance)
        if taken:
            balance -= taken
            grant.left_nano -= taken
            # of one grant less is left each time, so this is an id of its own
            expiry = f"expire/{grant.id}/{grant.left_nano}"
            await post(session, Posting(expiry, "expire", account_id, "free", -taken, EXPIRED, grant.id), now_ms)
        if grant.left_nano:
            whole = False
        else:
            grant.expired_at_ms = now_ms
    await session.flush()
    return whole


async def _allot(session: AsyncSession, purse: Purse) -> None:
    """Take from the grants what was spent of the free purse since this was last done; the purse is locked."""
    _spend(await _open(session, purse.account_id), purse.balance + await unspent(session, purse.id))
    await session.flush()


def _spend(grants: Sequence[Grant], left_nano: int) -> None:
    """Let so much be left of the grants together: the first ones are spent first."""
    spent = sum(grant.left_nano for grant in grants) - left_nano
    for grant in grants:
        taken = min(max(spent, 0), grant.left_nano)
        grant.left_nano -= taken
        spent -= taken


async def _open(session: AsyncSession, account_id: str) -> list[Grant]:
    """Grants that have not expired, the one that ends first first."""
    lasts = or_(Grant.left_nano > 0, Grant.expires_at_ms.is_not(None))
    found = await session.scalars(select(Grant).where(Grant.account_id == account_id, Grant.expired_at_ms.is_(None), lasts))
    return sorted(found, key=lambda grant: (_NEVER_MS if grant.expires_at_ms is None else grant.expires_at_ms, grant.id))
