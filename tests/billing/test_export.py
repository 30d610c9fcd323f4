"""Exports: three forms of the same charges, made a piece at a time, safe to open."""

from __future__ import annotations

import csv
import io
import json

import pytest

from made_charges import NOON_MS, charge_at, random_charges, selected, write
from penstock.billing import bill as bill_module
from penstock.billing.bill import Bill
from penstock.billing.export import MEDIA_TYPES, export
from penstock.billing.rollup import roll_up
from penstock.billing.selection import Selection
from penstock.billing.shown import COLUMNS, shown


async def names(ids):
    return {key_id: f"name of {key_id}" for key_id in ids}


@pytest.fixture
def bill(database):
    return Bill(database, names)


async def read(bill, of, form):
    return b"".join([piece async for piece in export(bill, of, form)]).decode()


def facts(charges):
    return [shown(charge, charge.key_id and f"name of {charge.key_id}") for charge in charges]


async def test_all_forms_have_the_same_charges(database, bill, monkeypatch):
    monkeypatch.setattr(bill_module, "EXPORT_ROWS", 7)
    charges = random_charges(60, seed=21)
    await write(database, charges[:40])
    await roll_up(database)
    await write(database, charges[40:])
    of = Selection(account_id="acc_a")
    expected = facts(selected(charges, of))
    assert json.loads(await read(bill, of, "json")) == expected
    assert [json.loads(line) for line in (await read(bill, of, "jsonl")).splitlines()] == expected
    rows = list(csv.DictReader(io.StringIO(await read(bill, of, "csv"))))
    assert [row["id"] for row in rows] == [row["id"] for row in expected]
    assert [int(row["cost_nano"]) for row in rows] == [row["cost_nano"] for row in expected]
    assert [row["estimated"] for row in rows] == [str(row["estimated"]).lower() for row in expected]
    assert [float(row["tps_s"]) for row in rows] == [row["tps_s"] for row in expected]


async def test_nothing_is_well_formed_too(bill):
    of = Selection(account_id="acc_nobody")
    assert json.loads(await read(bill, of, "json")) == []
    assert await read(bill, of, "jsonl") == ""
    assert await read(bill, of, "csv") == ",".join(COLUMNS) + "\r\n"
    assert set(MEDIA_TYPES) == {"csv", "json", "jsonl"}


async def test_cells_do_not_become_formulas(database):
    """Clients choose the names of models, and people those of keys."""

    async def evil(ids):
        return dict.fromkeys(ids, '=HYPERLINK("http://evil")')

    await write(database, [charge_at(NOON_MS, model="=1+1", served_model="+1", channel="@sum", extra_usage='{"images": 1}')])
    text = await read(Bill(database, evil), Selection(), "csv")
    [row] = csv.DictReader(io.StringIO(text))
    assert (row["model"], row["served_model"], row["channel"]) == ("'=1+1", "'+1", "'@sum")
    assert row["key_name"].startswith("'=HYPERLINK")
    assert row["extra_usage"] == '{"images":1}'
    assert json.loads(await read(Bill(database, evil), Selection(), "json"))[0]["model"] == "=1+1"


async def test_what_arrives_meanwhile_changes_nothing_of_the_rest(database, bill, monkeypatch):
    monkeypatch.setattr(bill_module, "EXPORT_ROWS", 5)
    there = [charge_at(NOON_MS + number, number) for number in range(40)]
    await write(database, there)
    pieces = []
    turn = 0
    async for piece in export(bill, Selection(), "jsonl"):
        pieces.append(piece)
        turn += 1
        await write(database, [charge_at(NOON_MS + 10_000 + turn, 1000 + turn), charge_at(NOON_MS - turn, 2000 + turn)])
        await roll_up(database, batch_rows=3)
    ids = [json.loads(line)["id"] for line in b"".join(pieces).splitlines()]
    assert [name for name in ids if name in {charge.id for charge in there}] == [charge.id for charge in there][::-1]
    assert ids == sorted(set(ids), reverse=True)
