"""The roll-up: charges summed by hour, day and key, and indexed by account, behind their writing. See docs/decisions/charge-index.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CursorResult,
    Insert,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.models import OPERATOR
from penstock.billing.models import ChargeOf, ChargeRow, Rollup, UsageDay, UsageHour, UsageKey
from penstock.billing.selection import first_id
from penstock.infra.database import Database

Columns = Mapping[str, Any]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BATCH_ROWS = 1000
"""Charges of one transaction: on SQLite nobody else writes meanwhile, for some milliseconds."""
REST_S = 0.005
MOST = 2**50
"""What one charge adds to a sum at most: a broken provider must not make the sums overflow."""
CEILING = 2**53
"""What the sum of a group stays at."""
_LOOKS = 100
_LOOK_S = 0.01
_MARK = Rollup.name == "charges"
_BATCH = (ChargeRow.number > bindparam("after"), ChargeRow.number <= bindparam("last"))
_TIMES = select(func.substr(ChargeRow.id, 1, 11)).where(*_BATCH).distinct()
"""The times in the ids of a batch to some 17 minutes: without the last five of their hexadecimal digits."""
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE relation = CAST('charge' AS regclass) AND mode = 'RowExclusiveLock' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


async def roll_up(database: Database) -> int:
    """Sum and index what was charged since the last time; how many charges that were.

    Any number of processes may do so at once: each charge is taken once. Raises DatabaseAway; what was done until then stays.
    """
    last = await _settled(database)
    rolled = 0
    while last is not None and (count := await _take(database, last)):
        rolled += count
        await asyncio.sleep(REST_S)
    return rolled


async def mark(session: AsyncSession) -> int:
    """How far the roll-up is, as this transaction sees it: charges with a greater number are in no sum yet."""
    return await session.scalar(select(Rollup.mark).where(_MARK)) or 0


def account() -> ColumnElement[str]:
    """Whose a charge is; the operator's, if nobody said."""
    return func.coalesce(ChargeRow.account_id, OPERATOR)


def key() -> ColumnElement[str]:
    """The key of a charge, empty for none."""
    return func.coalesce(ChargeRow.key_id, "")


@cache
def amounts() -> Columns:
    """What one charge adds to each of the sums, which are the columns of `UsageHour` and `UsageDay`."""
    row, one, none = ChargeRow, _constant(1), _constant(0)
    failed = and_(row.outcome != "client_gone", or_(row.outcome != "complete", row.status >= 400))
    flags = {"failed": failed, "estimated": row.estimated, "unpriced": row.price_version.is_(None)}
    numbers = (
        row.input_tokens, row.cache_read_tokens, row.output_tokens, row.reasoning_tokens, row.cost_nano, row.free_nano, row.duration_ms,
        row.first_byte_ms,
    )  # fmt: skip
    return {
        "requests": one,
        **{name: case((flag, one), else_=none) for name, flag in flags.items()},
        **{number.key: _bounded(number) for number in numbers},
        "cache_write_tokens": _bounded(row.cache_write_5m_tokens) + _bounded(row.cache_write_1h_tokens),
    }


async def _settled(database: Database) -> int | None:
    """A number up to which all charges that there will ever be can be seen; None if there is nothing to do.

    On PostgreSQL a smaller number may be committed after a greater one. Whoever is given one holds a lock on the table until
    the end of the transaction, so those that hold one now are waited for; not for long, since the next run does as well.
    """
    async with database.session(read_only=True) as session:
        last: int | None = await session.scalar(select(func.max(ChargeRow.number)))
        if last is None or last <= await mark(session):
            return None
    if database.path is not None:
        return last
    writers = await _writers(database)
    for _ in range(_LOOKS):
        if not writers:
            return last
        await asyncio.sleep(_LOOK_S)
        writers &= await _writers(database)
    return None


async def _writers(database: Database) -> set[str]:
    async with database.session(read_only=True) as session:
        return set(await session.scalars(_WRITERS))


