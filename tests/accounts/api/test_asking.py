"""What routes ask: who, on whose account, which page, and whether it was asked before."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends
from pydantic import BaseModel, StrictInt

from penstock.accounts.api.asking import Admin, Id, InPerson, On, Once, Paging, Who, same_site
from penstock.accounts.repeats import Repeats
from penstock.kit.pages import encode


class Amount(BaseModel):
    amount_nano: StrictInt


@pytest.fixture
def app(app, parts):
    """The application, with routes that use everything."""
    done: list[int] = []

    @app.post("/api/try/once")
    async def once(body: Amount, repeat: Once) -> dict[str, int]:
        async def act(session) -> dict[str, int]:
            done.append(body.amount_nano)
            return {"number": len(done), "amount_nano": body.amount_nano}

        repeats: Repeats = app.state.repeats
        return await repeats.once(repeat, act, dict[str, int])

    @app.get("/api/try/on")
    async def on(account_id: On) -> str:
        return account_id

    @app.get("/api/try/paging")
    async def paging(place: Paging, who: Who) -> tuple[str | None, int]:
        return place.after, place.limit

    @app.get("/api/try/admin/{thing_id}")
    async def admin(who: Admin, thing_id: Id) -> str:
        return thing_id

    @app.get("/api/try/person")
    async def person(me: InPerson) -> str:
        return me.account_id

    @app.post("/api/try/site", dependencies=[Depends(same_site)])
    async def site(text: Annotated[str, "x"] = "") -> str:
        return "ok"

    return app


async def test_once(ada, admin):
    async def ask(browser, key: str | None, amount_nano: int = 5, query: str = "") -> tuple[int, str]:
        headers = {} if key is None else {"idempotency-key": key}
        answer = await browser.post(f"/api/try/once{query}", json={"amount_nano": amount_nano}, headers=headers)
        body = answer.json()
        return answer.status_code, body["error"]["code"] if "error" in body else body["number"]

    assert await ask(ada, "k1") == (200, 1)
    assert await ask(ada, "k1") == (200, 1)
    assert await ask(ada, "k1", 6) == (409, "idempotency_conflict")
    assert await ask(ada, "k1", query="?account_id=acc_x") == (409, "idempotency_conflict")
    assert await ask(ada, "k2") == (200, 2)
    assert await ask(ada, None) == (200, 3)
    assert await ask(ada, None) == (200, 4)
    assert await ask(admin, "k1") == (200, 5)
    assert await ask(ada, "k1") == (200, 1)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb"])
async def test_keys_that_are_none(ada, key):
    answer = await ada.refused("POST", "/api/try/once", json={"amount_nano": 1}, headers={"idempotency-key": key})
    assert answer == (400, "invalid_request", "idempotency-key")


async def test_on_whose_account(ada, admin):
    assert (await ada.get("/api/try/on")).json() == ada.account_id
    assert (await ada.get(f"/api/try/on?account_id={ada.account_id}")).json() == ada.account_id
    for other in (admin.account_id, "acc_nobody"):
        assert await ada.refused("GET", f"/api/try/on?account_id={other}") == (404, "not_found", "account_id")
    assert (await admin.get(f"/api/try/on?account_id={ada.account_id}")).json() == ada.account_id
    for wrong in ("", "a b", "x" * 101, "%00", "a%2Fb"):
        assert (await admin.refused("GET", f"/api/try/on?account_id={wrong}"))[:2] == (400, "invalid_request")


async def test_paging(ada):
    assert (await ada.get("/api/try/paging")).json() == [None, 50]
    assert (await ada.get(f"/api/try/paging?limit=200&cursor={encode('evt_1')}")).json() == ["evt_1", 200]
    for query, param in (("limit=0", "limit"), ("limit=201", "limit"), ("limit=1.5", "limit"), ("limit=x", "limit"), ("cursor=", "cursor"),
                         ("cursor=!!", "cursor"), (f"cursor={encode('a')}x", "cursor"), (f"cursor={'A' * 601}", "cursor")):  # fmt: skip
        assert await ada.refused("GET", f"/api/try/paging?{query}") == (400, "invalid_request", param)


async def test_administrators(ada, admin, browser):
    assert (await admin.get("/api/try/admin/x-1")).json() == "x-1"
    assert await ada.refused("GET", "/api/try/admin/x") == (403, "forbidden", None)
    assert await browser.refused("GET", "/api/try/admin/x") == (401, "not_signed_in", None)
    assert (await admin.refused("GET", f"/api/try/admin/{'x' * 101}"))[:2] == (400, "invalid_request")


async def test_in_person(ada, browser, keys):
    assert (await ada.get("/api/try/person")).json() == ada.account_id
    keys.known["sk-one"] = (ada.account_id, "key_1")
    assert await browser.refused("GET", "/api/try/person", headers={"authorization": "Bearer sk-one"}) == (403, "forbidden", None)


async def test_same_site(browser):
    assert (await browser.post("/api/try/site")).json() == "ok"
    refused = await browser.refused("POST", "/api/try/site", headers={"origin": "http://evil.test"})
    assert refused == (403, "csrf_refused", "origin")


def test_the_document_says_how_to_get_in(app):
    document = app.openapi()
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"apiKey", "http"}
    assert document["paths"]["/api/me"]["get"]["security"]
