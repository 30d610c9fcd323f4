"""Receipts: the lines add up, the cost is computed again, and what is unusual is said in words."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import insert

from made_charges import NOON_MS, priced, write
from penstock.accounts.models import Account
from penstock.billing.bill import Bill
from penstock.billing.receipts import COMPONENTS, Payment, Receipts
from penstock.billing.shown import usage_of
from penstock.catalog.door import Catalog
from penstock.catalog.models import PriceUsed
from penstock.catalog.prices import RATES, STANDARD, build_price, flat, free_price, pack
from penstock.infra.revisions import Feed
from penstock.kit.errors import PenstockError
from penstock.settings import Settings


async def names(ids):
    return dict.fromkeys(ids, "my key")


@pytest.fixture
def receipts(database):
    return Receipts(database, Bill(database, names), Catalog(Settings(), database, Feed(database)))


async def account(database, account_id, *, prepaid=True):
    facts = {"id": account_id, "name": "someone", "role": "member", "prepaid": prepaid, "limits": {}, "created_at_ms": 1}
    async with database.session() as session:
        await session.execute(insert(Account), [facts])


async def used(database, price):
    async with database.session() as session:
        row = {"version": price.version, "provider": "demo", "model": "m", "price": pack(price), "first_used_at_ms": 1}
        await session.execute(insert(PriceUsed), [row])


async def test_a_receipt_adds_up(database, receipts):
    await account(database, "acc_a")
    charge = priced(NOON_MS, account_id="acc_a", multiplier_micro=1_500_000, input_tokens=1_000_000, free_nano=7)
    await write(database, [charge])
    receipt = await receipts.receipt(charge.id, "acc_a")
    assert (receipt.cost_nano, receipt.computed_nano, receipt.agrees) == (charge.cost_nano, charge.cost_nano, True)
    assert sum(line.amount_nano for line in receipt.lines) == charge.cost_nano
    assert receipt.paid_from == [Payment("free", 7), Payment("paid", charge.cost_nano - 7)]
    assert receipt.lines[0].text == "1,000,000 input tokens at 1 dollars per 1,000,000 x 1.5 = 1.5 dollars"
    assert receipt.charge["key_name"] == "my key"
    assert receipt.notes == []


async def test_the_operator_pays_nothing(database, receipts):
    charge = priced(NOON_MS)
    await write(database, [charge])
    receipt = await receipts.receipt(charge.id)
    assert receipt.paid_from == []
    assert "not prepaid" in receipt.notes[-1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"estimated": True}, "estimated"),
        ({"outcome": "client_gone"}, "The client left"),
        ({"outcome": "interrupted", "estimated": True}, "died"),
        ({"outcome": "out_of_funds"}, "funds ended"),
        ({"price_version": None, "cost_nano": 0}, "no price"),
    ],
)
async def test_what_is_unusual_is_said(database, receipts, given, words):
    charge = priced(NOON_MS, **given)
    await write(database, [charge])
    receipt = await receipts.receipt(charge.id)
    assert receipt.agrees is True
    assert any(words in note for note in receipt.notes)


async def test_a_cost_that_is_not_that_of_the_usage_is_told(database, receipts):
    right = priced(NOON_MS).cost_nano
    await write(database, [priced(NOON_MS, cost_nano=right + 1)])
    receipt = await receipts.receipt(priced(NOON_MS).id)
    assert (receipt.agrees, receipt.computed_nano) == (False, right)
    assert any("Computed again" in note for note in receipt.notes)


async def test_a_price_that_nobody_knows_any_more(database, receipts):
    charge = priced(NOON_MS, price_version="genai-prices 0.0.1 openai/gpt-4o first")
    await write(database, [charge])
    receipt = await receipts.receipt(charge.id)
    assert (receipt.lines, receipt.computed_nano, receipt.agrees) == ([], None, None)
    assert any("not known" in note for note in receipt.notes)


async def test_a_price_that_only_the_database_knows(database, receipts):
    price = build_price("own x", {STANDARD: flat(input_mtok="3", output_mtok="15"), "flex": flat(input_mtok="1", output_mtok="5")})
    await used(database, price)
    charge = priced(NOON_MS, price_version=price.version, extra_usage=json.dumps({"service_tier": "flex"}), cost_nano=0)
    charge.cost_nano = price.cost(usage_of(charge))
    await write(database, [charge])
    receipt = await receipts.receipt(charge.id)
    assert receipt.agrees is True
    assert "(tier flex)" in receipt.lines[0].text


async def test_a_model_that_is_given_away(database, receipts):
    price = free_price("free x")
    await used(database, price)
    charge = priced(NOON_MS, price_version=price.version, cost_nano=0)
    await write(database, [charge])
    receipt = await receipts.receipt(charge.id)
    assert receipt.agrees is True
    assert any("gives this model away" in note for note in receipt.notes)


async def test_another_s_charge_has_no_receipt(database, receipts):
    charge = priced(NOON_MS, account_id="acc_a")
    await write(database, [charge])
    with pytest.raises(PenstockError) as refused:
        await receipts.receipt(charge.id, "acc_b")
    assert refused.value.code == "not_found"


def test_every_component_has_words():
    assert set(COMPONENTS) == set(RATES)
