"""Tiers over HTTP."""

from __future__ import annotations

import pytest

GOLD = {
    "title": "Gold", "rank": 5, "multiplier_micro": 900_000, "limits": {"rpm": 600}, "models": ["gpt-*"], "monthly_nano": 20,
    "earns": [{"amount_nano": 20, "months": 1}, {"amount_nano": 40, "months": 6}], "window_days": 31,
}  # fmt: skip


async def test_everyone_who_is_signed_in_sees_them(ada, browser):
    assert [tier["name"] for tier in (await ada.get("/api/tiers")).json()["data"]] == ["free", "vip", "premium"]
    assert (await ada.get("/api/tiers/vip")).json()["title"] == "VIP"
    assert await ada.refused("GET", "/api/tiers/gold") == (404, "not_found", "tier")
    for path in ("", "/vip"):
        assert await browser.refused("GET", f"/api/tiers{path}") == (401, "not_signed_in", None)


async def test_administrators_set_them(admin, ada):
    answer = await admin.put("/api/tiers/gold", json=GOLD)
    made = answer.json()
    assert (made["name"], made["multiplier_micro"], made["limits"]["rpm"], made["earns"]) == ("gold", 900_000, 600, GOLD["earns"])
    assert (await ada.get("/api/tiers/gold")).json() == made
    least = (await admin.put("/api/tiers/gold", json={"title": "Gold", "rank": 5})).json()
    assert (least["multiplier_micro"], least["models"], least["earns"], least["limits"]["rpm"]) == (1_000_000, None, [], None)
    assert (await admin.delete("/api/tiers/gold")).status_code == 204
    assert await admin.refused("DELETE", "/api/tiers/gold") == (404, "not_found", "tier")
    assert await admin.refused("DELETE", "/api/tiers/free") == (409, "conflict", None)


async def test_members_do_not(ada):
    assert await ada.refused("PUT", "/api/tiers/vip", json=GOLD) == (403, "forbidden", None)
    assert await ada.refused("DELETE", "/api/tiers/vip") == (403, "forbidden", None)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"rank": "1"}, "rank"), ({"multiplier_micro": 0.9}, "multiplier_micro"), ({"multiplier_micro": -1}, "multiplier_micro"),
        ({"multiplier_micro": 10**9 + 1}, "multiplier_micro"), ({"monthly_nano": 0}, "monthly_nano"),
        ({"earns": [{"months": 1}]}, "earns.0.amount_nano"),
        ({"earns": [{"amount_nano": 1, "months": 1}] * 2}, "earns"), ({"limits": {"rpm": True}}, "limits.rpm"), ({"models": []}, "models"),
        ({"nope": 1}, "nope"), ({"title": ""}, "title"),
    ],
)  # fmt: skip
async def test_terms_that_are_none(admin, change, param):
    assert await admin.refused("PUT", "/api/tiers/gold", json=GOLD | change) == (400, "invalid_request", param)


async def test_names_that_are_none(admin):
    for name in ("Gold", "a%20b", "-a", "a" * 51):
        assert await admin.refused("PUT", f"/api/tiers/{name}", json=GOLD) == (400, "invalid_request", "name")