async def _take(database: Database, last: int) -> int:
    """The next charges, `last` at most, in one transaction that moves the mark, or none of them."""
    async with database.session() as session:
        after = await session.scalar(select(Rollup.mark).where(_MARK).with_for_update())
        some = select(ChargeRow.number).where(ChargeRow.number > after, ChargeRow.number <= last).order_by(ChargeRow.number)
        upto = await session.scalar(select(func.max(some.limit(BATCH_ROWS).subquery().c.number)))
        if upto is None:
            return 0
        batch = {"after": after, "last": upto}
        add = _additions(on_postgresql=database.path is None)
        taken = cast("CursorResult[Any]", await session.execute(add.index, batch))
        await session.execute(add.to_keys, batch)
        times = (await session.scalars(_TIMES, batch)).all()
        for statement, length_ms in ((add.to_hours, HOUR_MS), (add.to_days, DAY_MS)):
            for from_ms in sorted({int(time[4:] + end, 16) // length_ms * length_ms for time in times for end in ("00000", "fffff")}):
                ids = {"first_id": first_id(from_ms), "end_id": first_id(from_ms + length_ms)}
                await session.execute(statement, {**batch, **ids, "from_ms": from_ms})
        await session.execute(update(Rollup).where(_MARK).values(mark=upto))
        return taken.rowcount


class _Additions(NamedTuple):
    """The statements that take a batch; those to hours and days take what of it came in one of them."""

    index: Insert
    to_hours: Insert
    to_days: Insert
    to_keys: Insert


@cache
def _additions(*, on_postgresql: bool) -> _Additions:
    insert = postgresql.insert if on_postgresql else sqlite.insert
    row = ChargeRow
    owners = {"account_id": account(), "charge_id": row.id, "key_id": key(), "model": row.model}
    index = insert(ChargeOf.__table__).from_select(list(owners), select(*owners.values()).where(*_BATCH))
    from_ms = bindparam("from_ms", type_=BigInteger())
    group = {"account_id": account(), "from_ms": from_ms, "key_id": key(), "model": row.model, "channel": row.channel}
    piece = (*_BATCH, row.id >= bindparam("first_id"), row.id < bindparam("end_id"))
    hours, days = (_add(insert(usage.__table__), group, amounts(), where=piece) for usage in (UsageHour, UsageDay))
    return _Additions(index, hours, days, _sums_of_keys(insert(UsageKey.__table__)))


def _sums_of_keys(into: Any) -> Insert:
    one = amounts()
    tokens = one["input_tokens"] + one["cache_read_tokens"] + one["cache_write_tokens"] + one["output_tokens"]
    added = {"requests": one["requests"], "tokens": tokens, "cost_nano": one["cost_nano"], "free_nano": one["free_nano"]}
    return _add(into, {"key_id": key()}, added, {"used_at_ms": ChargeRow.created_at_ms}, where=_BATCH)


def _add(into: Any, group: Columns, added: Columns, latest: Columns | None = None, *, where: Sequence[ColumnElement[bool]]) -> Insert:
    """Add charges to the sums of their groups, and keep the latest of something."""
    latest = latest or {}
    rows = select(*(column.label(name) for name, column in {**group, **added, **latest}.items())).where(*where).subquery().c
    sums = [func.sum(rows[name]) for name in added] + [func.max(rows[name]) for name in latest]
    groups = [rows[name] for name in group]
    statement = into.from_select([*group, *added, *latest], select(*groups, *sums).group_by(*groups))
    old, new = statement.table.c, statement.excluded
    ceiling = _constant(CEILING)
    grown = {name: case((old[name] > ceiling - new[name], ceiling), else_=old[name] + new[name]) for name in added}
    later = {name: case((old[name] > new[name], old[name]), else_=new[name]) for name in latest}
    updated: Insert = statement.on_conflict_do_update(index_elements=list(group), set_={**grown, **later})
    return updated


def _bounded(number: Any) -> ColumnElement[int]:
    none, most = _constant(0), _constant(MOST)
    return case((number < none, none), (number > most, most), else_=number)


def _constant(number: int) -> ColumnElement[int]:
    """A number as part of the statement: there are too many to be parameters."""
    return literal_column(str(number), BigInteger())
