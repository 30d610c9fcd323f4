"""Sums of charges: what each charge adds to which of them, as expressions and statements."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Table,
    Text,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from penstock.accounts.models import OPERATOR
from penstock.billing.models import ALL_KEYS, ChargeOf, ChargeRow, UsageDay, UsageHour, UsageKey
from penstock.infra.database import Base

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MOST = 2**50
"""What one charge adds to a sum at most: a broken provider must not make the sums overflow."""
CEILING = 2**53
"""What a sum stays at."""
Columns = Mapping[str, ColumnElement[Any]]


def account() -> ColumnElement[str]:
    """Whose a charge is; the operator's, if nobody said."""
    return func.coalesce(ChargeRow.account_id, OPERATOR)


def key() -> ColumnElement[str]:
    """The key of a charge, empty for none."""
    return func.coalesce(ChargeRow.key_id, "")


def begins_ms(length_ms: int, *, on_postgresql: bool) -> ColumnElement[int]:
    """When the hour or day begins in which a charge's request came: that moment is in the id, as 12 hexadecimal digits."""
    place = "strpos" if on_postgresql else "instr"
    digits = (f"CAST({place}('0123456789abcdef', substr(charge.id, {5 + index}, 1)) - 1 AS BIGINT)" for index in range(12))
    came_ms = " + ".join(f"{digit} * {16 ** (11 - index)}" for index, digit in enumerate(digits))
    return literal_column(f"({came_ms}) / {length_ms} * {length_ms}", BigInteger())


@cache
def amounts() -> Columns:
    """What one charge adds to each of the sums, which are the columns of `UsageHour` and `UsageDay`."""
    row, one, none = ChargeRow, constant(1), constant(0)
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


def tokens(of: Any) -> ColumnElement[int]:
    """All tokens of a charge or of a row of sums, the expressions or columns of which these are."""
    total: ColumnElement[int] = of["input_tokens"] + of["cache_read_tokens"] + of["cache_write_tokens"] + of["output_tokens"]
    return total


GROUP = ("account_id", "from_ms", "key_id", "model", "channel")


def by_hour(where: tuple[ColumnElement[bool], ...], from_ms: ColumnElement[int]) -> Select[Any]:
    """Charges summed by `GROUP`, and when the last of each group was charged."""
    row = ChargeRow
    group = (account(), from_ms, key(), row.model, row.channel)
    one: dict[str, Any] = {**dict(zip(GROUP, group, strict=True)), **amounts(), "used_at_ms": row.created_at_ms}
    rows = select(*(column.label(name) for name, column in one.items())).where(*where).subquery().c
    groups = [rows[name] for name in GROUP]
    sums = (func.sum(rows[name]).label(name) for name in amounts())
    return select(*groups, *sums, func.max(rows.used_at_ms).label("used_at_ms")).group_by(*groups)


def negative(hours: Select[Any]) -> FromClause:
    """Sums by hour that take away what those add."""
    sums: Any = hours.subquery().c
    return select(*(sums[name] for name in (*GROUP, "used_at_ms")), *((-sums[name]).label(name) for name in amounts())).subquery()


def additions(sums: FromClause, index: tuple[ColumnElement[bool], ...], *, on_postgresql: bool) -> tuple[Insert, ...]:
    """The statements that add sums by hour to all tables of sums, and the charges they are of to the index."""
    insert = postgresql.insert if on_postgresql else sqlite.insert
    owners = {"account_id": account(), "charge_id": ChargeRow.id, "key_id": key(), "model": ChargeRow.model}
    hours: dict[str, Any] = {name: sums.c[name] for name in GROUP}
    days = {**hours, "from_ms": sums.c.from_ms // constant(DAY_MS) * constant(DAY_MS)}
    all_keys: Any = literal_column(f"CAST('{ALL_KEYS}' AS TEXT)", Text())  # PostgreSQL does not group by a mere constant
    added = {name: sums.c[name] for name in amounts()}
    of_key = {"requests": sums.c.requests, "tokens": tokens(sums.c), "cost_nano": sums.c.cost_nano, "free_nano": sums.c.free_nano}
    return (
        insert(_table(ChargeOf)).from_select(list(owners), select(*owners.values()).where(*index)),
        _add(insert(_table(UsageHour)), hours, added, {}),
        _add(insert(_table(UsageDay)), days, added, {}),
        _add(insert(_table(UsageDay)), {**days, "key_id": all_keys}, added, {}),
        _add(insert(_table(UsageKey)), {"key_id": sums.c.key_id}, of_key, {"used_at_ms": sums.c.used_at_ms}),
    )


def _add(into: Any, group: Columns, added: Columns, latest: Columns) -> Insert:
    """Add to the sums of groups, and keep the latest of something."""
    sums = (*(func.sum(column) for column in added.values()), *(func.max(column) for column in latest.values()))
    found = select(*group.values(), *sums).where(constant(1) == constant(1)).group_by(*group.values())
    statement = into.from_select([*group, *added, *latest], found)
    old, new, ceiling = statement.table.c, statement.excluded, constant(CEILING)
    grown = {name: case((old[name] > ceiling - new[name], ceiling), else_=old[name] + new[name]) for name in added}
    later = {name: case((old[name] > new[name], old[name]), else_=new[name]) for name in latest}
    updated: Insert = statement.on_conflict_do_update(index_elements=list(group), set_={**grown, **later})
    return updated


def _table(of: type[Base]) -> Table:
    return cast("Table", of.__table__)


def _bounded(number: Any) -> ColumnElement[int]:
    none, most = constant(0), constant(MOST)
    return case((number < none, none), (number > most, most), else_=number)


def of_days(key_id: str | None, *, by_key: bool = False) -> ColumnElement[bool]:
    """The rows of `UsageDay` that answer a question: those of each key if it is about keys, else those of all together."""
    about_keys = by_key or key_id is not None
    return UsageDay.key_id != ALL_KEYS if about_keys else UsageDay.key_id == ALL_KEYS


def constant(number: int) -> ColumnElement[int]:
    """A number as part of the statement: there are too many for parameters, and PostgreSQL does not group by those."""
    return literal_column(str(number), BigInteger())
