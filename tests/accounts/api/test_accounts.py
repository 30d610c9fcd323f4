"""Accounts over HTTP: for administrators; to members others' are not there."""

from __future__ import annotations

import pytest

PASSWORD = "correct horse battery"


async def test_create_and_get(admin, new_browser):
    given = {"name": "Eve", "email": "Eve@example.com", "password": PASSWORD, "prepaid": False, "limits": {"rpm": 60}}
    answer = await admin.post("/api/accounts", json=given)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["email"], made["role"], made["prepaid"], made["state"]) == (
        "Eve",
        "eve@example.com",
        "member",
        False,
        "active",
    )
    assert (made["limits"]["rpm"], made["limits"]["tpm"]) == (60, None) and "password" not in made
    assert (await admin.get(f"/api/accounts/{made['id']}")).json() == made
    await new_browser().sign_in("eve@example.com")
    assert await admin.refused("POST", "/api/accounts", json=given) == (409, "conflict", "email")
    assert (await admin.post("/api/accounts", json={"name": "Build servers"})).json()["email"] is None


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "name"), ({"name": 1}, "name"), ({"name": "x", "role": "root"}, "role"), ({"name": "x", "prepaid": 1}, "prepaid"),
        ({"name": "x", "email": "nope"}, "email"), ({"name": "x", "password": PASSWORD}, "email"), ({"name": "x", "id": "acc_x"}, "id"),
        ({"name": "x", "email": "a@b.c", "password": "short"}, "password"), ({"name": "x", "limits": {"rpm": -1}}, "limits.rpm"),
        ({"name": "x", "limits": {"rpm": 1.5}}, "limits.rpm"), ({"name": "x", "limits": {"rpm": "1"}}, "limits.rpm"),
        ({"name": "x", "limits": {"day_nano": 10**18 + 1}}, "limits.day_nano"),
        ({"name": "x", "limits": {"day_nano": True}}, "limits.day_nano"),
        ({"name": "x", "limits": {"nope": 1}}, "limits.nope"), ({"name": "a\x00b"}, "name"),
    ],
)  # fmt: skip
async def test_what_cannot_be_made(admin, given, param):
    assert await admin.refused("POST", "/api/accounts", json=given) == (400, "invalid_request", param)


async def test_a_lone_surrogate_is_no_name(admin):
    given = {"content": b'{"name": "\\ud800"}', "headers": {"content-type": "application/json"}}
    assert await admin.refused("POST", "/api/accounts", **given) == (400, "invalid_request", "name")


async def test_change(admin, ada):
    path = f"/api/accounts/{ada.account_id}"
    changed = (await admin.patch(path, json={"prepaid": False, "limits": {"rpm": 5, "day_nano": 7}})).json()
    assert (changed["prepaid"], changed["limits"]["rpm"], changed["name"]) == (False, 5, "ada")
    changed = (await admin.patch(path, json={"limits": {"rpm": None}})).json()
    assert (changed["limits"]["rpm"], changed["limits"]["day_nano"]) == (None, 7)
    assert (await admin.patch(path, json={"limits": None})).json()["limits"]["day_nano"] is None
    assert (await admin.patch(path, json={})).json()["name"] == "ada"
    assert await admin.refused("PATCH", path, json={"email": "root@example.com"}) == (409, "conflict", "email")
    for given, param in (({"name": None}, "name"), ({"role": None}, "role"), ({"email": None}, "email"), ({"prepaid": None}, "prepaid")):
        assert await admin.refused("PATCH", path, json=given) == (400, "invalid_request", param)


async def test_disable_enable_delete(admin, ada):
    path = f"/api/accounts/{ada.account_id}"
    assert (await admin.post(f"{path}/disable")).json()["state"] == "disabled"
    assert await ada.refused("GET", "/api/me") == (401, "not_signed_in", None)
    assert (await admin.post(f"{path}/enable")).json()["state"] == "active"
    await ada.sign_in("ada@example.com")
    assert (await admin.delete(f"{path}/sessions")).status_code == 204
    assert (await ada.get("/api/me")).status_code == 401
    assert (await admin.delete(path)).status_code == 204
    gone = (await admin.get(path)).json()
    assert (gone["state"], gone["name"], gone["email"]) == ("deleted", "deleted", None)
    assert await admin.refused("DELETE", path) == (404, "not_found", "account_id")
    assert await admin.refused("PATCH", path, json={"name": "x"}) == (404, "not_found", "account_id")


async def test_the_last_administrator_and_the_operator_stay(admin):
    for account_id in (admin.account_id, "acc_operator"):
        for method, path, body in (("POST", "/disable", None), ("DELETE", "", None), ("PATCH", "", {"role": "member"})):
            assert await admin.refused(method, f"/api/accounts/{account_id}{path}", json=body) == (409, "conflict", None)


async def test_list(admin, new_account):
    for number in range(4):
        await new_account(f"n{number}@example.com", password=None)
    first = (await admin.get("/api/accounts?limit=3&search=example.com")).json()
    second = (await admin.get("/api/accounts", params={"limit": 3, "search": "example.com", "cursor": first["next"]})).json()
    names = [one["name"] for one in first["data"] + second["data"]]
    assert sorted(names) == ["n0", "n1", "n2", "n3", "root"] and second["next"] is None
    assert [one["name"] for one in (await admin.get("/api/accounts?role=admin")).json()["data"]] == ["operator", "root"]
    assert (await admin.get("/api/accounts?state=deleted")).json()["data"] == []
    for query, param in (
        ("state=x", "state"),
        ("role=x", "role"),
        ("search=", "search"),
        (f"search={'x' * 201}", "search"),
        ("cursor=x", "cursor"),
    ):
        assert await admin.refused("GET", f"/api/accounts?{query}") == (400, "invalid_request", param)


async def test_a_password_reset_is_sent(admin, ada, mail):
    assert (await admin.post(f"/api/accounts/{ada.account_id}/password-reset")).status_code == 202
    letter = await mail.wait()
    assert letter["To"] == "ada@example.com"
    assert await admin.refused("POST", "/api/accounts/acc_operator/password-reset") == (409, "conflict", None)


async def test_export(admin, ada):
    document = (await admin.get(f"/api/accounts/{ada.account_id}/export")).json()
    assert document["account"]["email"] == "ada@example.com"
    assert await admin.refused("GET", "/api/accounts/acc_x/export") == (404, "not_found", "account_id")


async def test_to_members_others_are_not_there(ada, admin):
    assert (await ada.get(f"/api/accounts/{ada.account_id}")).json()["email"] == "ada@example.com"
    assert (await ada.get(f"/api/accounts/{ada.account_id}/export")).status_code == 200
    for account_id in (admin.account_id, "acc_operator", "acc_nobody"):
        for path in ("", "/export"):
            assert await ada.refused("GET", f"/api/accounts/{account_id}{path}") == (404, "not_found", "account_id")


async def test_members_administer_nothing(ada, admin):
    for account_id in (ada.account_id, admin.account_id, "acc_nobody"):
        for method, path, body in (
            ("GET", "", None), ("POST", "", {"name": "x"}), ("PATCH", f"/{account_id}", {"role": "admin"}),
            ("DELETE", f"/{account_id}", None),
            ("POST", f"/{account_id}/disable", None), ("POST", f"/{account_id}/enable", None), ("DELETE", f"/{account_id}/sessions", None),
            ("POST", f"/{account_id}/password-reset", None),
        ):  # fmt: skip
            assert await ada.refused(method, f"/api/accounts{path}", json=body) == (403, "forbidden", None)
