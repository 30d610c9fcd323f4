"""OpenAI's old billing URLs: what is left of a key and what it has used, as programs have always asked."""

from __future__ import annotations

import pytest

from control_plane import ControlPlane
from made_charges import DAY_MS
from penstock.accounts.identity import CLI
from penstock.accounts.trail import Trail
from penstock.billing.grants import Gift, Grants
from penstock.billing.rollup import roll_up
from penstock.billing.usage import Statistics
from penstock.compat.dashboard import Dashboard
from penstock.keys.door import KeyRing
from penstock.kit.clock import iso, now_ms

DOLLAR = 10**9
PREFIXES = ("/dashboard/billing", "/v1/dashboard/billing")


@pytest.fixture
async def ring(database):
    made = KeyRing(database)
    yield made
    await made.stop()


@pytest.fixture
async def plane(database, ring):
    async with ControlPlane(database) as made:
        made.grants = Grants(database, Trail(database))
        made.app.include_router(Dashboard(ring, Statistics(database), made.ledger, made.grants).router())
        yield made


@pytest.fixture
async def key(plane):
    """A key of an account with ten dollars, of which it has used one and a half."""
    account_id = await plane.account()
    await plane.top_up(account_id, 10 * DOLLAR)
    made = await plane.keys.create("program", account_id=account_id)
    await plane.charge(account_id, made.key.id, DOLLAR, now_ms() - 2 * DAY_MS)
    await plane.charge(account_id, made.key.id, DOLLAR // 2)
    await roll_up(plane.database)
    return made


async def read(client, path, **params):
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_what_is_left_is_the_limit_less_the_usage(plane, key, prefix):
    """No charge here drew on the balance, so it is still whole."""
    client = plane.client(key.token)
    subscription = await read(client, f"{prefix}/subscription")
    assert subscription == {
        "object": "billing_subscription", "has_payment_method": True, "soft_limit_usd": 11.5, "hard_limit_usd": 11.5,
        "system_hard_limit_usd": 11.5, "access_until": 0,
    }  # fmt: skip
    usage = await read(client, f"{prefix}/usage")
    assert usage == {"object": "list", "daily_costs": [], "total_usage": 150}
    assert subscription["hard_limit_usd"] - usage["total_usage"] / 100 == 10


async def test_dates_choose_the_days(plane, key):
    client = plane.client(key.token)
    today = now_ms() // DAY_MS * DAY_MS

    def day(at_ms):
        return iso(at_ms)[:10]

    found = await read(client, "/v1/dashboard/billing/usage", start_date=day(today - 10 * DAY_MS), end_date=day(today + DAY_MS))
    assert found["total_usage"] == 150
    assert sum(item["cost"] for one in found["daily_costs"] for item in one["line_items"]) == 150
    early = await read(client, "/v1/dashboard/billing/usage", start_date=day(today - 10 * DAY_MS), end_date=day(today - DAY_MS))
    assert sum(item["cost"] for one in early["daily_costs"] for item in one["line_items"]) == 100
    assert [one["timestamp"] % 86_400 for one in early["daily_costs"]] == [0]
    assert (await read(client, "/v1/dashboard/billing/usage", end_date=day(today + DAY_MS)))["daily_costs"]


@pytest.mark.parametrize(
    "given",
    [
        {"start_date": "soon"},
        {"end_date": "2026-02-30"},
        {"start_date": "2026-01-02", "end_date": "2026-01-01"},
        {"start_date": "2000-01-01"},
    ],
)
async def test_dates_that_are_none(plane, key, given):
    answer = await plane.client(key.token).get("/dashboard/billing/usage", params=given)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


async def test_the_cap_of_a_key_counts_if_it_is_less(plane, key):
    capped = await plane.keys.create("capped", account_id=key.key.account_id, limits={"total_nano": 2 * DOLLAR})
    await plane.charge(key.key.account_id, capped.key.id, DOLLAR // 4)
    client = plane.client(capped.token)
    assert (await read(client, "/dashboard/billing/subscription"))["hard_limit_usd"] == 2
    assert (await read(client, "/dashboard/billing/usage"))["total_usage"] == 25
    await plane.charge(key.key.account_id, capped.key.id, 5 * DOLLAR)
    assert (await read(client, "/dashboard/billing/credit_grants"))["total_available"] == 0


async def test_without_any_limit(plane):
    made = await plane.keys.create("operator's")
    found = await read(plane.client(made.token), "/dashboard/billing/subscription")
    assert found["hard_limit_usd"] == 100_000_000


async def test_grants(plane, key):
    async with plane.database.session() as session:
        await plane.grants.grant(session, CLI, Gift(key.key.account_id, DOLLAR // 10, now_ms() + DAY_MS))
    found = await read(plane.client(key.token), "/v1/dashboard/billing/credit_grants")
    assert (found["total_granted"], found["total_used"], found["total_available"]) == (11.6, 1.5, 10.1)
    [grant] = found["grants"]["data"]
    assert (grant["grant_amount"], grant["used_amount"], grant["object"]) == (0.1, 0, "credit_grant")


async def test_amounts_are_exact_numbers(plane):
    account_id = await plane.account()
    await plane.top_up(account_id, 9_007_199_254_740_993)
    made = await plane.keys.create("exact", account_id=account_id)
    answer = await plane.client(made.token).get("/dashboard/billing/subscription")
    assert '"hard_limit_usd":9007199.254740993,' in answer.text


@pytest.mark.parametrize(("token", "code"), [(None, "missing_key"), ("sk-wrong", "invalid_key")])
async def test_only_a_key_opens(plane, token, code):
    for name in ("subscription", "usage", "credit_grants"):
        answer = await plane.client(token).get(f"/v1/dashboard/billing/{name}")
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == code
        assert answer.json()["error"]["type"] == "authentication_error"


async def test_keys_that_may_not_be_used_tell_nothing(plane, key):
    elsewhere = await plane.keys.create("elsewhere", account_id=key.key.account_id, networks=["10.0.0.0/8"])
    assert (await plane.client(elsewhere.token).get("/dashboard/billing/usage")).status_code == 403
    assert (await plane.client(elsewhere.token, "10.1.2.3").get("/dashboard/billing/usage")).status_code == 200
    await plane.keys.disable(key.key.id)
    assert (await plane.client(key.token).get("/dashboard/billing/usage")).status_code == 401


async def test_a_database_that_is_away(plane, key, outage):
    client = plane.client(key.token)
    await read(client, "/dashboard/billing/usage")
    async with outage():
        answer = await client.get("/dashboard/billing/usage")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
