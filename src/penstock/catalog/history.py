"""History: writes down which prices are charged, and decides which official ones are in force. Off the hot path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import CursorResult, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.catalog.jumps import find_jump
from penstock.catalog.models import PriceInForce, PriceUsed
from penstock.catalog.prices import Price, pack, unpack
from penstock.catalog.snapshot import Found, Snapshot
from penstock.infra.database import Database
from penstock.infra.revisions import bump

REVISION = "prices"
"""Moves with every change of overrides, multipliers, used prices and prices in force."""
_log = logging.getLogger("penstock.catalog")


class Used(NamedTuple):
    """A price, and the model that it was first used for."""

    provider: str
    model: str
    price: Price


class History:
    """What is to be written down of the prices that were looked up. There are never more of them than there are prices."""

    def __init__(self, database: Database, now_ms: Callable[[], int], jump_factor: int) -> None:
        self._database = database
        self._now_ms = now_ms
        self._jump_factor = jump_factor
        self._used: dict[str, Used] = {}
        self._official: dict[tuple[str, str], Price] = {}
        self._said: set[str] = set()

    @property
    def waits(self) -> bool:
        """There is something to write."""
        return bool(self._used or self._official)

    def note(self, provider: str, model: str, found: Found, snapshot: Snapshot) -> None:
        """Note that a model was priced, if the snapshot does not show that this is written down already."""
        for price in (found.price, found.official):
            if price is not None and price.version not in snapshot.used:
                self._used[price.version] = Used(provider, model, price)
        if found.official is not None:
            from penstock.catalog.official import subject  # noqa: PLC0415  it is imported: the price is its own

            names = subject(found.official.version)
            held, version = snapshot.in_force.get(names), found.official.version
            # Once by each process: where releases are mixed, they would contradict each other without end.
            if version not in self._said and (held is None or version != (held.pending_version or held.version)):
                self._official[names] = found.official

    async def write(self) -> None:
        """Write what was noted. Raises DatabaseAway, and then keeps it for the next time."""
        used, official = self._used, self._official
        self._used, self._official = {}, {}
        try:
            async with self._database.session() as session:
                changed = await write_used(session, [used[version] for version in sorted(used)], self._now_ms())
                for names in sorted(official):
                    changed |= await self._compare(session, names, official[names])
                if changed:
                    await bump(session, REVISION)
            self._said.update(price.version for price in official.values())
        except BaseException:
            self._used, self._official = used | self._used, official | self._official
            raise

    async def _compare(self, session: AsyncSession, names: tuple[str, str], price: Price) -> bool:
        """Put an official price in force, or let it wait; whether anything changed."""
        provider, model = names
        facts = {"provider": provider, "model": model, "version": price.version, "pending_version": None, "changed_at_ms": self._now_ms()}
        if await _insert(session, PriceInForce, [facts]):
            return True
        mine = select(PriceInForce).where(PriceInForce.provider == provider, PriceInForce.model == model)
        row = (await session.scalars(mine.with_for_update())).one()
        if price.version == (row.pending_version or row.version):
            return False
        jump = await self._jump(session, row.version, price)
        if jump is None:
            row.version, row.pending_version = price.version, None
        else:
            row.pending_version = price.version
            _log.warning("the official price of %s/%s jumps and waits to be confirmed: %s", provider, model, jump)
        row.changed_at_ms = self._now_ms()
        return True

    async def _jump(self, session: AsyncSession, version: str, price: Price) -> object | None:
        packed = await session.scalar(select(PriceUsed.price).where(PriceUsed.version == version))
        if packed is None or version == price.version:
            return None
        return find_jump(unpack(version, packed), price, self._jump_factor)


async def write_used(session: AsyncSession, used: Sequence[Used], now_ms: int) -> bool:
    """Keep prices for as long as the database lives; whether any of them was not kept yet."""
    rows = [
        {"version": price.version, "provider": provider, "model": model, "price": pack(price), "first_used_at_ms": now_ms}
        for provider, model, price in used
    ]
    return bool(rows) and await _insert(session, PriceUsed, rows) > 0


async def _insert(session: AsyncSession, table: type[PriceUsed | PriceInForce], rows: list[dict[str, Any]]) -> int:
    """Insert rows that are not there yet; how many were not."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    done = await session.execute(insert(table).values(rows).on_conflict_do_nothing())
    return cast("CursorResult[Any]", done).rowcount
