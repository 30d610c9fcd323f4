"""The control API of the bill: one's own charges for members, everybody's for administrators; exports, receipts, usage."""

from __future__ import annotations

import csv
import io
import json

import pytest

from control_plane import ControlPlane
from made_charges import DAY_MS, NOON_MS, charge_at, priced, random_charges, selected, summed, write
from penstock.billing.api import bill as api
from penstock.billing.bill import Bill
from penstock.billing.receipts import Receipts
from penstock.billing.rollup import roll_up
from penstock.billing.selection import Selection, Span
from penstock.billing.shown import COLUMNS
from penstock.catalog.door import Catalog
from penstock.infra.revisions import Feed
from penstock.keys.names import names_of
from penstock.kit.clock import iso, now_ms
from penstock.settings import Settings

HOUR_MS = 3_600_000


@pytest.fixture
async def plane(database):
    async with ControlPlane(database, api.routes) as made:
        bill = Bill(database, lambda ids: names_of(database, ids))
        made.app.state.bill = bill
        made.app.state.receipts = Receipts(database, bill, Catalog(Settings(), database, Feed(database)))
        yield made


@pytest.fixture
async def admin(plane):
    return plane.client((await plane.manager("acc_operator")).token)


@pytest.fixture
async def member(plane):
    """A member's client, and the member's account."""
    account_id = await plane.account()
    return plane.client((await plane.manager(account_id)).token), account_id


async def read(client, path, **params):
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client, path, **params):
    answer = await client.get(path, params=params)
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


async def test_one_s_own_charges_newest_first(database, plane, member, admin):
    client, account_id = member
    key = (await plane.keys.create("program", account_id=account_id)).key
    mine = [charge_at(NOON_MS + number, number, account_id=account_id, key_id=key.id) for number in range(5)]
    await write(database, [*mine, charge_at(NOON_MS, 9, account_id="acc_other")])
    await roll_up(database)
    page = await read(client, "/api/charges", limit=3, total=True)
    rest = await read(client, "/api/charges", limit=3, cursor=page["next"])
    assert [one["id"] for one in page["data"] + rest["data"]] == [charge.id for charge in mine[::-1]]
    assert (page["total"], rest["total"], rest["next"]) == (5, None, None)
    assert {one["key_name"] for one in page["data"]} == {"program"}
    assert tuple(page["data"][0]) == COLUMNS
    assert len((await read(admin, "/api/charges"))["data"]) == 6
    assert len((await read(admin, "/api/charges", account_id=account_id))["data"]) == 5


async def test_another_s_charges_are_not_there(database, member):
    client, _ = member
    charge = charge_at(NOON_MS, account_id="acc_other")
    await write(database, [charge])
    assert (await read(client, "/api/charges"))["data"] == []
    assert (await read(client, "/api/usage", since="2000-01-01"))["data"] == []
    for path in (f"/api/charges/{charge.id}", f"/api/charges/{charge.id}/receipt"):
        assert (await refused(client, path))[:2] == (404, "not_found")
    for path in ("/api/charges", "/api/charges/export", "/api/usage"):
        assert await refused(client, path, account_id="acc_other") == (404, "not_found", "account_id")


async def test_nobody_gets_in_without_a_key(plane):
    for path in ("/api/charges", "/api/charges/req_1", "/api/charges/req_1/receipt", "/api/charges/export", "/api/usage"):
        assert (await refused(plane.client(), path))[:2] == (401, "not_signed_in")


async def test_conditions(database, admin):
    charges = random_charges(100, seed=31)
    await write(database, charges)
    await roll_up(database)
    since, until = iso(NOON_MS + DAY_MS), iso(NOON_MS + 2 * DAY_MS)
    for given, of in [
        ({"model": "gpt-*", "channel": "spare"}, Selection(model="gpt-*", channel="spare")),
        ({"since": since, "until": until}, Selection(span=Span(NOON_MS + DAY_MS, NOON_MS + 2 * DAY_MS))),
        ({"free": True, "estimated": False}, Selection(free=True, estimated=False)),
        ({"status": 502, "outcome": "complete"}, Selection(status=502, outcome="complete")),
        ({"cost_from_nano": 1, "cost_to_nano": 10**11}, Selection(cost_from_nano=1, cost_to_nano=10**11)),
        ({"key_id": "key_acc_a_1"}, Selection(key_id="key_acc_a_1")),
    ]:
        page = await read(admin, "/api/charges", limit=200, total=True, **given)
        expected = selected(charges, of)
        assert [one["id"] for one in page["data"]] == [charge.id for charge in expected]
        assert page["total"] == (len(expected) if of.summed else None)


