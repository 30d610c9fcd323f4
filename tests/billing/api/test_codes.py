"""The control API of redemption codes on both engines."""

from __future__ import annotations

import asyncio
import csv
import io

import pytest
from sqlalchemy import text

from money_desk import DOLLAR, Desk
from penstock.billing.codes import make_code
from penstock.billing.ledger import Balance
from penstock.infra.database import Database
from penstock.kit.clock import now_ms

BATCH = {"count": 3, "kind": "top_up", "amount_nano": 5 * DOLLAR}


@pytest.fixture
def desk(database: Database) -> Desk:
    made = Desk(database)
    made.clock.ms = now_ms()
    return made


@pytest.fixture
async def anna(desk: Desk) -> str:
    return await desk.account()


@pytest.fixture
def admin(desk: Desk):
    return desk.client()


async def test_a_batch_from_its_making_to_its_end(desk, anna, admin):
    made = await admin.made("POST", "/api/code-batches", {**BATCH, "prefix": "SPRING", "expires_at": "30d"})
    codes = made.pop("codes")
    assert (made["count"], made["redeemed"], made["disabled"], made["created_by"]) == (3, 0, 0, "acc_operator")
    assert await admin.made("GET", "/api/code-batches") == {"data": [made], "next": None}
    member = desk.client(anna)
    redeemed = await member.made("POST", "/api/redemptions", {"code": codes[0]["code"]})
    assert redeemed == {"code_id": codes[0]["id"], "kind": "top_up", "amount_nano": 5 * DOLLAR, "expires_at": None}
    assert await desk.balance(anna) == Balance(anna, 5 * DOLLAR, 0, 0)
    assert await admin.made("POST", f"/api/codes/{codes[1]['id']}/disable") == {"disabled": 1}
    assert await admin.made("POST", f"/api/code-batches/{made['id']}/disable") == {"disabled": 1}
    listed = (await admin.made("GET", f"/api/code-batches/{made['id']}/codes"))["data"]
    assert [(one["id"], one["state"], one["account_id"]) for one in listed] == [
        (codes[0]["id"], "redeemed", anna), (codes[1]["id"], "disabled", None), (codes[2]["id"], "disabled", None),
    ]  # fmt: skip
    assert [(await admin.made("GET", f"/api/code-batches/{made['id']}"))[name] for name in ("redeemed", "disabled")] == [1, 2]
    assert await member.refused("POST", "/api/redemptions", {"code": codes[2]["code"]}) == (409, "conflict", "code")


async def test_sheets(desk, anna, admin):
    answer = await admin.post("/api/code-batches?format=csv", json=BATCH)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["kind"], row["amount_nano"], row["expires_at"]) for row in rows] == [("top_up", str(5 * DOLLAR), "")] * 3
    await desk.client(anna).made("POST", "/api/redemptions", {"code": rows[0]["code"]})
    batch_id = answer.headers["content-disposition"].partition('filename="')[2].removesuffix('.csv"')
    sheet = await admin.get(f"/api/code-batches/{batch_id}/codes?format=csv&limit=1")
    states = list(csv.DictReader(io.StringIO(sheet.text)))
    assert [(row["id"], row["state"]) for row in states] == [
        (row["id"], state) for row, state in zip(rows, ("redeemed", "open", "open"), strict=True)
    ]
    assert [row["code"] for row in rows if row["code"] in sheet.text] == []


async def test_codes_come_in_pages(admin):
    made = await admin.made("POST", "/api/code-batches", BATCH)
    first = await admin.made("GET", f"/api/code-batches/{made['id']}/codes?limit=2")
    second = await admin.made("GET", f"/api/code-batches/{made['id']}/codes", params={"limit": 2, "cursor": first["next"]})
    assert [one["id"] for one in first["data"] + second["data"]] == [one["id"] for one in made["codes"]]


