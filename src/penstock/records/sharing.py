"""Sharing: a link that shows one record to whoever has it, until it expires or is revoked."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import CursorResult, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.models import Account
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.clock import iso
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.pages import Page, Place, cut
from penstock.records.models import ShareRow
from penstock.records.service import Opened, Records

LASTS_S = 86_400
"""How long a link works unless it is said."""
LONGEST_S = 30 * 86_400
SHARES_LIMIT = 1000
"""Links of one shelf."""
_MASKED = ("headers", "body")


class Share(NamedTuple):
    """A link and its token, which is kept nowhere."""

    row: ShareRow
    token: str


class Sharing:
    """The links of one database. Methods raise PenstockError `not_found` and DatabaseAway."""

    def __init__(self, database: Database, records: Records, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._records = records
        self._now_ms = now_ms
        self._trail = Trail(database, now_ms)

    async def share(self, who: Identity, shelf: str, record_id: str, *, lasts_s: int, headers: bool, bodies: bool) -> Share:
        """A new link to a record of a shelf. Raises `conflict` when the shelf has too many already."""
        await self._records.get(shelf, record_id)
        token = secrets.token_urlsafe(32)
        now_ms = self._now_ms()
        row = ShareRow(
            id=new_id("shr", now_ms), digest=_digest(token), shelf=shelf, record_id=record_id, created_by=who.account_id,
            headers=headers, bodies=bodies, created_at_ms=now_ms, expires_at_ms=now_ms + lasts_s * 1000,
        )  # fmt: skip
        async with self._database.session() as session:
            live = select(func.count()).where(ShareRow.shelf == shelf, ShareRow.expires_at_ms > now_ms)
            if (await session.scalar(live) or 0) >= SHARES_LIMIT:
                raise PenstockError("conflict", f"There are {SHARES_LIMIT} links already. Revoke some.")
            session.add(row)
            detail = {"record_id": record_id, "headers": headers, "bodies": bodies, "lasts_s": lasts_s}
            await self._trail.note(session, who, "record.share", row.id, account_id=who.account_id, detail=detail)
        return Share(row, token)

    async def list(self, shelf: str, record_id: str | None, place: Place) -> Page[ShareRow]:
        """The links of a shelf that work, or those to one of its records, the newest first."""
        query = select(ShareRow).where(ShareRow.shelf == shelf, ShareRow.expires_at_ms > self._now_ms())
        if record_id is not None:
            query = query.where(ShareRow.record_id == record_id)
        if place.after is not None:
            query = query.where(ShareRow.id < place.after)
        async with self._database.session(read_only=True) as session:
            found = (await session.scalars(query.order_by(ShareRow.id.desc()).limit(place.limit + 1))).all()
        return cut(found, place.limit, lambda row: row.id)

    async def revoke(self, who: Identity, shelf: str, share_id: str) -> None:
        """Have a link of a shelf stop working at once."""
        gone = delete(ShareRow).where(ShareRow.id == share_id, ShareRow.shelf == shelf)
        async with self._database.session() as session:
            result = await session.execute(gone)
            assert isinstance(result, CursorResult)  # noqa: S101  what a DELETE gives
            if not result.rowcount:
                raise PenstockError("not_found", "There is no such link.")
            await self._trail.note(session, who, "record.unshare", share_id, account_id=who.account_id)

    async def open(self, token: str) -> tuple[Opened, ShareRow]:
        """What a link shows. Raises the same `not_found` whatever is wrong: no such link, expired, revoked, the record is gone.

        While the account that shared it is disabled, nothing is shown.
        """
        digest = _digest(token)
        disabled = select(Account.id).where(Account.id == ShareRow.created_by, Account.disabled_at_ms.is_not(None)).exists()
        async with self._database.session(read_only=True) as session:
            row = await session.scalar(select(ShareRow).where(ShareRow.digest == digest, ~disabled))
        # The look-up is by digest, of which nobody can choose a part; the comparison is for those who would rather not rely on that.
        if row is None or not hmac.compare_digest(row.digest, digest) or row.expires_at_ms <= self._now_ms():
            raise _nothing()
        try:
            return await self._records.get(row.shelf, row.record_id), row
        except PenstockError:
            raise _nothing() from None


def shared_shown(facts: dict[str, Any], row: ShareRow) -> dict[str, Any]:
    """What is shown of a record (`shown.opened_shown`): without whose it is, and without headers or bodies where they are not shared."""
    shown = {name: value for name, value in facts.items() if name not in ("account_id", "key_id", "rules")}
    record = shown["record"]
    if record is not None:
        hidden = [name for name, shared in zip(_MASKED, (row.headers, row.bodies), strict=True) if not shared]
        sides = {name: _without(record[name], hidden) for name in ("request", "sent", "answer", "response")}
        shown["record"] = {**sides, "phases_us": record["phases_us"]}
        if row.bodies:
            shown["record"]["ruled"] = _without(record["ruled"], ["headers"])
    return shown


def _without(side: dict[str, Any] | None, hidden: list[str]) -> dict[str, Any] | None:
    return None if side is None else {name: value for name, value in side.items() if name not in hidden}


async def purge(database: Database, now_ms: int) -> int:
    """Delete the links that have expired; how many there were."""
    async with database.session() as session:
        result = await session.execute(delete(ShareRow).where(ShareRow.expires_at_ms <= now_ms))
        assert isinstance(result, CursorResult)  # noqa: S101  what a DELETE gives
        return result.rowcount


async def export_shares(session: AsyncSession, account_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The links of an account, oldest first, for `accounts.export`. What opens them is not known here."""
    for row in await session.scalars(select(ShareRow).where(ShareRow.created_by == account_id).order_by(ShareRow.id)):
        moments = {"created_at": iso(row.created_at_ms), "expires_at": iso(row.expires_at_ms)}
        yield "record_shares", {"id": row.id, "record_id": row.record_id, "headers": row.headers, "bodies": row.bodies, **moments}


async def forget_shares(session: AsyncSession, account_id: str) -> None:
    """Have all links of an account stop working, in this transaction."""
    theirs = or_(ShareRow.shelf == account_id, ShareRow.created_by == account_id)
    await session.execute(delete(ShareRow).where(theirs))


def _nothing() -> PenstockError:
    return PenstockError("not_found", "There is nothing here: the link is wrong, has expired or was revoked.")


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()
