"""The bill: pages, counts and single charges, whatever the roll-up has seen."""

from __future__ import annotations

import asyncio

import pytest

from made_charges import DAY_MS, NOON_MS, charge_at, random_charges, selected, write
from penstock.billing import bill as bill_module
from penstock.billing.bill import Bill
from penstock.billing.rollup import roll_up
from penstock.billing.selection import Selection, Span, came_ms
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError

HOUR_MS = 3_600_000


async def names(ids):
    return {key_id: f"the key {key_id}" for key_id in ids if not key_id.endswith("_2")}


@pytest.fixture
def bill(database):
    return Bill(database, names)


@pytest.fixture
async def charges(database):
    """Some hundreds, of which some are indexed and some are not."""
    made = random_charges(300, seed=11)
    await write(database, made[:200])
    await roll_up(database)
    await write(database, made[200:])
    return made


async def walk(bill, of, limit):
    """All pages, one after the other."""
    found, before = [], None
    for _ in range(1000):
        listed = await bill.page(of, before=before, limit=limit)
        assert len(listed.charges) <= limit
        found += listed.charges
        before = listed.before
        if before is None:
            return found
    raise AssertionError("there is always another page")


SELECTIONS = [
    {},
    {"account_id": "acc_a"},
    {"account_id": "acc_operator"},
    {"account_id": "acc_nobody"},
    {"key_id": "key_acc_b_1"},
    {"account_id": "acc_b", "key_id": "key_acc_b_1"},
    {"account_id": "acc_a", "key_id": "key_acc_b_1"},
    {"account_id": "acc_a", "model": "gpt-*"},
    {"model": "a_b%c[d]"},
    {"account_id": "acc_a", "model": "nothing"},
    {"account_id": "acc_b", "channel": "spare", "model": "*-mini"},
    {"account_id": "acc_a", "free": True},
    {"account_id": "acc_a", "free": False, "estimated": True},
    {"estimated": False, "status": 502},
    {"account_id": "acc_operator", "outcome": "upstream_died"},
    {"account_id": "acc_a", "cost_from_nano": 1, "cost_to_nano": 5 * 10**11},
    {"key_id": "key_acc_a_0", "cost_to_nano": 0},
    {"account_id": "acc_a", "span": Span(NOON_MS + HOUR_MS, NOON_MS + DAY_MS)},
    {"account_id": "acc_a", "model": "gpt-4o", "span": Span(NOON_MS + DAY_MS, NOON_MS + 2 * DAY_MS)},
    {"span": Span(NOON_MS + 12_345_678, NOON_MS + 23_456_789)},
]


@pytest.mark.parametrize("given", SELECTIONS, ids=str)
async def test_pages_are_all_of_what_is_selected_newest_first(bill, charges, given, monkeypatch):
    of = Selection(**given)
    assert await walk(bill, of, 7) == selected(charges, of)
    monkeypatch.setattr(bill_module, "LOOKED_AT", 9)  # pages with less than was asked for, or nothing
    assert await walk(bill, of, 7) == selected(charges, of)


@pytest.mark.parametrize("given", SELECTIONS, ids=str)
async def test_counts_are_exact_where_sums_can_tell(bill, charges, given):
    of = Selection(**given)
    assert await bill.count(of) == (len(selected(charges, of)) if of.summed else None)


@pytest.mark.parametrize(
    "span",
    [
        Span(NOON_MS + 1, NOON_MS + 3 * HOUR_MS - 1),
        Span(NOON_MS + 1, NOON_MS + 2),
        Span(NOON_MS + HOUR_MS - 1, NOON_MS + HOUR_MS + 1),
        Span(NOON_MS + HOUR_MS, NOON_MS + HOUR_MS),
        Span(NOON_MS + 5, NOON_MS - 5),
        Span(NOON_MS - DAY_MS, NOON_MS + 40 * HOUR_MS + 7),
    ],
)
async def test_counts_of_spans_that_end_anywhere(bill, charges, span):
    for scope in ({}, {"account_id": "acc_a"}, {"account_id": "acc_a", "channel": "main"}, {"key_id": "key_acc_a_1", "model": "gpt*"}):
        of = Selection(span=span, **scope)
        assert await bill.count(of) == len(selected(charges, of))


async def test_names_of_keys(bill, charges):
    listed = await bill.page(Selection(account_id="acc_a"), limit=100)
    keys = {charge.key_id for charge in listed.charges} - {None}
    assert listed.names == {key: f"the key {key}" for key in keys if not key.endswith("_2")}


async def test_one_charge(bill, charges):
    charge = charges[250]
    listed = await bill.get(charge.id)
    assert listed.charges == [charge]
    owner = charge.account_id or "acc_operator"
    assert (await bill.get(charge.id, owner)).charges == [charge]
    for charge_id, account_id in ((charge.id, "acc_of_another"), ("req_0", None), ("req_0", owner)):
        with pytest.raises(PenstockError) as refused:
            await bill.get(charge_id, account_id)
        assert refused.value.code == "not_found"


async def test_pages_stay_as_they_are_while_charges_arrive(database, bill):
    """What was there at the beginning is seen once, whatever comes in between: newer, older, and rolled up or not."""
    there = [charge_at(NOON_MS + 10 * number, number) for number in range(100)]
    await write(database, there)
    await roll_up(database, batch_rows=30)
    seen, before = [], None
    for turn in range(100):
        listed = await bill.page(Selection(account_id="acc_a"), before=before, limit=7)
        seen += listed.charges
        if (before := listed.before) is None:
            break
        newer = charge_at(NOON_MS + 10_000 + turn, 1000 + turn)
        older = charge_at(came_ms(before) + 15, 2000 + turn)  # on a page that was shown
        await write(database, [newer, older])
        if turn % 3 == 0:
            await roll_up(database, batch_rows=5)
    assert [charge for charge in seen if charge in there] == there[::-1]
    assert len(seen) == len({charge.id for charge in seen})


async def test_all_pages_while_others_write_and_roll_up(database, bill, database_url):
    writer, roller = Database(database_url), Database(database_url)
    there = [charge_at(NOON_MS + number, number) for number in range(1200)]
    await write(database, there)
    done = asyncio.Event()

    async def disturb():
        number = 0
        while not done.is_set():
            number += 1
            await write(writer, [charge_at(NOON_MS + number, 10_000 + number)])
            await roll_up(roller, batch_rows=100)

    disturbing = asyncio.create_task(disturb())
    seen = [charge async for listed in bill.pages(Selection(account_id="acc_a")) for charge in listed.charges]
    done.set()
    await disturbing
    ids = [charge.id for charge in seen]
    assert ids == sorted(set(ids), reverse=True)
    assert {charge.id for charge in there} <= set(ids)
    await writer.close()
    await roller.close()


async def test_pages_of_nothing(bill):
    listed = await bill.page(Selection(account_id="acc_a", model="*", free=True))
    assert (listed.charges, listed.before) == ([], None)
    assert [page.charges async for page in bill.pages(Selection())] == [[]]
    assert await bill.count(Selection(key_id="key_a")) == 0


async def test_a_cursor_that_is_none_of_ours_finds_what_it_finds(bill, charges):
    for before in ("", "zzz", "req_", "req_zzzzzzzzzzzz"):
        listed = await bill.page(Selection(model="gpt-*"), before=before, limit=3)
        assert all(charge.id < before for charge in listed.charges)
