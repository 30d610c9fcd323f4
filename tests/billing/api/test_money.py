"""The control API of money on both engines: who may do what, what is answered, and that nothing moves twice."""

from __future__ import annotations

import asyncio

import pytest

from money_desk import DAY_MS, DOLLAR, Desk
from penstock.billing.ledger import AMOUNT_LIMIT_NANO, Balance
from penstock.billing.purses import paid
from penstock.infra.database import Database
from penstock.kit.clock import iso, now_ms
from penstock.kit.money import MAX_NANO


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


async def test_top_up_and_balance(desk, anna, admin):
    body = {"amount_nano": 20 * DOLLAR, "ref": "order-1", "note": "bank transfer"}
    made = await admin.made("POST", f"/api/accounts/{anna}/top-ups", body)
    assert made == {
        "id": "top_up/order-1", "kind": "top_up", "purse": "paid", "amount_nano": 20 * DOLLAR, "ref": "order-1",
        "note": "bank transfer", "created_at": iso(desk.clock.ms),
    }  # fmt: skip
    balance = {"account_id": anna, "total_nano": 20 * DOLLAR, "paid_nano": 20 * DOLLAR, "free_nano": 0, "on_lease_nano": 0}
    assert await admin.made("GET", "/api/balance", params={"account_id": anna}) == balance
    assert await desk.client(anna).made("GET", "/api/balance") == balance
    assert (await desk.client(anna).made("GET", "/api/entries")) == {"data": [made], "next": None}


async def test_grants(desk, anna, admin):
    grant = await admin.made("POST", f"/api/accounts/{anna}/grants", {"amount_nano": 5, "expires_at": "2099-12-31", "note": "hello"})
    forever = await admin.made("POST", f"/api/accounts/{anna}/grants", {"amount_nano": 7})
    assert (grant["amount_nano"], grant["left_nano"], grant["expires_at"], grant["note"]) == (5, 5, "2100-01-01T00:00:00Z", "hello")
    assert forever["expires_at"] is None
    assert (await desk.client(anna).made("GET", "/api/grants"))["data"] == [grant, forever]
    ended = await admin.made("POST", f"/api/accounts/{anna}/grants/{grant['id']}/end")
    assert (ended["left_nano"], ended["expires_at"]) == (0, iso(desk.clock.ms))
    assert await desk.balance(anna) == Balance(anna, 0, 7, 0)
    kinds = [
        (one["kind"], one["purse"], one["amount_nano"]) for one in (await admin.made("GET", f"/api/entries?account_id={anna}"))["data"]
    ]
    assert sorted(kinds) == [("expire", "free", -5), ("grant", "free", 5), ("grant", "free", 7)]


async def test_adjustments(desk, anna, admin):
    url = f"/api/accounts/{anna}/adjustments"
    assert (await admin.made("POST", url, {"amount_nano": 9, "note": "found"}))["amount_nano"] == 9
    assert (await admin.made("POST", url, {"amount_nano": -4, "note": "lost"}))["amount_nano"] == -4
    assert await admin.refused("POST", url, {"amount_nano": -6, "note": "too much"}) == (409, "conflict", "amount_nano")
    await admin.made("POST", url, {"amount_nano": -6, "note": "so be it", "force": True})
    assert (await desk.client(anna).made("GET", "/api/balance"))["total_nano"] == -1


async def test_refunds(desk, anna, admin):
    top_up = await admin.made("POST", f"/api/accounts/{anna}/top-ups", {"amount_nano": 10})
    url = f"/api/accounts/{anna}/refunds"
    refund = await admin.made("POST", url, {"top_up_id": top_up["id"], "amount_nano": 4})
    assert (refund["kind"], refund["amount_nano"], refund["ref"]) == ("refund", -4, top_up["id"])
    assert await admin.refused("POST", url, {"top_up_id": top_up["id"], "amount_nano": 7}) == (409, "conflict", "amount_nano")
    assert await admin.refused("POST", url, {"top_up_id": "top_up/x", "amount_nano": 7}) == (404, "not_found", "top_up_id")
    assert (await desk.balance(anna)).paid_nano == 6


