"""The tables: what they keep is given back as it was, on both engines."""

from __future__ import annotations

from penstock.catalog.models import PriceOverride, PriceUsed
from penstock.catalog.prices import STANDARD, build_price, flat, pack, unpack


async def test_numbers_beyond_what_floats_can_hold_are_kept(database):
    price = build_price("test", {STANDARD: flat(input_mtok="999999999.999999999999999")})
    assert max(price.standard[0].rates) > 2**63
    async with database.session() as session:
        session.add(PriceUsed(version=price.version, provider="x", model="y", price=pack(price), first_used_at_ms=1))
    async with database.session(read_only=True) as session:
        row = await session.get_one(PriceUsed, price.version)
    assert unpack(row.version, row.price) == price


async def test_no_card_is_null(database):
    async with database.session() as session:
        session.add(
            PriceOverride(id="a", provider="*", model="m", free=True, card=None, effective_at_ms=0, created_at_ms=0, created_by="x")
        )
    async with database.session(read_only=True) as session:
        row = await session.get_one(PriceOverride, "a")
    assert (row.card, row.output_cap, row.confirmed_at_ms, row.retired_at_ms) == (None, None, None, None)
