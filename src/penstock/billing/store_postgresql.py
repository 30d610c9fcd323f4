"""Charges in PostgreSQL: one connection of its own on the loop, one statement per group."""

from __future__ import annotations

from typing import Any

import asyncpg  # type: ignore[import-untyped]
from msgspec.structs import astuple
from sqlalchemy import ARRAY, bindparam, func, make_url, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from penstock.billing.charge import Charge
from penstock.billing.models import ChargeRow
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
            columns = zip(*map(astuple, charges), strict=True) if charges else ([] for _ in Charge.__struct_fields__)
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


def _insert() -> str:
    table = ChargeRow.__table__
    names = [column.name for column in table.columns]
    arrays = (bindparam(column.name, type_=ARRAY(column.type)) for column in table.columns)
    posted = func.unnest(*arrays).table_valued(*names, name="posted").render_derived()
    statement = insert(ChargeRow).from_select(names, select(*posted.c)).on_conflict_do_nothing(index_elements=["id"])
    return str(statement.compile(dialect=dialect()))  # type: ignore[no-untyped-call]


_INSERT = _insert()