async def test_what_is_on_lease_is_called_back_for_a_refund(desk, anna, admin):
    top_up = await admin.made("POST", f"/api/accounts/{anna}/top-ups", {"amount_nano": 10})
    await desk.lease(paid(anna), 8)

    async def give_back() -> None:
        while await desk.revision("recall") == 0:  # noqa: ASYNC110  another process would look as well
            await asyncio.sleep(0.01)
        await desk.close()

    body = {"top_up_id": top_up["id"], "amount_nano": 10}
    await asyncio.gather(admin.made("POST", f"/api/accounts/{anna}/refunds", body), give_back())
    assert await desk.balance(anna) == Balance(anna, 0, 0, 0)


@pytest.mark.parametrize("what", ["top-ups", "grants", "adjustments"])
async def test_the_same_request_again_moves_nothing(desk, anna, admin, what):
    body, headers = {"amount_nano": 5, "note": "why"}, {"idempotency-key": "k1"}
    first = await admin.made("POST", f"/api/accounts/{anna}/{what}", body, headers=headers)
    assert await admin.made("POST", f"/api/accounts/{anna}/{what}", body, headers=headers) == first
    other = await admin.refused("POST", f"/api/accounts/{anna}/{what}", {**body, "amount_nano": 6}, headers=headers)
    assert other == (409, "idempotency_conflict", "idempotency-key")
    assert sum((await desk.balance(anna))[1:3]) == 5
    await desk.audit()


async def test_the_same_key_many_times_at_once(desk, anna, admin):
    headers = {"idempotency-key": "k1"}
    url = f"/api/accounts/{anna}/top-ups"
    answers = await asyncio.gather(*(admin.made("POST", url, {"amount_nano": 5}, headers=headers) for _ in range(8)))
    assert len({answer["id"] for answer in answers}) == 1
    assert (await desk.balance(anna)).paid_nano == 5


BAD = [0, -1, 1.5, 5.0, "5", True, None, [5], AMOUNT_LIMIT_NANO + 1, 2**63, 10**40, 1e30]


@pytest.mark.parametrize("amount", BAD)
async def test_amounts_that_are_refused(desk, anna, admin, amount):
    for what, more in (("top-ups", {}), ("grants", {}), ("refunds", {"top_up_id": "top_up/x"}), ("adjustments", {"note": "why"})):
        if (what, amount) == ("adjustments", -1):
            continue
        refused = await admin.refused("POST", f"/api/accounts/{anna}/{what}", {"amount_nano": amount, **more})
        assert refused == (400, "invalid_request", "amount_nano"), (what, amount)
    assert await desk.balance(anna) == Balance(anna, 0, 0, 0)


async def test_a_sum_beyond_64_bits_is_refused(desk, anna, admin):
    url = f"/api/accounts/{anna}/top-ups"
    for _ in range(9):
        await admin.made("POST", url, {"amount_nano": AMOUNT_LIMIT_NANO})
    assert await admin.refused("POST", url, {"amount_nano": AMOUNT_LIMIT_NANO}) == (400, "invalid_request", "amount_nano")
    await admin.made("POST", url, {"amount_nano": MAX_NANO - 9 * AMOUNT_LIMIT_NANO})
    assert (await admin.made("GET", f"/api/balance?account_id={anna}"))["total_nano"] == MAX_NANO


