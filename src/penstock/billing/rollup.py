"""The roll-up: charges summed by hour, day and key, and indexed by account, behind their writing: see docs/decisions/charge-index.md."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Column,
    Insert,
    MetaData,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    tuple_,
    update,
)  # fmt: skip
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.expression import ClauseElement

from penstock.billing.models import ChargeOf, ChargeRow, Rollup
from penstock.billing.selection import came_ms, first_id, on_postgresql
from penstock.billing.sums import GROUP, HOUR_MS, account, additions, amounts, begins_ms, by_hour, negative
from penstock.infra.database import BUSY_S, Database, DatabaseAway

BATCH_ROWS = 2000
"""Charges of one transaction. On SQLite nobody else writes while they are added, for two milliseconds or three."""
REST_S = 0.005
_LOOKS = 100
_LOOK_S = 0.01
_CHECKPOINT_PAGES = 16_384
_MARK = Rollup.name == "charges"
_WITHDRAWALS = Rollup.name == "withdrawals"
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE relation = CAST('charge' AS regclass) AND mode = 'RowExclusiveLock' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_SOME = (
    select(ChargeRow.number, ChargeRow.id)
    .where(ChargeRow.number > bindparam("after"), ChargeRow.number <= bindparam("until"))
    .order_by(ChargeRow.number)
    .limit(bindparam("rows"))
    .subquery()
)
_NEXT = select(func.max(_SOME.c.number), func.count(), func.max(_SOME.c.id))
_BATCH = (ChargeRow.number > bindparam("after"), ChargeRow.number <= bindparam("last"))
_SUMS = Table(
    "charge_sums",
    MetaData(),
    *(Column(name, BigInteger if name == "from_ms" else Text) for name in GROUP),
    *(Column(name, BigInteger) for name in (*amounts(), "used_at_ms")),
    prefixes=["TEMPORARY"],
)
_HOUR = case(
    ((bindparam("first_id") <= ChargeRow.id) & (bindparam("end_id") > ChargeRow.id), bindparam("hour_ms")),
    else_=begins_ms(HOUR_MS, on_postgresql=False),
)
"""Most of a batch came in one hour: its ids need not be decoded."""
_GATHER = insert(_SUMS).from_select(_SUMS.c.keys(), by_hour(_BATCH, _HOUR))
_EMPTY = delete(_SUMS)
_MARKED, _WITHDRAWN = (select(Rollup.mark).where(row).scalar_subquery() for row in (_MARK, _WITHDRAWALS))
_AHEAD = (
    select(_MARKED, _WITHDRAWN, ChargeRow.number, ChargeRow.id, select(func.max(ChargeRow.number)).scalar_subquery())
    .where(ChargeRow.number > _MARKED)
    .order_by(ChargeRow.number)
    .limit(1)
)
_GATHERED = select(func.coalesce(func.sum(_SUMS.c.requests), 0))
_MOVE = (
    update(Rollup)
    .where(_MARK, Rollup.mark == bindparam("after"), bindparam("withdrawals") == _WITHDRAWN)
    .values(mark=bindparam("last"))
)  # fmt: skip


async def roll_up(database: Database, *, batch_rows: int = BATCH_ROWS) -> int:
    """Sum and index what was charged since the last time; how many charges that were.

    Any number of processes may do so at once: each charge is taken once. Raises DatabaseAway; what was done until then stays. When it
    is cancelled on SQLite, the batch under way is still taken, a moment later.
    """
    if database.path is None:
        return await _on_postgresql(database, batch_rows)
    return await _on_sqlite(database.path, batch_rows)


async def mark(session: AsyncSession) -> int:
    """How far the roll-up is, as this transaction sees it: charges with a greater number are in no sum yet."""
    return await session.scalar(select(Rollup.mark).where(_MARK)) or 0


async def withdraw(session: AsyncSession, charge_ids: Sequence[str]) -> None:
    """Take charges back, out of the sums and the index too. They may be written again."""
    of = ChargeRow.id.in_(charge_ids)
    await session.execute(update(Rollup).where(_WITHDRAWALS).values(mark=Rollup.mark + 1))
    at = await session.scalar(select(Rollup.mark).where(_MARK).with_for_update())
    postgresql = on_postgresql(session)
    sums = negative(by_hour((of, ChargeRow.number <= at), begins_ms(HOUR_MS, on_postgresql=postgresql)))
    for statement in additions(sums, (), on_postgresql=postgresql)[1:]:
        await session.execute(statement)
    owners = select(account(), ChargeRow.id).where(of)
    await session.execute(delete(ChargeOf).where(tuple_(ChargeOf.account_id, ChargeOf.charge_id).in_(owners)))
    await session.execute(delete(ChargeRow).where(of))
    if not postgresql:  # SQLite gives the greatest number again if its row is gone
        last = await session.scalar(select(func.max(ChargeRow.number)))
        await session.execute(update(Rollup).where(_MARK, Rollup.mark > (last or 0)).values(mark=last or 0))


async def _on_postgresql(database: Database, batch_rows: int) -> int:
    until = await _settled(database)
    rolled = 0
    while until is not None and (count := await _take(database, until, batch_rows)):
        rolled += count
        await asyncio.sleep(REST_S)
    return rolled


async def _settled(database: Database) -> int | None:
    """A number up to which all charges that there will ever be can be seen; None if there is nothing to do.

    A smaller number may be committed after a greater one. But whoever is given one holds a lock on the table until the end of
    the transaction, so those that hold one now are waited for; not for long, since the next run does as well.
    """
    async with database.session(read_only=True) as session:
        last: int | None = await session.scalar(select(func.max(ChargeRow.number)))
        if last is None or last <= await mark(session):
            return None
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


async def _take(database: Database, until: int, batch_rows: int) -> int:
    """The next charges, in one transaction that holds the mark and moves it, or none of them."""
    async with database.session() as session:
        after = await session.scalar(select(Rollup.mark).where(_MARK).with_for_update())
        last, count, _ = (await session.execute(_NEXT, {"after": after, "until": until, "rows": batch_rows})).one()
        if count:
            for statement in _postgresql_additions():
                await session.execute(statement, {"after": after, "last": last})
            await session.execute(update(Rollup).where(_MARK).values(mark=last))
        return int(count)


@cache
def _postgresql_additions() -> tuple[Insert, ...]:
    sums = by_hour(_BATCH, begins_ms(HOUR_MS, on_postgresql=True)).subquery()
    return additions(sums, _BATCH, on_postgresql=True)


async def _on_sqlite(path: Path, batch_rows: int) -> int:
    """One thread opens the connection, uses it and closes it: to close one while a statement of it runs crashes the process."""
    given_up = Event()
    try:
        return await asyncio.to_thread(_take_all, path, batch_rows, given_up)
    except sqlite3.OperationalError as failure:
        raise DatabaseAway(str(failure)) from failure
    finally:
        given_up.set()


def _take_all(path: Path, batch_rows: int, given_up: Event) -> int:
    rolled = 0
    with closing(_open(path)) as connection:
        while not given_up.is_set() and (count := _take_at_once(connection, batch_rows)):
            rolled += count
            given_up.wait(REST_S)
    return rolled


def _take_at_once(connection: sqlite3.Connection, batch_rows: int) -> int:
    """The next charges: summed beside the writers, then added by one statement, to which everything else is a trigger.

    Each statement is a transaction. One of several would hold the writers' lock while this thread waits for the interpreter,
    which a busy event loop gives it late. For the same reason they are few, and go to the driver as texts.
    """
    ahead = _execute(connection, _AHEAD).fetchall()
    if not ahead:
        return 0
    [(after, withdrawals, first, charge_id, greatest)] = ahead
    last = min(first + batch_rows - 1, greatest)  # numbers without a charge are rare: what was withdrawn
    hour_ms = came_ms(charge_id) // HOUR_MS * HOUR_MS
    hour = {"hour_ms": hour_ms, "first_id": first_id(hour_ms), "end_id": first_id(hour_ms + HOUR_MS)}
    _execute(connection, _EMPTY)
    _execute(connection, _GATHER, after=after, last=last, **hour)
    [(count,)] = _execute(connection, _GATHERED).fetchall()
    moved = _execute(connection, _MOVE, after=after, last=last, withdrawals=withdrawals)
    return int(count) if moved.rowcount else 0  # another process has taken them, or taken some of them back


def _execute(connection: sqlite3.Connection, statement: ClauseElement, **given: object) -> sqlite3.Cursor:
    text, values = _compiled(statement)
    return connection.execute(text, values | given)


@cache
def _compiled(statement: ClauseElement) -> tuple[str, dict[str, Any]]:
    """The text of a statement and the values that are part of it."""
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    return str(compiled), dict(compiled.params)


def _open(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    # The writer of charges writes the log back at moments that suit it; this limit is for when there are none.
    for pragma in ("synchronous=NORMAL", f"wal_autocheckpoint={_CHECKPOINT_PAGES}", "temp_store=MEMORY", "cache_size=-16000"):
        connection.execute(f"PRAGMA {pragma}").close()
    connection.execute(str(CreateTable(_SUMS).compile(dialect=sqlite.dialect())))
    connection.execute(_trigger())
    return connection


@cache
def _trigger() -> str:
    numbers = (literal_column("OLD.mark", BigInteger) < ChargeRow.number, literal_column("NEW.mark", BigInteger) >= ChargeRow.number)
    texts = (
        str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        for statement in additions(_SUMS, numbers, on_postgresql=False)
    )
    return f"CREATE TEMP TRIGGER take_charges AFTER UPDATE OF mark ON main.rollup WHEN NEW.name = 'charges' BEGIN {'; '.join(texts)}; END"
