"""Lists and totals of charges, by time and by key."""

from __future__ import annotations

import pytest

from penstock.billing import service
from penstock.billing.service import Span, Totals
from penstock.kit.ids import new_id

ALWAYS = Span(0, 2**47)


@pytest.fixture
async def charges(database_url, open_books, new_charge):
    """Ten charges, one a second from 1000 on, of two keys in turn."""
    made = [
        new_charge(
            id=new_id("req", number * 1000),
            key_id=f"key_{number % 2}",
            cost_nano=10**17 + number,
            price_version=None if number == 3 else "v",
            estimated=number == 4,
        )
        for number in range(1, 11)
    ]
    async with open_books(database_url) as till:
        for charge in made:
            await till.post(charge)
    return made


async def test_newest_first_and_in_pages(database, charges):
    assert await service.find(database, ALWAYS) == charges[::-1]
    first = await service.find(database, ALWAYS, limit=4)
    second = await service.find(database, ALWAYS, limit=4, before_id=first[-1].id)
    assert first + second == charges[:1:-1]


async def test_a_span_has_its_beginning_and_not_its_end(database, charges):
    assert await service.find(database, Span(3000, 6000)) == charges[4:1:-1]
    assert await service.find(database, Span(3001, 3002)) == []


async def test_of_one_key(database, charges):
    assert await service.find(database, ALWAYS, key_id="key_1") == charges[-2::-2]
    assert await service.find(database, ALWAYS, key_id="nobody") == []


async def test_totals_are_exact_integers(database, charges):
    sums = await service.totals(database, ALWAYS)
    assert sums == Totals(10, 10**18 + 55, 1, 1, 120, 30, 0, 0, 50, 10)
    assert {type(getattr(sums, name)) for name in Totals.__struct_fields__} == {int}
    assert (await service.totals(database, ALWAYS, key_id="key_0")).cost_nano == 5 * 10**17 + 30


async def test_totals_of_nothing(database):
    assert await service.totals(database, ALWAYS) == Totals(*[0] * 10)
