"""PostgreSQL: a lost connection is made again, and durability is the server's business unless power is asked for."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from bank import Bank, charge_of
from penstock.billing.leases import Order, fill
from penstock.billing.store_postgresql import PostgresqlStore
from penstock.infra.database import Database


@pytest.fixture
def url(postgres):
    """A migrated database."""
    url = postgres.create(migrated=True)
    yield url
    postgres.drop(url)


async def ask(url: str, sql: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_lost_connection_is_made_again(url, stored, new_charge):
    store = PostgresqlStore(url, "process")
    await store.write([first := new_charge()])
    await ask(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    second = new_charge()
    [failure] = await asyncio.gather(store.write([second]), return_exceptions=True)  # asyncpg has many ways to say it
    assert isinstance(failure, Exception)
    await store.write([second])
    await store.close()
    assert stored(url) == [first, second]


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_power_insists_on_a_synchronous_commit(url, durability):
    name = url.rpartition("?")[0].rpartition("/")[2]
    await ask(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    store = PostgresqlStore(url, durability)
    await store.write([])
    assert await store._connection.fetchval("SHOW synchronous_commit") == {"process": "off", "power": "on"}[durability]
    await store.close()


async def test_urls_of_sqlalchemy_and_of_libpq_are_understood(url):
    for form in (url, url.replace("postgresql:", "postgresql+asyncpg:")):
        store = PostgresqlStore(form, "process")
        await store.write([])
        await store.close()


async def test_leases_are_locked_in_the_order_of_their_ids_as_by_the_treasury(url):
    """Or two transactions would wait for each other in a circle, until PostgreSQL ends one of them."""
    database = Database(url)
    bank = Bank(database, url)
    teller = await bank.teller()
    wants = [(await bank.account(paid_nano=1_000))[1][1] for _ in range(40)]
    filled = await fill(database, teller.presence.worker, [Order(want, None, 9) for want in wants], 0)
    leases = sorted(one.lease_id for one in filled)
    charges = [charge_of(want.account_id, 1, 0, ((one.lease_id, 1),)) for want, one in zip(wants, filled, strict=True)]
    await ask(url, f"UPDATE lease SET taken_at_ms = 1 WHERE id = '{leases[0]}'")  # now it is the last one in the table
    holder = await asyncpg.connect(url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("SELECT id FROM lease WHERE id = $1 FOR UPDATE", leases[0])
    writing = asyncio.ensure_future(teller.write(*reversed(charges)))
    while not await ask(url, "SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  it is another server's
        await asyncio.sleep(0.01)
    free = await ask(url, "SELECT count(*) FROM (SELECT 1 FROM lease FOR UPDATE SKIP LOCKED) AS free")
    await transaction.rollback()
    await holder.close()
    await writing
    await bank.close()
    await database.close()
    assert free == len(leases) - 1
