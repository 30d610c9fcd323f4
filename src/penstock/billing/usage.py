"""Usage: sums of charges by hour, day, model, key, channel or account, exact at every moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, func, literal_column, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.billing.models import ChargeRow, UsageDay, UsageHour, UsageKey
from penstock.billing.rollup import mark
from penstock.billing.selection import UNSEEN_ID, Selection, Span, between, named, on_postgresql, owned
from penstock.billing.sums import DAY_MS, HOUR_MS, account, amounts, begins_ms, key, of_days, tokens
from penstock.infra.database import Database

By = Literal["hour", "day", "model", "key", "channel", "account"]
_NAMES = {"model": "model", "key": "key_id", "channel": "channel", "account": "account_id"}
_IDS = 500
_LENGTHS_MS = {"hour": HOUR_MS, "day": DAY_MS}


class Sums(msgspec.Struct, frozen=True):
    """Sums over charges; `failed` of them failed, `unpriced` had no price. `input_tokens` are neither read from nor written to a cache."""

    requests: int = 0
    failed: int = 0
    estimated: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0
    free_nano: int = 0
    duration_ms: int = 0
    first_byte_ms: int = 0


class Part(NamedTuple):
    """The sums of one hour or day (`of` is when it begins, in milliseconds), model, key, channel or account (its name or id)."""

    of: int | str
    sums: Sums


class KeyTotals(NamedTuple):
    """All that a key was ever used for."""

    requests: int = 0
    tokens: int = 0
    cost_nano: int = 0
    free_nano: int = 0
    used_at_ms: int | None = None


class Statistics:
    """Sums of the charges of a database. Methods raise DatabaseAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by(self, by: By, of: Selection) -> list[Part]:
        """The sums of whole hours, from that in which the span begins up to that in which it ends; those of nothing are left out.

        Hours and days ascending, everything else by cost, the highest first. What is selected must be `Selection.summed`.
        """
        async with self._database.session(read_only=True) as session:
            parts = await _sums(session, by, of)
        return sorted(parts, key=lambda part: (0 if by in _LENGTHS_MS else -part.sums.cost_nano, part.of))

    async def total(self, of: Selection) -> Sums:
        """The sums of everything selected, of whole hours as for `by`."""
        async with self._database.session(read_only=True) as session:
            parts = await _sums(session, None, of)
        return parts[0].sums if parts else Sums()

    async def of_keys(self, key_ids: Iterable[str]) -> dict[str, KeyTotals]:
        """All that each of these keys was ever used for; keys that never were are left out."""
        return await totals_of_keys(self._database, key_ids)


async def requests(session: AsyncSession, of: Selection) -> int:
    """How many requests of whole hours there are."""
    parts = await _sums(session, None, of, ("requests",))
    return parts[0].sums.requests if parts else 0


async def totals_of_keys(database: Database, key_ids: Iterable[str]) -> dict[str, KeyTotals]:
    """See `Statistics.of_keys`."""
    ids = sorted(set(key_ids))
    one, fields = amounts(), KeyTotals._fields
    fresh = (ChargeRow.key_id, one["requests"], tokens(one), one["cost_nano"], one["free_nano"], ChargeRow.created_at_ms)
    async with database.session(read_only=True) as session:
        after = await mark(session)
        found = {}
        for start in range(0, len(ids), _IDS):
            some = ids[start : start + _IDS]
            rows = union_all(
                select(UsageKey.key_id, *(getattr(UsageKey, name) for name in fields)).where(UsageKey.key_id.in_(some)),
                select(*fresh).where(ChargeRow.number > after, ChargeRow.key_id.in_(some)),
            ).subquery()
            key_id, *summed, used_at_ms = rows.c
            query = select(key_id, *map(func.sum, summed), func.max(used_at_ms)).group_by(key_id)
            found.update({name: KeyTotals(*map(int, numbers)) for name, *numbers in await session.execute(query)})
        return found


async def _sums(session: AsyncSession, by: By | None, of: Selection, names: Sequence[str] = Sums.__struct_fields__) -> list[Part]:
    rows = union_all(*_sources(session, by, of, names, await mark(session))).subquery().c
    found = await session.execute(select(rows.of, *(func.sum(rows[name]) for name in names)).group_by(rows.of))
    return [Part(group, Sums(**dict(zip(names, map(int, sums), strict=True)))) for group, *sums in found if any(sums)]


def _sources(session: AsyncSession, by: By | None, of: Selection, names: Sequence[str], after: int) -> list[Select[Any]]:
    """Rows to be summed: whole days, the hours before and after them, and charges that are in neither yet."""
    since_ms = of.span.since_ms // HOUR_MS * HOUR_MS
    until_ms = -(-of.span.until_ms // HOUR_MS) * HOUR_MS
    first_day_ms, last_day_ms = -(-since_ms // DAY_MS) * DAY_MS, until_ms // DAY_MS * DAY_MS
    if by == "hour" or first_day_ms >= last_day_ms:
        pieces: list[tuple[type[UsageHour | UsageDay], int, int]] = [(UsageHour, since_ms, until_ms)]
    else:
        days = (UsageDay, first_day_ms, last_day_ms)
        pieces = [(UsageHour, since_ms, first_day_ms), days, (UsageHour, last_day_ms, until_ms)]
    sources = [
        select(_group(usage, by).label("of"), *(getattr(usage, name) for name in names)).where(
            usage.from_ms >= from_ms, usage.from_ms < end_ms, *_whose(usage, by, of), *named(of, usage, session)
        )
        for usage, from_ms, end_ms in pieces
        if from_ms < end_ms
    ]
    one, whole = amounts(), replace(of, span=Span(since_ms, until_ms))
    fresh = select(_group_of_charge(session, by).label("of"), *(one[name].label(name) for name in names))
    fresh = fresh.where(ChargeRow.number > after, *between(whole, UNSEEN_ID), *owned(of), *named(of, ChargeRow, session))
    return [*sources, fresh]


def _whose(usage: type[UsageHour | UsageDay], by: By | None, of: Selection) -> list[ColumnElement[bool]]:
    whose = [] if of.account_id is None else [usage.account_id == of.account_id]
    return [*whose, of_days(of.key_id, by_key=by == "key")] if usage is UsageDay else whose


def _group(usage: type[UsageHour | UsageDay], by: By | None) -> Any:
    if by is None:
        return literal_column("''")
    if by in _LENGTHS_MS:
        return usage.from_ms // _LENGTHS_MS[by] * _LENGTHS_MS[by]
    return getattr(usage, _NAMES[by])


def _group_of_charge(session: AsyncSession, by: By | None) -> Any:
    """The same group, of a charge."""
    if by is None:
        return literal_column("''")
    if by in _LENGTHS_MS:
        return begins_ms(_LENGTHS_MS[by], on_postgresql=on_postgresql(session))
    groups: dict[str, Any] = {"model": ChargeRow.model, "key": key(), "channel": ChargeRow.channel, "account": account()}
    return groups[by]
