"""Sums: what one charge adds, and when its hour begins, are the same in both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from made_charges import NOON_MS, charge_at, random_charges, summed, write
from penstock.billing.models import ChargeRow, UsageDay, UsageHour
from penstock.billing.selection import came_ms
from penstock.billing.sums import CEILING, DAY_MS, GROUP, HOUR_MS, MOST, amounts, begins_ms, of_days
from penstock.billing.usage import Sums


def test_the_sums_are_the_columns_of_both_tables():
    for table in (UsageHour, UsageDay):
        assert {column.name for column in table.__table__.columns} == {*GROUP, *amounts()}
        assert [column.name for column in table.__table__.primary_key] == list(GROUP)
    assert set(Sums.__struct_fields__) == set(amounts())


async def test_amounts_of_charges(database):
    charges = random_charges(50, seed=13)
    await write(database, charges)
    async with database.session(read_only=True) as session:
        names = list(amounts())
        found = (await session.execute(select(*(func.sum(amounts()[name]) for name in names)))).one()
    assert Sums(**dict(zip(names, map(int, found), strict=True))) == summed(charges)


async def test_amounts_have_bounds(database):
    most = 2**63 - 1
    await write(database, [charge_at(NOON_MS, cache_write_5m_tokens=most, cache_write_1h_tokens=most, cost_nano=most, output_tokens=-most)])
    async with database.session(read_only=True) as session:
        one = amounts()
        found = (await session.execute(select(one["cache_write_tokens"], one["cost_nano"], one["output_tokens"]))).one()
    assert tuple(found) == (2 * MOST, MOST, 0)
    assert 2 * MOST < CEILING < 2**63 / 1000


@pytest.mark.parametrize("length_ms", [HOUR_MS, DAY_MS])
async def test_when_an_hour_or_day_begins(database, length_ms):
    moments = [0, 1, length_ms - 1, length_ms, NOON_MS, NOON_MS + length_ms - 1, 16**12 - 1, 0xABCDEF123456]
    await write(database, [charge_at(at_ms, number) for number, at_ms in enumerate(moments)])
    async with database.session(read_only=True) as session:
        begins = begins_ms(length_ms, on_postgresql=database.path is None)
        found = (await session.execute(select(ChargeRow.id, begins))).all()
    assert dict(found) == {name: came_ms(name) // length_ms * length_ms for name, _ in found}


async def test_an_id_of_another_kind_is_no_failure(database):
    await write(database, [charge_at(NOON_MS, id="req_something")])
    async with database.session(read_only=True) as session:
        begins = begins_ms(HOUR_MS, on_postgresql=database.path is None)
        assert isinstance(await session.scalar(select(begins).select_from(ChargeRow)), int)


def test_rows_of_days_are_of_each_key_or_of_all():
    assert str(of_days(None)) == str(UsageDay.key_id == "*")
    assert str(of_days("key_a")) == str(of_days(None, by_key=True)) == str(UsageDay.key_id != "*")
