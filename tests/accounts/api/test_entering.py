"""Entering: the browser that asks, as it is kept with its session."""

from __future__ import annotations


async def test_the_browser_is_kept_with_the_session(new_browser, new_account):
    await new_account("ada@example.com")
    for address, shown in (("2001:db8::1", "2001:db8::1"), ("x" * 100, "x" * 64)):
        browser = new_browser(address)
        browser.headers["user-agent"] = "Fire\x01fox"
        await browser.sign_in("ada@example.com")
        listed = (await browser.get("/api/sessions")).json()["data"]
        (current,) = (one for one in listed if one["current"])
        assert (current["address"], current["agent"]) == (shown, "Firefox")


async def test_without_an_agent(new_browser, new_account):
    await new_account("ada@example.com")
    browser = new_browser()
    del browser.headers["user-agent"]
    await browser.sign_in("ada@example.com")
    assert (await browser.get("/api/sessions")).json()["data"][0]["agent"] == ""
