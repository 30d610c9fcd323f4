"""What was charged: lists of charges and their totals, for people and programs that ask."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, ColumnElement, case, cast, func, select

from penstock.billing.charge import Charge
from penstock.billing.models import ChargeRow
from penstock.infra.database import Database

_COLUMNS = list(ChargeRow.__table__.columns)


class Span(NamedTuple):
    """From `since_ms` up to, not including, `until_ms`; by the time in the ids, which is when the requests came."""

    since_ms: int
    until_ms: int


class Totals(msgspec.Struct):
    """Sums over charges; `unpriced` of them had no price."""

    requests: int
    cost_nano: int
    unpriced: int
    estimated: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int


async def find(
    database: Database, span: Span, *, key_id: str | None = None, before_id: str | None = None, limit: int = 100
) -> list[Charge]:
    """Charges, newest first, of one key or of all. The next page is what comes before the last one's id."""
    query = select(*_COLUMNS).where(*_within(span, key_id)).order_by(ChargeRow.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(ChargeRow.id < before_id)
    async with database.session(read_only=True) as session:
        return [Charge(*row) for row in await session.execute(query)]


async def totals(database: Database, span: Span, *, key_id: str | None = None) -> Totals:
    """The sums of a span of time, of one key or of all."""
    sums = {name: getattr(ChargeRow, name) for name in Totals.__struct_fields__ if name.endswith(("_nano", "_tokens"))}
    counts = {"unpriced": ChargeRow.price_version.is_(None), "estimated": ChargeRow.estimated}
    columns = {
        "requests": func.count(),
        **{name: _sum(column) for name, column in sums.items()},
        **{name: _sum(case((condition, 1), else_=0)) for name, condition in counts.items()},
    }
    async with database.session(read_only=True) as session:
        found = await session.execute(select(*(column.label(name) for name, column in columns.items())).where(*_within(span, key_id)))
    return Totals(**found.mappings().one())


def _within(span: Span, key_id: str | None) -> list[ColumnElement[bool]]:
    conditions = [ChargeRow.id >= f"req_{span.since_ms:012x}", ChargeRow.id < f"req_{span.until_ms:012x}"]
    return conditions if key_id is None else [*conditions, ChargeRow.key_id == key_id]


def _sum(of: Any) -> ColumnElement[int]:
    # PostgreSQL sums bigints into a numeric, which would arrive as a Decimal
    return cast(func.coalesce(func.sum(of), 0), BigInteger)
