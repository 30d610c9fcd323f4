"""PostgreSQL: a lost connection is made again, and durability is the server's business unless power is asked for."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from penstock.billing.store_postgresql import PostgresqlStore


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
