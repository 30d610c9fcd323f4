"""The gate: sessions with their CSRF token, from our own pages; management keys; nothing else."""

from __future__ import annotations

import pytest

from penstock.accounts.api.gate import Gate
from penstock.accounts.identity import CLI
from penstock.kit.errors import PenstockError

SIGN_IN = {"email": "ada@example.com", "password": "correct horse battery"}


async def renamed(browser, **headers: str) -> bool:
    """Whether a change is let through; what refuses it must be the CSRF check."""
    answer = await browser.patch("/api/me", json={"name": "New"}, headers=headers)
    if answer.status_code != 200:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_refused")
    return answer.status_code == 200


async def test_changes_need_the_token_of_the_session(ada, admin):
    assert await renamed(ada)
    good = ada.headers.pop("x-csrf-token")
    assert not await renamed(ada)
    for wrong in ("", "x", good[:-1], good + "0", good.upper(), admin.headers["x-csrf-token"], ada.cookies["penstock_session"]):
        assert not await renamed(ada, **{"x-csrf-token": wrong})
    assert (await ada.patch("/api/me", json={"name": "New"}, headers={"x-csrf-token": b"\xff\xfe"})).status_code == 403
    assert (await ada.get("/api/me")).json()["name"] == "New"
    assert await renamed(ada, **{"x-csrf-token": good})


async def test_reading_needs_none(ada):
    del ada.headers["x-csrf-token"]
    assert (await ada.get("/api/me")).json()["csrf_token"]


async def test_a_new_session_has_a_new_token(ada):
    old = ada.headers["x-csrf-token"]
    await ada.sign_in("ada@example.com")
    assert ada.headers["x-csrf-token"] != old
    assert not await renamed(ada, **{"x-csrf-token": old})


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({"origin": "http://gateway.test"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "http://evil.test"}, False),
        ({"origin": "http://gateway.test.evil.test"}, False),
        ({"origin": "http://gateway.test:81"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://gateway.test"}, False),
    ],
)
async def test_other_sites_are_refused(ada, headers, good):
    assert await renamed(ada, **headers) is good
    answer = await ada.post("/api/sessions", json=SIGN_IN, headers=headers)
    assert answer.status_code == (201 if good else 403)


async def test_a_proxy_may_change_the_host_when_the_public_url_is_set(new_app, new_parts, settings, new_browser, new_account):
    await new_account("ada@example.com")
    behind = settings.model_copy(update={"public_url": "https://public.test"})
    browser = new_browser(of=new_app(new_parts(behind), behind))
    browser.base_url = "https://gateway.test"  # else the cookie would not be sent
    await browser.sign_in("ada@example.com")
    assert await renamed(browser, origin="https://public.test")
    assert await renamed(browser, origin="https://gateway.test")
    assert not await renamed(browser, origin="http://public.test")


async def test_management_keys(browser, ada, keys):
    keys.known["sk-one"] = (ada.account_id, "key_1")
    for shown in ("Bearer sk-one", "bearer  sk-one", "sk-one"):
        me = (await browser.get("/api/me", headers={"authorization": shown})).json()
        assert (me["id"], me["via"], me["csrf_token"]) == (ada.account_id, "key_1", None)
    answer = await browser.patch("/api/me", json={"name": "By key"}, headers={"authorization": "Bearer sk-one", "origin": "http://x.test"})
    assert answer.json()["name"] == "By key"


async def test_what_a_key_cannot_do(browser, ada, keys):
    keys.known["sk-one"] = (ada.account_id, "key_1")
    browser.headers["authorization"] = "Bearer sk-one"
    for method, path, body in (
        ("GET", "/api/sessions", None),
        ("DELETE", "/api/sessions", None),
        ("DELETE", "/api/sessions/current", None),
        ("PUT", "/api/me/password", {"current_password": "x", "new_password": "y" * 9 + "z"}),
        ("POST", "/api/me/email", {"email": "a@b.c", "password": "x"}),
        ("POST", "/api/me/delete", {"password": "x"}),
    ):
        assert (await browser.refused(method, path, json=body))[:2] == (403, "forbidden")


async def test_a_key_that_is_shown_counts_alone(ada):
    for shown in ("Bearer sk-wrong", "Bearer ", "Basic YTpi", ""):
        assert await ada.refused("GET", "/api/me", headers={"authorization": shown}) == (401, "invalid_key", None)


async def test_keys_of_disabled_and_deleted_accounts(browser, ada, keys, parts):
    keys.known["sk-one"] = (ada.account_id, "key_1")
    browser.headers["authorization"] = "Bearer sk-one"
    await parts.accounts.disable(CLI, ada.account_id)
    assert await browser.refused("GET", "/api/me") == (401, "account_disabled", None)
    assert await ada.refused("GET", "/api/me") == (401, "not_signed_in", None)
    await parts.accounts.delete(CLI, ada.account_id)
    assert await browser.refused("GET", "/api/me") == (401, "invalid_key", None)


@pytest.mark.parametrize("cookie", ["", "x", "0" * 64, "a" * 5000])
async def test_cookies_that_are_none(browser, cookie):
    browser.cookies.set("penstock_session", cookie)
    assert await browser.refused("GET", "/api/me") == (401, "not_signed_in", None)


async def test_a_key_that_was_shown_is_remembered_until_something_changes(parts, new_account):
    account = await new_account("ada@example.com")
    asked = []

    async def bearer(token: str, address: str) -> tuple[str, str] | None:
        asked.append((token, address))
        return (account.id, "key_a") if token == "sk-good" else None

    gate = Gate(parts.sessions, parts.accounts, (bearer,))
    for _ in range(2):
        assert (await gate._by_key("sk-good", "::1")).account_id == account.id
    assert len(asked) == 2
    gate.remember()
    for _ in range(3):
        assert (await gate._by_key("sk-good", "::1")).account_id == account.id
    assert len(asked) == 3
    await gate._by_key("sk-good", "10.0.0.1")
    assert len(asked) == 4
    gate.forget()
    await gate._by_key("sk-good", "::1")
    assert len(asked) == 5
    for _ in range(2):
        with pytest.raises(PenstockError):
            await gate._by_key("sk-bad", "::1")
    assert len(asked) == 7
