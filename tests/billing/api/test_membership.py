"""The control API of membership on both engines."""

from __future__ import annotations

import pytest

from money_desk import DAY_MS, DOLLAR, Desk
from penstock.billing.membership import add_months
from penstock.infra.database import Database
from penstock.kit.clock import iso, now_ms


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


async def test_without_any(desk, anna):
    shown = await desk.client(anna).made("GET", "/api/membership")
    assert shown["tier"] == {"name": "free", "title": "Free", "until_at": None}
    nothing = {"started_at": None, "until_at": None, "paid_nano": 0, "adds_up_until_at": None}
    assert shown["tiers"] == [{"tier": "premium", "title": "Premium", **nothing}, {"tier": "vip", "title": "VIP", **nothing}]


async def test_earned_by_a_top_up(desk, anna, admin):
    await desk.earns("vip", {20: 1, 40: 6})
    await admin.made("POST", f"/api/accounts/{anna}/top-ups", {"amount_nano": 20 * DOLLAR})
    start = desk.clock.ms
    shown = await desk.client(anna).made("GET", "/api/membership")
    assert shown["tier"] == {"name": "vip", "title": "VIP", "until_at": iso(add_months(start, 1))}
    assert shown["tiers"][1] == {
        "tier": "vip", "title": "VIP", "started_at": iso(start), "until_at": iso(add_months(start, 1)), "paid_nano": 20 * DOLLAR,
        "adds_up_until_at": iso(start + 31 * DAY_MS),
    }  # fmt: skip
    assert await admin.made("GET", f"/api/membership?account_id={anna}") == shown


async def test_set_and_ended_by_an_administrator(desk, anna, admin):
    url = f"/api/accounts/{anna}/memberships/premium"
    shown = await admin.made("PUT", url, {"until_at": "2099-12-31"})
    assert shown["tier"] == {"name": "premium", "title": "Premium", "until_at": "2100-01-01T00:00:00Z"}
    desk.clock.ms += 1000
    assert (await admin.made("PUT", url, {"until_at": None}))["tier"]["name"] == "free"
    assert [event.action for event in await desk.events()] == ["membership.set"] * 2


@pytest.mark.parametrize(
    ("tier", "body", "refused"),
    [
        ("gold", {"until_at": "30d"}, (404, "not_found", "tier")),
        ("free", {"until_at": "30d"}, (400, "invalid_request", "tier")),
        ("VIP!", {"until_at": "30d"}, (400, "invalid_request", "tier")),
        ("vip", {"until_at": "2020-01-01"}, (400, "invalid_request", "until_at")),
        ("vip", {"until_at": 5}, (400, "invalid_request", "until_at")),
        ("vip", {}, (400, "invalid_request", "until_at")),
    ],
)
async def test_what_cannot_be_set(anna, admin, tier, body, refused):
    assert await admin.refused("PUT", f"/api/accounts/{anna}/memberships/{tier}", body) == refused


async def test_members_see_their_own_and_set_nothing(desk, anna):
    other, client = await desk.account(), desk.client(anna)
    assert await client.refused("GET", "/api/membership", params={"account_id": other}) == (404, "not_found", "account_id")
    assert (await client.refused("PUT", f"/api/accounts/{anna}/memberships/vip", {"until_at": "30d"}))[:2] == (403, "forbidden")


async def test_accounts_that_do_not_exist(admin):
    assert await admin.refused("GET", "/api/membership?account_id=acc_none") == (404, "not_found", "account_id")
    assert (await admin.refused("PUT", "/api/accounts/acc_none/memberships/vip", {"until_at": "30d"}))[:2] == (404, "not_found")
