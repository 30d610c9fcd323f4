"""Setting up over HTTP: once, with the token, never with a default password."""

from __future__ import annotations

import asyncio

GIVEN = {"name": "Root", "email": "root@example.com", "password": "correct horse battery"}


async def test_set_up(browser, parts, new_browser):
    assert (await browser.get("/api/setup")).json() == {"is_set_up": False}
    token = await parts.tickets.first_admin()
    answer = await browser.post("/api/setup", json={"token": token, **GIVEN})
    assert answer.status_code == 201 and answer.json()["account"]["id"] == "acc_operator"
    browser.entered(answer)
    assert (await browser.get("/api/accounts")).status_code == 200
    assert (await browser.get("/api/setup")).json() == {"is_set_up": True}
    again = await new_browser().refused("POST", "/api/setup", json={"token": token, **GIVEN})
    assert again == (400, "invalid_request", "token")


async def test_what_is_refused(browser, parts):
    token = await parts.tickets.first_admin()
    for change, param in (
        ({"token": "0" * 64}, "token"), ({"password": "short"}, "password"), ({"password": "root@example.com"}, "password"),
        ({"email": "root"}, "email"), ({"name": ""}, "name"), ({"name": "a\x00"}, "name"), ({"role": "admin"}, "role"),
    ):  # fmt: skip
        refused = await browser.refused("POST", "/api/setup", json={"token": token, **GIVEN} | change)
        assert refused == (400, "invalid_request", param)
    foreign = await browser.refused("POST", "/api/setup", json={"token": token, **GIVEN}, headers={"origin": "http://evil.test"})
    assert foreign == (403, "csrf_refused", "origin")
    assert (await browser.post("/api/setup", json={"token": token, **GIVEN})).status_code == 201


async def test_at_once_one_wins(new_browser, parts):
    token = await parts.tickets.first_admin()
    answers = await asyncio.gather(*(new_browser().post("/api/setup", json={"token": token, **GIVEN}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400, 400]


async def test_nobody_signs_in_before(browser):
    for email in ("operator", "admin@example.com", "acc_operator", ""):
        for password in ("", "admin", "operator", "penstock"):
            answer = await browser.post("/api/sessions", json={"email": email or "a@b", "password": password or "x"})
            assert answer.status_code in (400, 401, 429)