async def test_the_same_batch_is_not_made_nor_shown_again(desk, admin):
    headers = {"idempotency-key": "k1"}
    made = await admin.made("POST", "/api/code-batches", BATCH, headers=headers)
    answer = await admin.post("/api/code-batches", json=BATCH, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert made["id"] in answer.json()["error"]["message"]
    assert len((await admin.made("GET", "/api/code-batches"))["data"]) == 1
    async with desk.database.session(read_only=True) as session:
        kept = await session.scalar(text("SELECT answer FROM repeat"))
    assert [one for one in made["codes"] if one["code"] in kept or one["code"].replace("-", "") in kept] == []


async def test_the_same_redemption_again_gets_its_answer(desk, anna, admin):
    code = (await admin.made("POST", "/api/code-batches", BATCH))["codes"][0]["code"]
    member, headers = desk.client(anna), {"idempotency-key": "k1"}
    answers = await asyncio.gather(*(member.made("POST", "/api/redemptions", {"code": code}, headers=headers) for _ in range(4)))
    assert answers[1:] == answers[:1] * 3
    assert (await desk.balance(anna)).paid_nano == 5 * DOLLAR


async def test_a_grant_code(desk, anna, admin):
    made = await admin.made("POST", "/api/code-batches", {**BATCH, "kind": "grant", "grant_days": 30})
    redeemed = await desk.client(anna).made("POST", "/api/redemptions", {"code": made["codes"][0]["code"]})
    assert redeemed["expires_at"] == (await desk.client(anna).made("GET", "/api/grants"))["data"][0]["expires_at"]
    assert (await desk.balance(anna)).free_nano == 5 * DOLLAR


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"count": 0}, "count"),
        ({"count": 10_001}, "count"),
        ({"count": "3"}, "count"),
        ({"kind": "gift"}, "kind"),
        ({"amount_nano": 0}, "amount_nano"),
        ({"amount_nano": 1.0}, "amount_nano"),
        ({"prefix": "small"}, "prefix"),
        ({"prefix": "=1+1"}, "prefix"),
        ({"grant_days": 5}, "grant_days"),
        ({"expires_at": "2020-01-01"}, "expires_at"),
        ({"currency": "EUR"}, "currency"),
    ],
)
async def test_batches_that_are_refused(admin, change, param):
    assert await admin.refused("POST", "/api/code-batches", {**BATCH, **change}) == (400, "invalid_request", param)


async def test_wrong_codes_are_throttled(desk, anna):
    member = desk.client(anna)
    assert await member.refused("POST", "/api/redemptions", {"code": "\x00'; --"}) == (400, "invalid_request", "code")
    for _ in range(10):
        assert await member.refused("POST", "/api/redemptions", {"code": make_code()}) == (404, "not_found", "code")
    answer = await member.post("/api/redemptions", json={"code": make_code()})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


async def test_members_only_redeem(desk, anna, admin):
    made = await admin.made("POST", "/api/code-batches", BATCH)
    member = desk.client(anna)
    for method, path, body in (
        ("POST", "/api/code-batches", BATCH),
        ("GET", "/api/code-batches", None),
        ("GET", f"/api/code-batches/{made['id']}", None),
        ("GET", f"/api/code-batches/{made['id']}/codes", None),
        ("POST", f"/api/code-batches/{made['id']}/disable", None),
        ("POST", f"/api/codes/{made['codes'][0]['id']}/disable", None),
    ):
        assert (await member.refused(method, path, body))[:2] == (403, "forbidden"), path
    assert (await admin.made("GET", f"/api/code-batches/{made['id']}"))["disabled"] == 0


async def test_what_does_not_exist(admin):
    for method, path in (
        ("GET", "/api/code-batches/bat_none"),
        ("GET", "/api/code-batches/bat_none/codes"),
        ("POST", "/api/code-batches/bat_none/disable"),
        ("POST", "/api/codes/cod_none/disable"),
    ):
        assert (await admin.refused(method, path))[:2] == (404, "not_found")
