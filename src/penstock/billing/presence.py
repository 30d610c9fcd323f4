"""Presence: this process says that it lives, and what its long requests have cost so far; those that have died are swept."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec
from sqlalchemy import BigInteger, ColumnElement, CursorResult, delete, func, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.billing.charge import Charge, columns, drawn
from penstock.billing.leases import close_all, square_those
from penstock.billing.models import ChargeRow, Interrupted, Lease, Worker
from penstock.billing.recalls import recalled
from penstock.billing.rollup import withdraw
from penstock.billing.treasury import Treasury
from penstock.infra.database import Database, DatabaseAway
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.kit.tasks import failure_of, happened, spawn

BEAT_S = 1.0
_log = logging.getLogger("penstock.billing")
_decoder = msgspec.json.Decoder(list[Charge])
_encoder = msgspec.json.Encoder()


class Presence:
    """One worker among those of all nodes.

    Every second it writes that it was seen, by the database's clock, with the charges that its open requests would come to if
    it died now. A worker that was not seen for `lease_s` is swept by any other that has itself been seen all that time (so
    that nobody is swept because the database was away): its running charges are posted as interrupted, its leases returned less
    what they had spent.
    """

    def __init__(
        self,
        database: Database,
        treasury: Treasury,
        running: Callable[[], list[Charge]],
        *,
        lease_s: float,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._database = database
        self._treasury = treasury
        self._running = running
        self._lease_ms = int(lease_s * 1000)
        self._now_ms = now_ms
        self.worker = ""
        self.swept = 0
        """Workers whose leases this one has returned."""
        self._seen_since_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._one = asyncio.Lock()
        """One is seen at a time: two that find themselves dead would become two workers, of which one is left behind."""

    async def start(self) -> None:
        """Become a worker. Raises DatabaseAway."""
        await self._begin()
        self._task = spawn(self._beat(), name="presence")

    async def stop(self) -> None:
        """Give back all leases and be no worker any more. Call when the books have been written."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=5)
            self._task.cancel()
        await self._treasury.stop()
        try:
            async with self._database.session() as session:
                await session.execute(delete(Worker).where(Worker.id == self.worker))
        except DatabaseAway:
            return  # another one sweeps us

    async def _begin(self) -> None:
        worker = new_id("wrk", self._now_ms())
        async with self._database.session() as session:
            seen_ms = await session.scalar(select(_now(self._database)))
            session.add(
                Worker(id=worker, node=socket.gethostname(), pid=os.getpid(), started_at_ms=seen_ms, seen_at_ms=seen_ms, running=None)
            )
        if self.worker:
            self._treasury.lost(worker)
        self._treasury.worker = self.worker = worker

    async def _beat(self) -> None:
        while not self._stopping.is_set():
            began_s = time.monotonic()
            # Whatever goes wrong, the next beat comes: a worker without one would be swept while it serves.
            failure = await failure_of(self._live(began_s))
            if failure is not None:
                self._seen_since_s = None
                if not isinstance(failure, DatabaseAway):
                    _log.error("a beat failed", exc_info=failure)
            await happened(self._stopping, max(0.05, BEAT_S - (time.monotonic() - began_s)))

    async def _live(self, began_s: float) -> None:
        await self._be_seen()
        if self._seen_since_s is None:
            self._seen_since_s = began_s
        elif (began_s - self._seen_since_s) * 1000 > self._lease_ms:
            await self.sweep()
        await self._treasury.tick()

    async def _be_seen(self) -> None:
        async with self._one:
            running = self._running()
            block = await asyncio.to_thread(_encoder.encode, running) if running else None
            async with self._database.session() as session:
                seen = update(Worker).where(Worker.id == self.worker).values(seen_at_ms=_now(self._database), running=block)
                alive = cast("CursorResult[Any]", await session.execute(seen)).rowcount == 1
                self._treasury.workers = max(1, await session.scalar(select(func.count()).select_from(Worker)) or 1)
            if not alive:
                _log.warning("this process was thought dead and its leases were swept; it goes on with new ones")
                await self._begin()
                # those that run still will be charged in the end: what was posted in their place would keep their own charge out
                await withdraw_interrupted(self._database, [charge.id for charge in running])

    async def sweep(self) -> int:
        """Return the leases of workers that have not been seen for too long; how many there were."""
        async with self._database.session(read_only=True) as session:
            silent = Worker.seen_at_ms < _now(self._database) - self._lease_ms
            dead = list(await session.scalars(select(Worker.id).where(silent, Worker.id != self.worker)))
        for worker in dead:
            async with self._database.session() as session:
                gone = delete(Worker).where(Worker.id == worker, Worker.seen_at_ms < _now(self._database) - self._lease_ms)
                running = (await session.execute(gone.returning(Worker.running))).scalars().all()
                if not running:
                    continue  # it lives, or another one was quicker
                leases = await close_all(session, worker, self._now_ms())  # first: it locks purses in the order in which all do
                posted = await post_interrupted(session, running[0], self._now_ms())
            self.swept += 1
            _log.warning("worker %s is gone: %d leases returned, %d requests charged as interrupted", worker, leases, posted)
        return len(dead)

    async def recalled(self) -> None:
        """Somebody is short of funds: give back what is not needed here."""
        await self._treasury.recalled(await recalled(self._database, self._now_ms()))


