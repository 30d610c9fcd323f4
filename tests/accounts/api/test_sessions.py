"""Signing in and out."""

from __future__ import annotations


async def test_sign_in_and_out(ada, browser):
    me = (await ada.get("/api/me")).json()
    assert (me["name"], me["email"], me["role"], me["via"]) == ("ada", "ada@example.com", "member", "session")
    assert me["csrf_token"] == ada.headers["x-csrf-token"]
    assert me["tier"] == {"name": "free", "title": "Free", "until_at": None}
    assert await browser.refused("GET", "/api/me") == (401, "not_signed_in", None)
    assert (await ada.delete("/api/sessions/current")).status_code == 204
    assert await ada.refused("GET", "/api/me") == (401, "not_signed_in", None)
