"""What every store promises the books, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager

import asyncpg
import pytest

from penstock.billing.charge import mended
from penstock.billing.store_postgresql import PostgresqlStore
from penstock.billing.store_sqlite import SqliteStore
from penstock.infra.database import sqlite_path


@asynccontextmanager
async def opened(url: str, durability="process"):
    path = sqlite_path(url)
    store = PostgresqlStore(url, durability) if path is None else SqliteStore(path, durability)
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 64, 100, 257])
async def test_what_is_written_is_there_for_others(database_url, stored, new_charge, count, durability):
    charges = [new_charge(streamed=number % 2 == 0, estimated=number % 3 == 0, key_id=None) for number in range(count)]
    async with opened(database_url, durability) as store:
        await store.write(charges)
        assert stored(database_url) == charges


async def test_extreme_values_come_back_as_they_were(database_url, stored, new_charge):
    charges = [
        new_charge(model="", served_model="名前 😀'\"\\;--", extra_usage='{"images": 1}', price_version=None),
        new_charge(cost_nano=2**63 - 1, input_tokens=2**63 - 1, duration_ms=2**31 - 1),
        new_charge(cost_nano=-(2**63), model="m" * 100_000),
    ]
    async with opened(database_url) as store:
        await store.write(charges)
    assert stored(database_url) == charges


async def test_writing_again_changes_nothing(database_url, stored, new_charge):
    charges = [new_charge() for _ in range(40)]
    async with opened(database_url) as store:
        await store.write(charges[:10])
        await store.write(charges)
        await store.write([charges[0], charges[0]])
        assert stored(database_url) == charges


async def test_all_or_none(database_url, stored, new_charge):
    charges = [new_charge() for _ in range(70)]
    charges[50] = new_charge(cost_nano=2**70)
    async with opened(database_url) as store:
        with pytest.raises((OverflowError, asyncpg.DataError)):
            await store.write(charges)
        assert stored(database_url) == []
        await store.write([mended(charge) for charge in charges])
        assert len(stored(database_url)) == 70


@pytest.mark.parametrize("given", [{"model": "a\0b"}, {"model": "\ud800"}, {"wire": None}, {"status": 2**40}, {"input_tokens": 2**64}])
async def test_what_a_database_refuses_is_taken_once_mended(database_url, stored, new_charge, given):
    async with opened(database_url) as store:
        await store.write([mended(new_charge(**given))])
        assert len(stored(database_url)) == 1


async def test_quick_is_all_or_nothing_too(database_url, stored, new_charge):
    charges = [new_charge() for _ in range(40)]
    async with opened(database_url) as store:
        await store.write([])
        committed = store.quick(charges)
        assert stored(database_url) == (charges if committed else [])


async def test_a_missing_table_or_file_is_a_failure(empty_database_url, new_charge):
    async with opened(empty_database_url) as store:
        for _ in range(2):
            with pytest.raises((asyncpg.PostgresError, sqlite3.Error)):
                await store.write([new_charge()])
            assert store.quick([new_charge()]) is False
