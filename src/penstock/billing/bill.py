"""The bill: charges by account, key and everything else that people ask for, newest first, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Subquery, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.billing.charge import COLUMNS, Charge
from penstock.billing.models import ChargeOf, ChargeRow, UsageDay
from penstock.billing.rollup import mark
from penstock.billing.selection import UNSEEN_ID, Selection, Span, between, came_ms, first_id, named, owned, rare
from penstock.billing.sums import DAY_MS, HOUR_MS, constant, of_days
from penstock.billing.usage import requests
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError

LOOKED_AT = 2_000
"""Charges that are looked at for one page, whether they are selected or not: what bounds its time."""
EXPORT_ROWS = 500
Names = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
"""The names of keys by their ids; the keys' domain knows."""
_ROW = [getattr(ChargeRow, name) for name in COLUMNS]


class Listed(NamedTuple):
    """Charges, newest first, the names of their keys, and the id that the next ones come before; None: there are no more.

    Where few of many charges are selected a page may have less than was asked for, or nothing, and others follow all the same.
    """

    charges: list[Charge]
    names: Mapping[str, str]
    before: str | None


class Range(NamedTuple):
    """Ids from `first` up to, not including, `last`."""

    first: str
    last: str


class Bill:
    """The charges of a database. Methods raise DatabaseAway."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names

    async def page(self, of: Selection, *, before: str | None = None, limit: int = 50) -> Listed:
        """Charges whose ids come before the given one. What arrives meanwhile never moves a charge to another page."""
        last = first_id(of.span.until_ms)
        ids = Range(first_id(of.span.since_ms), last if before is None else min(last, before))
        async with self._database.session(read_only=True) as session:
            after = await mark(session)
            found, floor = await _indexed(session, of, ids, after, limit + 1)
            found += await _fresh(session, of, Range(floor or ids.first, ids.last), after, limit + 1)
        found.sort(key=lambda charge: charge.id, reverse=True)
        charges = found[:limit]
        rest = charges[-1].id if len(found) > limit else floor
        return Listed(charges, await self._names_of(charges), rest)

    async def pages(self, of: Selection) -> AsyncIterator[Listed]:
        """All of them, some hundreds at a time; nothing is kept open meanwhile."""
        before: str | None = None
        while True:
            listed = await self.page(of, before=before, limit=EXPORT_ROWS)
            yield listed
            if (before := listed.before) is None:
                return

    async def count(self, of: Selection) -> int | None:
        """How many there are, without looking at each; None where the sums cannot tell."""
        if not of.summed:
            return None
        async with self._database.session(read_only=True) as session:
            return await _count(session, of)

    async def get(self, charge_id: str, account_id: str | None = None) -> Listed:
        """One charge, of this account if one is given. Raises PenstockError `not_found`."""
        mine = owned(Selection(account_id=account_id))
        async with self._database.session(read_only=True) as session:
            row = (await session.execute(select(*_ROW).where(ChargeRow.id == charge_id, *mine))).one_or_none()
        if row is None:
            raise PenstockError("not_found", "There is no such charge.")
        charge = Charge(*row)
        return Listed([charge], await self._names_of([charge]), None)

    async def names(self, key_ids: Sequence[str]) -> Mapping[str, str]:
        """The names of keys, by their ids."""
        return await self._names(key_ids) if key_ids else {}

    async def _names_of(self, charges: list[Charge]) -> Mapping[str, str]:
        return await self.names(sorted({charge.key_id for charge in charges if charge.key_id is not None}))


async def _indexed(session: AsyncSession, of: Selection, ids: Range, after: int, limit: int) -> tuple[list[Charge], str | None]:
    """Charges that the roll-up has seen; and if not all of the range was looked at, the id from which on it was."""
    if of.model is not None or of.channel is not None:
        day_ms = await _last_day(session, of, ids)
        if day_ms is None:
            return [], None
        ids = Range(ids.first, min(ids.last, first_id(day_ms + DAY_MS)))
    bound = limit if of.plain else max(limit, LOOKED_AT)
    looked_at = _candidates(of, ids, after, bound)
    selected = [*named(of, ChargeRow, session), *rare(of)]
    query = select(*_ROW).join_from(looked_at, ChargeRow, ChargeRow.id == looked_at.c.id).where(*selected)
    rows = await session.execute(query.order_by(looked_at.c.id.desc()).limit(limit))
    found = [Charge(*row) for row in rows]
    if of.plain or len(found) == limit:
        return found, None
    count, least = (await session.execute(select(func.count(), func.min(looked_at.c.id)))).one()
    return found, least if count == bound else None


def _candidates(of: Selection, ids: Range, after: int, bound: int) -> Subquery:
    """The newest ids of the account or key, or of all charges."""
    if of.account_id is None and of.key_id is None:
        query = select(ChargeRow.id.label("id")).where(*_within(ChargeRow.id, ids), ChargeRow.number + constant(0) <= after)
        return query.order_by(ChargeRow.id.desc()).limit(bound).subquery()
    column = ChargeOf.charge_id
    query = select(column.label("id")).where(*_within(column, ids), *_of_owner(of))
    return query.order_by(column.desc()).limit(bound).subquery()


async def _last_day(session: AsyncSession, of: Selection, ids: Range) -> int | None:
    """The last day on which there was anything of the model or channel: days without are not looked through."""
    query = select(UsageDay.from_ms).where(UsageDay.from_ms <= came_ms(ids.last), of_days(of.key_id), *named(of, UsageDay, session))
    if of.account_id is not None:
        query = query.where(UsageDay.account_id == of.account_id)
    return await session.scalar(query.order_by(UsageDay.from_ms.desc()).limit(1))


async def _fresh(session: AsyncSession, of: Selection, ids: Range, after: int, limit: int) -> list[Charge]:
    """Charges that the roll-up has not seen yet."""
    selected = [*_within(UNSEEN_ID, ids), *owned(of), *named(of, ChargeRow, session), *rare(of)]
    query = select(*_ROW).where(ChargeRow.number > after, *selected).order_by(UNSEEN_ID.desc()).limit(limit)
    return [Charge(*row) for row in await session.execute(query)]


async def _count(session: AsyncSession, of: Selection) -> int:
    """Whole hours from their sums, what is before and after them one by one."""
    since_ms, until_ms = of.span
    first_ms, last_ms = -(-since_ms // HOUR_MS) * HOUR_MS, until_ms // HOUR_MS * HOUR_MS
    if first_ms >= last_ms:
        return await _counted(session, of)
    ends = (Span(since_ms, first_ms), Span(last_ms, until_ms))
    whole = await requests(session, replace(of, span=Span(first_ms, last_ms)))
    return whole + sum([await _counted(session, replace(of, span=span)) for span in ends if span.since_ms < span.until_ms])


async def _counted(session: AsyncSession, of: Selection) -> int:
    """The charges of less than two hours, counted."""
    selected = [*owned(of), *named(of, ChargeRow, session)]
    if of.account_id is None and of.key_id is None:
        return await session.scalar(select(func.count()).select_from(ChargeRow).where(*between(of, ChargeRow.id), *selected)) or 0
    query = select(func.count()).select_from(ChargeOf).where(*between(of, ChargeOf.charge_id), *_of_owner(of))
    if of.model is not None or of.channel is not None:
        query = query.join(ChargeRow, ChargeRow.id == ChargeOf.charge_id).where(*selected)
    indexed = await session.scalar(query)
    fresh = (ChargeRow.number > await mark(session), *between(of, UNSEEN_ID), *selected)
    unseen = await session.scalar(select(func.count()).select_from(ChargeRow).where(*fresh))
    return (indexed or 0) + (unseen or 0)


def _of_owner(of: Selection) -> list[ColumnElement[bool]]:
    """The conditions on account and key, for the index."""
    owners = ((ChargeOf.account_id, of.account_id), (ChargeOf.key_id, of.key_id))
    return [column == wanted for column, wanted in owners if wanted is not None]


def _within(column: Any, ids: Range) -> tuple[ColumnElement[bool], ...]:
    return column >= ids.first, column < ids.last
