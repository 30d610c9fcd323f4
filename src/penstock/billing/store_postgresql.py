"""Charges in PostgreSQL: one connection of its own on the loop, one statement per group."""

from __future__ import annotations

from typing import Any

import asyncpg  # type: ignore[import-untyped]
from msgspec.structs import astuple
from sqlalchemy import ARRAY, BigInteger, Text, Update, bindparam, cast, func, make_url, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from penstock.billing.charge import COLUMNS, WIDTH, Charge
from penstock.billing.models import ChargeRow, Lease
from penstock.billing.store import Durability
from penstock.infra.database import COMMAND_S, CONNECT_S

CLOSE_S = 1


class PostgresqlStore:
    """One array per column and one text for groups of any size; a lost connection is made again by the next write."""

    def __init__(self, url: str, durability: Durability) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        # "process" leaves the server as its owner set it up; "power" insists
        self._server_settings = {"synchronous_commit": "on"} if durability == "power" else {}
        self._connection: Any = None

    def quick(self, charges: list[Charge]) -> bool:
        """Never: there is a round trip to wait for."""
        return False

    async def write(self, charges: list[Charge]) -> None:
        """Commit the charges; see `Store`."""
        if self._connection is None:
            self._connection = await asyncpg.connect(
                self._dsn, timeout=CONNECT_S, command_timeout=COMMAND_S, server_settings=self._server_settings
            )
        written = False
        try:
            columns = zip(*(astuple(charge)[:WIDTH] for charge in charges), strict=True) if charges else ([] for _ in COLUMNS)
            draws = [(charge.id, *draw) for charge in charges for draw in charge.draws]
            if draws:
                await self._connection.execute(_INSERT_AND_DRAW, *zip(*draws, strict=True), *columns)
            else:
                await self._connection.execute(_INSERT, *columns)
            written = True
        finally:
            if not written:
                self._connection.terminate()  # without asking the server, which may be gone
                self._connection = None

    async def close(self) -> None:
        """Say goodbye to the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(timeout=CLOSE_S)


def _insert() -> Insert:
    """One array per column."""
    columns = ChargeRow.__table__.columns
    arrays = (bindparam(name, type_=ARRAY(columns[name].type)) for name in COLUMNS)
    posted = func.unnest(*arrays).table_valued(*COLUMNS, name="posted").render_derived()
    return insert(ChargeRow).from_select(COLUMNS, select(*posted.c)).on_conflict_do_nothing(index_elements=["id"])


def _insert_and_draw() -> Update:
    """The same, and what those that were not there before draw of leases: three arrays before, of charges, leases and units."""
    new = _insert().returning(ChargeRow.id).cte("new")
    arrays = (bindparam(name, type_=ARRAY(kind)) for name, kind in (("of_charge", Text()), ("of_lease", Text()), ("units", BigInteger())))
    draw = func.unnest(*arrays).table_valued("charge_id", "lease_id", "units", name="draw").render_derived()
    due = (
        select(draw.c.lease_id, cast(func.sum(draw.c.units), BigInteger).label("units"))
        .join_from(draw, new, new.c.id == draw.c.charge_id)
        .group_by(draw.c.lease_id)
        .cte("due")
    )
    # in the order in which everybody locks them, or two would wait for each other
    mine = select(Lease.id).where(Lease.id.in_(select(due.c.lease_id))).order_by(Lease.id).with_for_update(key_share=True).cte("mine")
    return update(Lease).where(Lease.id == due.c.lease_id, Lease.id == mine.c.id).values(spent=Lease.spent + due.c.units)


def _text(statement: Insert | Update) -> str:
    return str(statement.compile(dialect=dialect()))  # type: ignore[no-untyped-call]


_INSERT = _text(_insert())
_INSERT_AND_DRAW = _text(_insert_and_draw())