@pytest.mark.parametrize(
    ("what", "body", "param"),
    [
        ("top-ups", {}, "amount_nano"),
        ("top-ups", {"amount_nano": 1, "currency": "EUR"}, "currency"),
        ("top-ups", {"amount_nano": 1, "ref": ""}, "ref"),
        ("top-ups", {"amount_nano": 1, "ref": "a\nb"}, "ref"),
        ("top-ups", {"amount_nano": 1, "ref": "\ud800"}, "ref"),
        ("top-ups", {"amount_nano": 1, "ref": "x" * 201}, "ref"),
        ("top-ups", {"amount_nano": 1, "note": "\x00"}, "note"),
        ("adjustments", {"amount_nano": 1}, "note"),
        ("adjustments", {"amount_nano": 1, "note": ""}, "note"),
        ("adjustments", {"amount_nano": 1, "note": "a", "force": 1}, "force"),
        ("refunds", {"amount_nano": 1}, "top_up_id"),
        ("refunds", {"amount_nano": 1, "top_up_id": "a\x00"}, "top_up_id"),
        ("grants", {"amount_nano": 1, "expires_at": "soon"}, "expires_at"),
        ("grants", {"amount_nano": 1, "expires_at": "2020-01-01"}, "expires_at"),
        ("grants", {"amount_nano": 1, "expires_at": "999999999999w"}, "expires_at"),
        ("grants", {"amount_nano": 1, "expires_at": 5}, "expires_at"),
    ],
)
async def test_bodies_that_are_refused(desk, anna, admin, what, body, param):
    if body.get("ref") == "\ud800":
        answer = await admin.post(
            f"/api/accounts/{anna}/{what}", content=b'{"amount_nano": 1, "ref": "\\ud800"}', headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "ref")
    else:
        assert await admin.refused("POST", f"/api/accounts/{anna}/{what}", body) == (400, "invalid_request", param)
    assert await desk.balance(anna) == Balance(anna, 0, 0, 0)


async def test_accounts_that_cannot_be_paid(desk, admin):
    gone = await desk.account(deleted_at_ms=1)
    for account_id in (gone, "acc_none"):
        for what in ("top-ups", "grants", "adjustments"):
            refused = await admin.refused("POST", f"/api/accounts/{account_id}/{what}", {"amount_nano": 1, "note": "a"})
            assert refused == (404, "not_found", "account_id")
    assert await admin.refused("GET", "/api/balance?account_id=acc_none") == (404, "not_found", "account_id")


async def test_members_see_their_own_and_change_nothing(desk, anna):
    other = await desk.account()
    await desk.top_up(other, 5)
    client = desk.client(anna)
    for path in ("/api/balance", "/api/entries", "/api/grants"):
        assert (await client.get(path)).status_code == 200
        assert await client.refused("GET", path, params={"account_id": other}) == (404, "not_found", "account_id")
        assert (await client.get(path, params={"account_id": anna})).status_code == 200
    for whose in (anna, other):
        for what in ("top-ups", "grants", "adjustments", "refunds", "grants/grt_x/end"):
            body = {"amount_nano": 1, "note": "a"} | ({"top_up_id": "x"} if what == "refunds" else {})
            assert (await client.refused("POST", f"/api/accounts/{whose}/{what}", body))[:2] == (403, "forbidden")
    assert [await desk.balance(one) for one in (anna, other)] == [Balance(anna, 0, 0, 0), Balance(other, 5, 0, 0)]


async def test_nobody_gets_in_without_a_key(desk, anna, admin):
    del admin.headers["authorization"]
    assert await admin.refused("GET", "/api/balance") == (401, "not_signed_in", None)
    assert await admin.refused("POST", f"/api/accounts/{anna}/top-ups", {"amount_nano": 1}) == (401, "not_signed_in", None)


async def test_entries_come_in_pages(desk, anna, admin):
    for number in range(5):
        desk.clock.ms += 1000
        await desk.top_up(anna, number + 1)
    first = await admin.made("GET", f"/api/entries?account_id={anna}&limit=3")
    second = await admin.made("GET", "/api/entries", params={"account_id": anna, "limit": 3, "cursor": first["next"]})
    assert [entry["amount_nano"] for entry in first["data"] + second["data"]] == [5, 4, 3, 2, 1]
    assert second["next"] is None
    assert (await admin.made("GET", f"/api/entries?account_id={anna}&kind=refund"))["data"] == []
    assert await admin.refused("GET", "/api/entries?kind=gift") == (400, "invalid_request", "kind")
    assert await admin.refused("GET", "/api/entries?cursor=eA") == (400, "invalid_request", "cursor")


async def test_spans_count_from_now(desk, anna, admin):
    grant = await admin.made("POST", f"/api/accounts/{anna}/grants", {"amount_nano": 5, "expires_at": "30d"})
    assert iso(desk.clock.ms + 30 * DAY_MS) <= grant["expires_at"] <= iso(now_ms() + 30 * DAY_MS)