async def post_interrupted(session: AsyncSession, running: bytes | None, now_ms: int) -> int:
    """Post the charges of a worker's running requests, those that were not written before it died; how many. Its leases are closed."""
    charges = _decoded(running) if running else []
    if not charges:
        return 0
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = insert(ChargeRow).on_conflict_do_nothing(index_elements=["id"]).returning(ChargeRow.id)
    new = set((await session.execute(added, [columns(charge) for charge in charges])).scalars())
    posted = [charge for charge in charges if charge.id in new]
    session.add_all(Interrupted(charge_id=charge.id, draws=[list(draw) for draw in charge.draws]) for charge in posted)
    spent = drawn(posted)
    await _draw(session, spent)
    await square_those(session, sorted(spent), now_ms)
    return len(posted)


def _decoded(running: bytes) -> list[Charge]:
    try:
        return _decoder.decode(running)
    except msgspec.MsgspecError as failure:  # of another version, perhaps: its leases are returned all the same
        _log.error("the running requests of a worker that died cannot be read and are not charged: %s", failure)
        return []


async def withdraw_interrupted(database: Database, charge_ids: Iterable[str]) -> int:
    """Take back the interrupted charges of requests whose own charges have turned up, in a journal; how many there were."""
    ids = list(charge_ids)
    async with database.session(read_only=True) as session:
        known = list(await session.scalars(select(Interrupted.charge_id).where(Interrupted.charge_id.in_(ids))))
    if not known:
        return 0
    async with database.session() as session:
        gone = delete(Interrupted).where(Interrupted.charge_id.in_(known)).returning(Interrupted.charge_id, Interrupted.draws)
        rows = (await session.execute(gone)).all()
        await withdraw(session, [charge_id for charge_id, _ in rows])
        spent: dict[str, int] = {}
        for _, draws in rows:
            for lease_id, units in draws:
                spent[lease_id] = spent.get(lease_id, 0) - units
        await _draw(session, spent)
    return len(rows)


async def _draw(session: AsyncSession, spent: dict[str, int]) -> None:
    for lease_id, units in sorted(spent.items()):
        await session.execute(update(Lease).where(Lease.id == lease_id).values(spent=Lease.spent + units))


def _now(database: Database) -> ColumnElement[int]:
    """The database's own clock, in milliseconds: the only one that all workers share."""
    if database.path is None:
        return literal_column("(extract(epoch from clock_timestamp()) * 1000)::bigint", BigInteger)
    return literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", BigInteger)
