"""The audit trail over HTTP: administrators see all of it, members their own, without where others were."""

from __future__ import annotations


async def test_members_see_what_was_done_to_them(ada, admin, new_account):
    await new_account("eve@example.com")
    await admin.patch(f"/api/accounts/{ada.account_id}", json={"prepaid": False})
    await ada.patch("/api/me", json={"name": "Ada L."})
    events = (await ada.get("/api/events")).json()["data"]
    assert [event["action"] for event in events] == ["account.change", "account.change", "session.create", "account.create"]
    assert {event["account_id"] for event in events} == {ada.account_id}
    assert [event["address"] for event in events] == ["10.0.0.1", None, "10.0.0.1", None]
    assert [event["actor"] for event in events] == [ada.account_id, admin.account_id, ada.account_id, "cli"]
    assert events[1]["detail"] == {"prepaid": False, "changed": ["prepaid"]}
    assert events[0]["via"] == "session"


async def test_members_do_not_see_others(ada, admin):
    assert await ada.refused("GET", f"/api/events?account_id={admin.account_id}") == (404, "not_found", "account_id")
    assert (await ada.get(f"/api/events?account_id={ada.account_id}")).status_code == 200
    assert (await ada.get(f"/api/events?actor={admin.account_id}")).json()["data"] == []


async def test_administrators_see_all(ada, admin, browser):
    events = (await admin.get("/api/events")).json()["data"]
    assert {event["account_id"] for event in events} == {ada.account_id, admin.account_id}
    assert all(event["address"] is not None for event in events)
    (one,) = (await admin.get(f"/api/events?account_id={ada.account_id}&action=session.create")).json()["data"]
    assert one["actor"] == ada.account_id
    assert await browser.refused("GET", "/api/events") == (401, "not_signed_in", None)


async def test_pages(admin, ada):
    for number in range(5):
        await ada.patch("/api/me", json={"name": f"{number}"})
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await ada.get("/api/events", params=query)).json()
        seen += [event["id"] for event in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7 and seen == sorted(seen, reverse=True)


async def test_a_cursor_of_somebody_else_leads_nowhere_new(admin, ada):
    theirs = (await admin.get("/api/events?limit=1")).json()["next"]
    events = (await ada.get("/api/events", params={"cursor": theirs})).json()["data"]
    assert {event["account_id"] for event in events} <= {ada.account_id}
