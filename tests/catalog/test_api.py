"""The control API of prices: administrators decide, everybody may see the list, and nothing is set by halves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from control_plane import ControlPlane
from penstock.accounts.identity import CLI
from penstock.accounts.models import Membership
from penstock.accounts.tiers import Terms, Tiers
from penstock.accounts.trail import Trail
from penstock.catalog.api import routes
from penstock.catalog.door import Catalog
from penstock.catalog.models import PriceInForce
from penstock.catalog.service import Prices
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from sold import sold_by

RATES = {"standard": {"input_mtok": "2.5", "output_mtok": "10"}}
STEPPED = {
    "standard": {"input_mtok": [{"above_tokens": 0, "dollars": "2"}, {"above_tokens": 1000, "dollars": "4"}]},
    "flex": {"input_mtok": "1"},
}
FAR = {"standard": {"input_mtok": "2500", "output_mtok": "10"}}


@pytest.fixture
async def plane(database: Database) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(database, routes, demo=True) as made:
        feed = Feed(database, every_s=0.01)
        catalog = Catalog(made.app.state.settings, database, feed)
        catalog.sold = sold_by(made.app.state.settings)
        made.app.state.prices, made.app.state.catalog = Prices(database), catalog
        await catalog.start()
        await feed.start()
        yield made
        await feed.stop()
        await catalog.stop()


@pytest.fixture
async def admin(plane: ControlPlane) -> httpx.AsyncClient:
    return await plane.browser(await plane.account("admin"))


def error(answer: httpx.Response) -> tuple[int, str, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["param"]


async def listed(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    return (await client.get("/api/prices", params=params)).json()["data"]


async def by_model(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await client.get("/api/price-list")
    assert answer.status_code == 200, answer.text
    return {entry["model"]: entry for entry in answer.json()["data"]}


async def test_set_list_and_retire(admin, plane, database):
    answer = await admin.post("/api/prices", json={"provider": "openai", "model": "owl", "rates": STEPPED, "output_cap": 9})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["rates"], made["output_cap"], made["free"]) == ("in_force", STEPPED, 9, False)
    assert made["effective_at"] == made["created_at"] == made["confirmed_at"]
    assert await listed(admin) == [made]
    assert (await admin.delete(f"/api/prices/{made['id']}")).status_code == 204
    assert await listed(admin) == []
    (retired,) = await listed(admin, retired=True)
    assert (retired["state"], retired["retired_at"] is None) == ("retired", False)
    events = (await Trail(database).list()).data
    assert [event.action for event in events if event.action.startswith("price")] == ["price.retire", "price.create"]
    assert {event.via for event in events if event.action.startswith("price")} == {"session"}


async def test_a_later_price_for_all_providers_by_a_management_key(plane):
    account = await plane.account("admin")
    program = plane.client((await plane.manager(account)).token)
    answer = await program.post("/api/prices", json={"model": "owl*", "free": True, "effective_at": "2099-01-01T00:00:00+02:00"})
    assert answer.status_code == 201, answer.text
    assert {"provider": "*", "state": "future", "effective_at": "2098-12-31T22:00:00Z", "rates": None}.items() <= answer.json().items()


async def test_pages(admin):
    for number in range(3):
        await admin.post("/api/prices", json={"model": f"m{number}", "free": True})
    first = (await admin.get("/api/prices", params={"limit": 2})).json()
    second = (await admin.get("/api/prices", params={"limit": 2, "cursor": first["next"]})).json()
    assert [one["model"] for one in first["data"] + second["data"]] == ["m2", "m1", "m0"]
    assert second["next"] is None
    assert [one["model"] for one in await listed(admin, model="m1")] == ["m1"]


async def test_a_jump_is_kept_and_can_be_confirmed(admin):
    answer = await admin.post("/api/prices", json={"provider": "openai", "model": "gpt-4o", "rates": FAR})
    assert error(answer) == (409, "price_jump", "rates")
    (waits,) = await listed(admin)
    assert (waits["state"], waits["confirmed_at"]) == ("waiting", None)
    assert waits["id"] in answer.json()["error"]["message"]
    assert (await admin.post(f"/api/prices/{waits['id']}/confirm")).status_code == 204
    assert (await listed(admin))[0]["state"] == "in_force"
    sure = await admin.post("/api/prices", json={"provider": "openai", "model": "o3", "rates": FAR, "confirm": True})
    assert sure.status_code == 201


async def test_official_prices_that_wait_are_shown_and_confirmed(admin, database):
    async with database.session() as session:
        session.add(PriceInForce(provider="openai", model="o3", version="old", pending_version="new", changed_at_ms=1000))
    waiting = (await admin.get("/api/prices")).json()["waiting"]
    assert waiting == [
        {
            "id": "official/openai/o3",
            "provider": "openai",
            "model": "o3",
            "since": "1970-01-01T00:00:01Z",
            "rates_in_force": None,
            "rates": None,
        }
    ]
    for path in ("official/openai/o3", "official%2Fopenai%2Fo3"):
        assert (await admin.post(f"/api/prices/{path}/confirm")).status_code == 204
    assert (await admin.get("/api/prices")).json()["waiting"] == []


async def test_import_and_export(admin):
    found = {
        "format": "penstock-prices/1",
        "prices": [{"provider": "*", "model": "owl", "rates": RATES}, {"provider": "openai", "model": "gift", "free": True}],
        "multipliers": [{"model": "owl", "multiplier_micro": 1_250_000}],
    }
    dry = (await admin.post("/api/prices/import", json=found, params={"dry_run": True})).json()
    assert (dry["dry_run"], [one["model"] for one in dry["set"]], dry["multipliers"]) == (True, ["owl", "gift"], 1)
    assert await listed(admin) == []
    assert (await admin.post("/api/prices/import", json=found)).json() == {**dry, "dry_run": False}
    assert (await admin.post("/api/prices/import", json=found)).json() == {
        "dry_run": False, "set": [], "unchanged": 2, "multipliers": 0, "skipped": [],
    }  # fmt: skip
    out = await admin.get("/api/prices/export")
    assert out.headers["content-disposition"] == 'attachment; filename="prices.json"'
    assert [one["model"] for one in out.json()["prices"]] == ["gift", "owl"]
    assert (await admin.post("/api/prices/import", json=out.json())).json()["unchanged"] == 2


async def test_a_list_of_litellm_is_imported(admin):
    found = {
        "owl": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05},
        "far": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": "free"},
    }
    assert error(await admin.post("/api/prices/import", json=found)) == (400, "invalid_request", "far")
    del found["far"]
    answer = (await admin.post("/api/prices/import", json=found)).json()
    assert answer["set"] == [{"provider": "openai", "model": "owl", "jump": None}]
    assert (await listed(admin))[0]["rates"] == RATES


async def test_an_import_with_a_jump_sets_nothing(admin):
    prices = [{"provider": "openai", "model": "owl", "rates": RATES}, {"provider": "openai", "model": "gpt-4o", "rates": FAR}]
    found = {"format": "penstock-prices/1", "prices": prices}
    assert error(await admin.post("/api/prices/import", json=found))[:2] == (409, "price_jump")
    assert await listed(admin) == []
    assert len((await admin.post("/api/prices/import", json=found, params={"confirm": True})).json()["set"]) == 2


@pytest.mark.parametrize(
    ("body", "code"), [(b"", "invalid_json"), (b"[1]", "invalid_request"), (b" " * (16 * 2**20 + 1), "body_too_large")]
)
async def test_what_is_no_set_is_refused(admin, body, code):
    assert error(await admin.post("/api/prices/import", content=body))[1] == code


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "x"}, "rates"),
        ({"model": "", "free": True}, "model"),
        ({"model": "x", "free": 1}, "free"),
        ({"model": "x", "free": True, "more": 1}, "more"),
        ({"model": "x", "free": True, "provider": "nonesuch"}, "provider"),
        ({"model": "x", "free": True, "output_cap": 1.5}, "output_cap"),
        ({"model": "x", "free": True, "output_cap": 0}, "output_cap"),
        ({"model": "x", "free": True, "effective_at": "tomorrow"}, "effective_at"),
        ({"model": "x", "free": True, "effective_at": "2020-01-01"}, "effective_at"),
        ({"model": "x", "rates": {"standard": {"input_mtok": "-1"}}}, "rates.standard.input_mtok"),
        ({"model": "x", "rates": {"standard": {"input_mtok": 2.5}}}, None),
        ({"model": "x", "rates": {"standard": {"input_mtok": "0"}}}, "rates"),
        ({"model": "x", "rates": {"flex": {"input_mtok": "1"}}}, "rates"),
        ({"model": "x", "rates": {"standard": {"nonesuch_mtok": "1"}}}, "rates.standard"),
    ],
)
async def test_what_cannot_be_a_price_is_refused(admin, body, param):
    status, code, shown = error(await admin.post("/api/prices", json=body))
    assert (status, code) == (400, "invalid_request")
    assert param is None or shown == param
    assert await listed(admin) == []


async def test_multipliers(admin):
    for model, micro in (("gpt-*", 1_100_000), ("vendor/owl", 0)):
        answer = await admin.put(f"/api/multipliers/{model}", json={"multiplier_micro": micro})
        assert (answer.json()["model"], answer.json()["multiplier_micro"]) == (model, micro)
    found = (await admin.get("/api/multipliers")).json()["data"]
    assert [(one["model"], one["multiplier_micro"]) for one in found] == [("gpt-*", 1_100_000), ("vendor/owl", 0)]
    assert (await admin.delete("/api/multipliers/vendor/owl")).status_code == 204
    assert error(await admin.delete("/api/multipliers/vendor/owl")) == (404, "not_found", "model")
    for wrong in (-1, 10**9 + 1, 1.5, "1", True, None):
        assert error(await admin.put("/api/multipliers/x", json={"multiplier_micro": wrong}))[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/prices/%00"), ("DELETE", "/api/prices/%ff"), ("POST", "/api/prices/%00/confirm"),
        ("POST", "/api/prices/official/%00/x/confirm"), ("GET", "/api/prices?model=%00"),
        ("PUT", "/api/multipliers/a%00b"), ("DELETE", "/api/multipliers/%00"), ("DELETE", "/api/multipliers/"),
    ],
)  # fmt: skip
async def test_names_that_no_database_takes_are_refused(admin, method, path):
    body = {"multiplier_micro": 1} if method == "PUT" else None
    assert error(await admin.request(method, path, json=body))[:2] == (400, "invalid_request")


GUARDED = [
    ("GET", "/api/prices"), ("POST", "/api/prices"), ("POST", "/api/prices/import"), ("GET", "/api/prices/export"),
    ("POST", "/api/prices/prc_x/confirm"), ("DELETE", "/api/prices/prc_x"), ("GET", "/api/multipliers"), ("PUT", "/api/multipliers/x"),
    ("DELETE", "/api/multipliers/x"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_only_administrators_decide(plane, method, path):
    member = await plane.browser(await plane.account())
    body = None if method in ("GET", "DELETE") else {"model": "x", "free": True, "multiplier_micro": 1}
    for client, wanted in ((plane.client(), (401, "not_signed_in")), (member, (403, "forbidden"))):
        assert error(await client.request(method, path, json=body))[:2] == wanted


async def test_every_route_that_administers_is_tried_above(plane):
    found = {(method, route.path) for route in routes.routes for method in route.methods}
    assert len(found - {("GET", "/api/price-list")}) == len(GUARDED)


async def test_the_price_list_is_for_everybody(plane, admin, until):
    await admin.put("/api/multipliers/demo-tool", json={"multiplier_micro": 1_250_000})
    await admin.post("/api/prices", json={"provider": "demo", "model": "gift", "free": True})
    await until(lambda: "gift" in plane.app.state.catalog._shelf.snapshot.named)
    found = await by_model(plane.client())
    assert found["demo"]["rates"]["standard"]["input_mtok"] == "1"
    tool = found["demo-tool"]
    rates = tool.pop("rates")
    assert tool == {"model": "demo-tool", "provider": "demo", "free": False, "multiplier_micro": 1_250_000, "context_tokens": None}
    assert (rates.keys(), rates["standard"]["input_mtok"]) == ({"standard"}, "1.25")
    assert (found["gift"]["free"], found["gift"]["rates"]) == (True, {})


async def test_the_price_list_of_a_member_is_theirs(plane, database):
    account = await plane.account()
    await Tiers(database).put(CLI, "gold", Terms("Gold", 9, multiplier_micro=800_000))
    async with database.session() as session:
        session.add(Membership(account_id=account, tier="gold", started_at_ms=0, until_ms=2**62))
    anybody = plane.client()
    browser, program = await plane.browser(account), plane.client((await plane.manager(account)).token)
    assert [(await by_model(client))["demo"]["rates"]["standard"]["output_mtok"] for client in (anybody, browser, program)] == [
        "2",
        "1.6",
        "1.6",
    ]
    assert (await anybody.get("/api/price-list")).headers["cache-control"] == "public, max-age=60"
    assert (await browser.get("/api/price-list")).headers["cache-control"] == "no-store"


async def test_a_session_that_has_ended_sees_what_everybody_sees_and_a_wrong_key_is_told(plane):
    stale = plane.client()
    stale.cookies.set("penstock_session", "nonesuch")
    assert (await by_model(stale))["demo"]["multiplier_micro"] == 1_000_000
    assert error(await plane.client("sk-nonesuch").get("/api/price-list"))[:2] == (401, "invalid_key")


async def test_the_document_describes_it(plane):
    document = plane.app.openapi()
    assert document["paths"]["/api/price-list"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert {"price_list", "create_price", "put_multiplier"} <= {
        operation["operationId"].partition("_api_")[0] for path in document["paths"].values() for operation in path.values()
    }
