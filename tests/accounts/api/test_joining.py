"""Joining over HTTP: the same answer whoever has an account, and an account only for whoever has the link."""

from __future__ import annotations

import pytest

PASSWORD = "correct horse battery"


async def test_register_confirm_and_be_in(browser, mail):
    answer = await browser.post("/api/registrations", json={"email": "ada@example.com"})
    assert (answer.status_code, answer.json()) == (202, {"sent": True})
    _, token = await mail.link()
    given = {"token": token, "name": "Ada", "password": PASSWORD}
    browser.entered(await browser.post("/api/confirmations", json=given))
    me = (await browser.get("/api/me")).json()
    assert (me["email"], me["role"], me["prepaid"]) == ("ada@example.com", "member", True)
    assert await browser.refused("POST", "/api/confirmations", json=given) == (400, "invalid_request", "token")


async def test_the_answer_does_not_tell_who_has_an_account(ada, new_browser, parts):
    answers = []
    for email in ("ada@example.com", "nobody@example.com"):
        for path in ("/api/registrations", "/api/password-resets"):
            answer = await new_browser().post(path, json={"email": email})
            answers.append((path, answer.status_code, answer.text, sorted(set(answer.headers) - {"x-request-id"})))
    assert answers[:2] == answers[2:]
    await parts.post.finished()


async def test_invitations(admin, ada, mail, new_browser):
    invited = await admin.post("/api/invitations", json={"email": "eve@example.com", "role": "admin"})
    assert invited.status_code == 202
    _, token = await mail.link()
    eve = new_browser()
    joined = eve.entered(await eve.post("/api/confirmations", json={"token": token, "name": "Eve", "password": PASSWORD}))
    assert joined["account"]["role"] == "admin"
    taken = await admin.refused("POST", "/api/invitations", json={"email": "eve@example.com"})
    assert taken == (409, "conflict", "email")
    assert await ada.refused("POST", "/api/invitations", json={"email": "x@example.com", "role": "admin"}) == (403, "forbidden", None)
    assert await new_browser().refused("POST", "/api/invitations", json={"email": "x@example.com"}) == (401, "not_signed_in", None)


async def test_another_address(ada, mail, browser):
    given = {"email": "ada@example.org", "password": PASSWORD}
    assert (await ada.post("/api/me/email", json=given)).status_code == 202
    page, token = await mail.link()
    assert page == "confirm-email"
    assert (await browser.post("/api/confirmations/email", json={"token": token})).status_code == 204
    assert (await ada.get("/api/me")).json()["email"] == "ada@example.org"
    assert await browser.refused("POST", "/api/confirmations/email", json={"token": token}) == (400, "invalid_request", "token")


@pytest.mark.parametrize("path", ["/api/registrations", "/api/confirmations", "/api/confirmations/email", "/api/password-resets"])
async def test_other_sites_are_refused(browser, path):
    body = {"email": "ada@example.com"} if path[-1] == "s" and "conf" not in path else {"token": "x", "name": "x", "password": PASSWORD}
    body = {"token": "x"} if path.endswith("email") else body
    assert await browser.refused("POST", path, json=body, headers={"sec-fetch-site": "cross-site"}) == (403, "csrf_refused", "origin")
