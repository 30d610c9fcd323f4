"""Forgotten passwords over HTTP."""

from __future__ import annotations

OTHER = "another horse battery"


async def test_reset(ada, browser, mail):
    assert (await browser.post("/api/password-resets", json={"email": "ada@example.com"})).status_code == 202
    _, token = await mail.link()
    short = await browser.refused("POST", "/api/password-resets/complete", json={"token": token, "password": "short"})
    assert short == (400, "invalid_request", "password")
    browser.entered(await browser.post("/api/password-resets/complete", json={"token": token, "password": OTHER}))
    assert (await browser.get("/api/me")).status_code == 200
    assert await ada.refused("GET", "/api/me") == (401, "not_signed_in", None)
    again = await browser.refused("POST", "/api/password-resets/complete", json={"token": token, "password": OTHER})
    assert again == (400, "invalid_request", "token")
    await ada.sign_in("ada@example.com", OTHER)


async def test_asking_again_and_again(browser):
    answers = [await browser.post("/api/password-resets", json={"email": "nobody@example.com"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert answers[-1].headers["retry-after"] == "60"
