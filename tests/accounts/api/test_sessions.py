"""Signing in and out over HTTP: the cookie, the list, the ends."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest

PASSWORD = "correct horse battery"


def cookie_of(answer) -> dict[str, str]:
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return {"name": morsel.key, "value": morsel.value, **{name: str(value) for name, value in morsel.items() if value}}


async def test_sign_in_and_out(ada, browser):
    me = (await ada.get("/api/me")).json()
    assert (me["name"], me["email"], me["role"], me["via"]) == ("ada", "ada@example.com", "member", "session")
    assert await browser.refused("GET", "/api/me") == (401, "not_signed_in", None)
    answer = await ada.delete("/api/sessions/current")
    assert (answer.status_code, cookie_of(answer)["max-age"]) == (204, "0")
    assert await ada.refused("GET", "/api/me") == (401, "not_signed_in", None)


async def test_the_cookie(browser, new_account):
    await new_account("ada@example.com")
    answer = await browser.post("/api/sessions", json={"email": "ada@example.com", "password": PASSWORD})
    cookie = cookie_of(answer)
    assert (cookie["name"], cookie["httponly"], cookie["samesite"], cookie["path"]) == ("penstock_session", "True", "lax", "/")
    assert "secure" not in cookie and "domain" not in cookie and len(cookie["value"]) == 64
    body = answer.json()
    assert cookie["value"] not in answer.text and body["csrf_token"] != cookie["value"]
    assert body["account"]["email"] == "ada@example.com" and body["expires_at"] == "2023-12-14T22:13:20Z"
    assert answer.headers["cache-control"] == "no-store"


async def test_over_tls_the_cookie_stays_there(new_app, new_parts, settings, new_browser, new_account):
    await new_account("ada@example.com")
    secured = settings.model_copy(update={"public_url": "https://gateway.test"})
    for app, base in (
        (new_app(new_parts(secured), secured), "http://gateway.test"),
        (new_app(new_parts(settings), settings), "https://x.test"),
    ):
        browser = new_browser(of=app)
        browser.base_url = base
        answer = await browser.post("/api/sessions", json={"email": "ada@example.com", "password": PASSWORD})
        assert cookie_of(answer)["secure"] == "True"


async def test_a_planted_cookie_is_replaced(new_browser, ada, parts):
    """Whoever can set a cookie in somebody's browser has no session of theirs afterwards."""
    eve = new_browser("10.6.6.6")
    await eve.sign_in("ada@example.com")
    victim = new_browser()
    victim.cookies = eve.cookies
    planted = eve.cookies["penstock_session"]
    await victim.sign_in("ada@example.com")
    assert victim.cookies["penstock_session"] != planted
    assert await parts.sessions.find(planted) is None


async def test_wrong_credentials(browser, new_account):
    await new_account("ada@example.com")
    for email, password in (("ada@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("x" * 5, "y")):
        given = {"email": email, "password": password}
        assert await browser.refused("POST", "/api/sessions", json=given) == (401, "wrong_credentials", None)
    assert "penstock_session" not in browser.cookies


async def test_too_many_failures(browser, new_account):
    await new_account("ada@example.com")
    given = {"email": "ada@example.com", "password": "wrong"}
    statuses = [(await browser.post("/api/sessions", json=given)).status_code for _ in range(7)]
    assert statuses == [401] * 6 + [429]
    answer = await browser.post("/api/sessions", json=given)
    assert (answer.headers["retry-after"], answer.json()["error"]["code"]) == ("1", "too_many_requests")


async def test_list_and_end(ada, new_browser):
    phone = new_browser("10.0.0.2")
    phone.headers["user-agent"] = "Phone"
    await phone.sign_in("ada@example.com")
    listed = (await ada.get("/api/sessions")).json()["data"]
    assert min((one["agent"], one["address"], one["current"]) for one in listed) == ("Phone", "10.0.0.2", False)
    assert sum(one["current"] for one in listed) == 1
    (theirs,) = (one["id"] for one in listed if not one["current"])
    assert (await ada.delete(f"/api/sessions/{theirs}")).status_code == 204
    assert await phone.refused("GET", "/api/me") == (401, "not_signed_in", None)
    assert await ada.refused("DELETE", f"/api/sessions/{theirs}") == (404, "not_found", None)


async def test_end_the_others(ada, new_browser):
    phone = new_browser()
    await phone.sign_in("ada@example.com")
    assert (await ada.delete("/api/sessions")).status_code == 204
    assert (await ada.get("/api/me")).status_code == 200
    assert (await phone.get("/api/me")).status_code == 401


async def test_sessions_of_others_are_not_there(ada, admin):
    (theirs,) = (await admin.get("/api/sessions")).json()["data"]
    assert await ada.refused("DELETE", f"/api/sessions/{theirs['id']}") == (404, "not_found", None)
    assert (await admin.get("/api/me")).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@b.c"}, {"email": 1, "password": "x"}, {"email": "a@b.c", "password": "x" * 1025}, [], None]
)
async def test_bodies_that_are_none(browser, body):
    status, code, _ = await browser.refused("POST", "/api/sessions", json=body)
    assert (status, code) in ((400, "invalid_request"), (400, "invalid_json"))
