"""One's own account over HTTP: see, change, leave, and take everything along."""

from __future__ import annotations

import pytest

from penstock.accounts.models import Membership

PASSWORD, OTHER = "correct horse battery", "another horse battery"


async def test_me(ada, database, clock):
    async with database.session() as session:
        session.add(Membership(account_id=ada.account_id, tier="vip", started_at_ms=0, until_ms=clock.ms + 5000))
    me = (await ada.get("/api/me")).json()
    assert me["tier"] == {"name": "vip", "title": "VIP", "until_at": "2023-11-14T22:13:25Z"}
    assert me["limits"]["window"] == "calendar" and me["limits"]["rpm"] is None
    assert me["state"] == "active" and "password" not in me


async def test_change_ones_name_and_nothing_else(ada):
    assert (await ada.patch("/api/me", json={"name": "Ada L."})).json()["name"] == "Ada L."
    for field, value in (("role", "admin"), ("prepaid", False), ("email", "x@y.z"), ("limits", {})):
        assert await ada.refused("PATCH", "/api/me", json={"name": "x", field: value}) == (400, "invalid_request", field)
    assert await ada.refused("PATCH", "/api/me", json={}) == (400, "invalid_request", "name")


async def test_change_password(ada, new_browser):
    phone = new_browser()
    await phone.sign_in("ada@example.com")
    wrong = await ada.refused("PUT", "/api/me/password", json={"current_password": "wrong", "new_password": OTHER})
    assert wrong == (401, "wrong_credentials", "current_password")
    assert (await ada.put("/api/me/password", json={"current_password": PASSWORD, "new_password": OTHER})).status_code == 204
    assert (await ada.get("/api/me")).status_code == 200
    assert (await phone.get("/api/me")).status_code == 401


async def test_delete(ada, browser):
    assert await ada.refused("POST", "/api/me/delete", json={"password": "wrong"}) == (401, "wrong_credentials", "password")
    answer = await ada.post("/api/me/delete", json={"password": PASSWORD})
    assert answer.status_code == 204 and "penstock_session" not in ada.cookies
    gone = await browser.refused("POST", "/api/sessions", json={"email": "ada@example.com", "password": PASSWORD})
    assert gone == (401, "wrong_credentials", None)


async def test_the_last_administrator_cannot_leave(admin):
    assert await admin.refused("POST", "/api/me/delete", json={"password": PASSWORD}) == (409, "conflict", None)


async def test_export(ada):
    answer = await ada.get("/api/me/export")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f'attachment; filename="{ada.account_id}.json"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json()["account"]["email"] == "ada@example.com"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("PATCH", ""), ("PUT", "/password"), ("POST", "/email"), ("POST", "/delete"), ("GET", "/export")]
)
async def test_nobody_is_nobody(browser, method, path):
    body = {"name": "x", "password": "x", "email": "a@b.c", "current_password": "x", "new_password": OTHER}
    fields = {"": ["name"], "/password": ["current_password", "new_password"], "/email": ["email", "password"], "/delete": ["password"]}
    given = {name: body[name] for name in fields.get(path, [])} if method != "GET" else None
    assert await browser.refused(method, f"/api/me{path}", json=given) == (401, "not_signed_in", None)