async def test_dates_are_whole_days(database, admin):
    await write(database, [charge_at(NOON_MS + number * DAY_MS, number) for number in range(4)])
    day, next_day = iso(NOON_MS)[:10], iso(NOON_MS + DAY_MS)[:10]
    found = await read(admin, "/api/charges", since=day, until=next_day)
    assert [one["came_at"][:10] for one in found["data"]] == [next_day, day]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01"}, "until"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since"),
        ({"status": 7}, "status"),
        ({"cost_from_nano": -1}, "cost_from_nano"),
        ({"cost_to_nano": 2**63}, "cost_to_nano"),
        ({"cost_to_nano": "1.5"}, "cost_to_nano"),
        ({"model": "a\0b"}, None),
        ({"key_id": "a b"}, "key_id"),
        ({"free": "perhaps"}, "free"),
        ({"limit": 0}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
    ],
)
async def test_what_cannot_be_meant_is_refused(admin, given, param):
    assert await refused(admin, "/api/charges", **given) == (400, "invalid_request", param)


async def test_exports(database, member):
    client, account_id = member
    charges = [charge_at(NOON_MS + number, number, account_id=account_id, model="=1+1") for number in range(30)]
    await write(database, [*charges, charge_at(NOON_MS, 99, account_id="acc_other")])
    ids = [charge.id for charge in charges[::-1]]
    answer = await client.get("/api/charges/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].endswith('.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert ([row["id"] for row in rows], rows[0]["model"]) == (ids, "'=1+1")
    assert [row["id"] for row in (await client.get("/api/charges/export?format=json")).json()] == ids
    lines = (await client.get("/api/charges/export?format=jsonl&model=%3D*")).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids
    assert await refused(client, "/api/charges/export", format="xml") == (400, "invalid_request", "format")


async def test_a_charge_and_its_receipt(database, plane, member):
    client, account_id = member
    charge = priced(NOON_MS, account_id=account_id, multiplier_micro=1_250_000, free_nano=1)
    await write(database, [charge])
    assert (await read(client, f"/api/charges/{charge.id}"))["cost_nano"] == charge.cost_nano
    receipt = await read(client, f"/api/charges/{charge.id}/receipt")
    assert (receipt["agrees"], receipt["computed_nano"]) == (True, charge.cost_nano)
    assert sum(line["amount_nano"] for line in receipt["lines"]) == charge.cost_nano
    assert [(part["purse"], part["amount_nano"]) for part in receipt["paid_from"]] == [("free", 1), ("paid", charge.cost_nano - 1)]
    assert receipt["charge"]["id"] == charge.id


async def test_usage_by_everything(database, admin):
    charges = random_charges(80, seed=32)
    await write(database, charges)
    await roll_up(database)
    until = iso(NOON_MS + 3 * DAY_MS)
    for by in ("day", "model", "key", "channel", "account"):
        found = await read(admin, "/api/usage", by=by, since=iso(NOON_MS), until=until)
        total = summed(charges)
        assert (found["total"]["requests"], found["total"]["cost_nano"]) == (80, total.cost_nano)
        assert found["total"]["mean_duration_ms"] == round(total.duration_ms / 80)
        assert sum(part["output_tokens"] for part in found["data"]) == total.output_tokens
    assert [part["of"] for part in (await read(admin, "/api/usage", by="day", since=iso(NOON_MS), until=until))["data"]] == [
        iso(NOON_MS - DAY_MS // 2 + number * DAY_MS) for number in range(4)
    ]


async def test_usage_of_the_last_days_and_hours(database, plane, member):
    client, account_id = member
    key = (await plane.keys.create("program", account_id=account_id)).key
    now = now_ms()
    await write(
        database,
        [
            charge_at(now - age_ms, number, account_id=account_id, key_id=key.id)
            for number, age_ms in enumerate((1, 2 * DAY_MS, 40 * DAY_MS))
        ],
    )
    assert (await read(client, "/api/usage"))["total"]["requests"] == 2
    hours = await read(client, "/api/usage", by="hour")
    assert [(part["of"], part["requests"]) for part in hours["data"]] == [(iso((now - 1) // HOUR_MS * HOUR_MS), 1)]
    [by_key] = (await read(client, "/api/usage", by="key", since="60d"))["data"]
    assert (by_key["of"], by_key["key_name"], by_key["requests"]) == (key.id, "program", 3)
    assert (await read(client, "/api/usage", by="hour", since="7d"))["by"] == "hour"
    assert await refused(client, "/api/usage", by="hour", since="9d") == (400, "invalid_request", "since")
    assert await refused(client, "/api/usage", by="minute") == (400, "invalid_request", "by")


async def test_usage_of_nothing(member):
    client, _ = member
    found = await read(client, "/api/usage", by="model", model="gpt-*", channel="c", key_id="k")
    assert (found["data"], found["total"]["requests"], found["total"]["mean_duration_ms"]) == ([], 0, 0)


async def test_the_document_has_every_route_and_parameter(plane):
    paths = plane.app.openapi()["paths"]
    wanted = {parameter["name"] for parameter in paths["/api/charges"]["get"]["parameters"]}
    assert wanted >= {"account_id", "key_id", "model", "channel", "since", "until", "free", "status", "outcome", "cost_from_nano", "total"}
    assert {"/api/charges/{charge_id}", "/api/charges/{charge_id}/receipt", "/api/charges/export", "/api/usage"} <= paths.keys()
