"""The control API of keys: who may do what to whose, what is shown, what is refused, on both engines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from control_plane import ControlPlane
from penstock.accounts.models import OPERATOR
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.keys.api import routes
from penstock.kit import tokens

PATH = "/api/keys"


@pytest.fixture
async def plane(database: Database) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(database, routes) as made:
        yield made


@pytest.fixture
async def owner(plane: ControlPlane) -> str:
    """A member's account."""
    return await plane.account()


@pytest.fixture
async def member(plane: ControlPlane, owner: str) -> httpx.AsyncClient:
    """The member's browser."""
    return await plane.browser(owner)


@pytest.fixture
async def admin(plane: ControlPlane) -> httpx.AsyncClient:
    """An administrator's browser."""
    return await plane.browser(await plane.account("admin"))


async def made(client: httpx.AsyncClient, **given: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": "me", **given})
    assert answer.status_code == 201, answer.text
    return answer.json()


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


async def test_create(member: httpx.AsyncClient, owner: str, plane: ControlPlane) -> None:
    key = await made(
        member,
        models=["gpt-4o*"],
        wires=["chat"],
        networks=["10.1.2.3/8"],
        limits={"day_nano": 5, "window": "rolling"},
        record=True,
        expires_at="2099-12-31",
    )
    token = key.pop("token")
    assert tokens.plausible(token.encode())
    limits = dict.fromkeys(("total_nano", "day_nano", "week_nano", "month_nano", "window", "rpm", "tpm", "concurrency"))
    assert key == {
        "id": key["id"],
        "account_id": owner,
        "name": "me",
        "kind": "key",
        "key": f"sk-...{token[-4:]}",
        "state": "active",
        "models": ["gpt-4o*"],
        "wires": ["chat"],
        "networks": ["10.0.0.0/8"],
        "fallbacks": None,
        "limits": limits | {"day_nano": 5, "window": "rolling"},
        "record": True,
        "created_at": key["created_at"],
        "expires_at": "2100-01-01T00:00:00Z",
        "disabled_at": None,
        "grace_until": None,
        "used_at": None,
        "requests": 0,
        "cost_nano": 0,
    }
    assert (await plane.keys.of_token(token)).id == key["id"]


async def test_no_secret_is_ever_shown_again(member: httpx.AsyncClient, plane: ControlPlane) -> None:
    key = await made(member)
    path = f"{PATH}/{key['id']}"
    stored = await plane.keys.get(key["id"])
    answers = [
        await member.get(PATH),
        await member.get(path),
        await member.patch(path, json={"record": True}),
        await member.post(f"{path}/disable"),
        await member.post(f"{path}/enable"),
        await member.delete(path),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5 + [204]
    for answer in answers:
        for secret in (key["token"], key["token"][3:-4], stored.digest.hex(), "digest"):
            assert secret not in answer.text


async def test_rotate(member: httpx.AsyncClient) -> None:
    key = await made(member)
    path = f"{PATH}/{key['id']}/rotate"
    first = (await member.post(path)).json()
    assert (first["id"], first["grace_until"]) == (key["id"], None)
    assert first["token"] != key["token"]
    second = (await member.post(path, json={"grace_s": 3600, "expires_at": "30d"})).json()
    assert second["grace_until"] is not None
    assert second["expires_at"] > second["created_at"]
    assert (await member.post(path, json={})).json()["expires_at"] == second["expires_at"]
    for wrong in ({"grace_s": -1}, {"grace_s": "1"}, {"grace_s": 1.5}, {"grace_s": 2**70}, {"grace": 1}):
        assert refusal(await member.post(path, json=wrong))[:2] == (400, "invalid_request")


async def test_change(member: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await made(member, models=['a'], limits={'day_nano': 5, 'rpm': 1}, expires_at='1d'))['id']}"
    changed = (await member.patch(path, json={"name": "you", "limits": {"rpm": None, "tpm": 0}, "expires_at": None})).json()
    assert (changed["name"], changed["models"], changed["expires_at"]) == ("you", ["a"], None)
    assert {name: changed["limits"][name] for name in ("day_nano", "rpm", "tpm", "window")} == {
        "day_nano": 5, "rpm": None, "tpm": 0, "window": "calendar",
    }  # fmt: skip
    assert (await member.patch(path, json={"models": None, "limits": None})).json()["limits"]["day_nano"] is None
    assert (await member.patch(path, json={})).json()["name"] == "you"


async def test_list(member: httpx.AsyncClient) -> None:
    ids = [(await made(member, name=f"key number {number}"))["id"] for number in range(5)][::-1]
    first = (await member.get(PATH, params={"limit": 2})).json()
    assert [key["id"] for key in first["data"]] == ids[:2]
    rest = (await member.get(PATH, params={"limit": 3, "cursor": first["next"]})).json()
    assert ([key["id"] for key in rest["data"]], rest["next"]) == (ids[2:], None)
    found = (await member.get(PATH, params={"search": "NUMBER 3"})).json()["data"]
    assert [key["name"] for key in found] == ["key number 3"]
    assert refusal(await member.get(PATH, params={"cursor": "x"})) == (400, "invalid_request", "cursor")


async def test_usage(member: httpx.AsyncClient, owner: str, plane: ControlPlane) -> None:
    key = await made(member)
    for cost_nano in (7, 8):
        await plane.charge(owner, key["id"], cost_nano, at_ms=1_700_000_000_000)
    for shown in ((await member.get(f"{PATH}/{key['id']}")).json(), (await member.get(PATH)).json()["data"][0]):
        assert (shown["requests"], shown["cost_nano"], shown["used_at"]) == (2, 15, "2023-11-14T22:13:20Z")


async def test_delete(member: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await made(member))['id']}"
    assert (await member.delete(path)).status_code == 204
    for act in (member.get, member.delete):
        assert refusal(await act(path)) == (404, "not_found", None)
    assert (await member.get(PATH)).json() == {"data": [], "next": None}
    assert await made(member)


# what is refused

WRONG: list[tuple[dict[str, Any], str]] = [
    *(({"limits": {"day_nano": value}}, "limits.day_nano") for value in (-1, 1.5, 1.0, "1", True, 10**18 + 1, 2**64)),
    *(({"limits": {name: -1}}, f"limits.{name}") for name in ("total_nano", "week_nano", "month_nano", "rpm", "tpm", "concurrency")),
    ({"limits": {"rps": 1}}, "limits.rps"),
    ({"limits": {"window": "monthly"}}, "limits.window"),
    ({"models": []}, "models"),
    ({"models": "gpt-4o"}, "models"),
    ({"models": [""]}, "models"),
    ({"wires": ["telepathy"]}, "wires"),
    ({"networks": ["10.0.0.0/33"]}, "networks"),
    ({"networks": ["10.0.0.1"] * 101}, "networks"),
    ({"expires_at": "2020-01-01"}, "expires_at"),
    ({"expires_at": "soon"}, "expires_at"),
    ({"expires_at": 1}, "expires_at"),
    ({"record": "true"}, "record"),
    ({"record": None}, "record"),
    ({"kind": "team"}, "kind"),
    ({"name": ""}, "name"),
    ({"name": " x"}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"name": "a\u0000b"}, "name"),
    ({"name": None}, "name"),
    ({"token": "sk-..."}, "token"),
    ({"account_id": "acc_operator"}, "account_id"),
]


@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
async def test_what_cannot_be(member: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await made(member))['id']}"
    for wrong, param in WRONG:
        for answer in (await member.post(PATH, json={"name": "you", **wrong}), await member.patch(path, json=wrong)):
            status, code, at = refusal(answer)
            assert (status, code) == (400, "invalid_request"), (wrong, answer.text)
            assert (at or "").startswith(param), (wrong, at)
    assert refusal(await member.post(PATH, json={})) == (400, "invalid_request", "name")
    assert refusal(await member.post(PATH, content=b"[")) == (400, "invalid_json", None)
    kept = (await member.get(PATH)).json()["data"]
    assert [key["name"] for key in kept] == ["me"]


async def test_a_name_twice(member: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await made(member)
    assert refusal(await member.post(PATH, json={"name": "me"})) == (409, "conflict", "name")
    other = await made(member, name="you")
    assert refusal(await member.patch(f"{PATH}/{other['id']}", json={"name": "me"})) == (409, "conflict", "name")
    assert await made(admin), "another account's names are others"


async def test_odd_addresses(member: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    for client in (member, admin):
        for odd in ("key_%00", "key_%FF", "%00", "key_" + "x" * 3000, "key_'--"):
            assert refusal(await client.get(f"{PATH}/{odd}"))[0] in (400, 404)
        for name in ("search", "account_id", "cursor"):
            assert (await client.get(PATH, params={name: "\0"})).status_code in (200, 400, 404)


# who may do what


async def test_nobody(plane: ControlPlane, member: httpx.AsyncClient) -> None:
    key = await made(member)
    stranger = plane.client()
    for method, path in (("GET", PATH), ("POST", PATH), ("GET", f"{PATH}/{key['id']}"), ("DELETE", f"{PATH}/{key['id']}")):
        assert refusal(await stranger.request(method, path)) == (401, "not_signed_in", None)
    plain = plane.client(key["token"])
    assert refusal(await plain.get(PATH)) == (403, "forbidden", None)


async def test_a_foreign_identity(plane: ControlPlane, member: httpx.AsyncClient, owner: str) -> None:
    """What is somebody else's is as if it did not exist, on every route and by every way in."""
    key = await made(member)
    other = await plane.account()
    path = f"{PATH}/{key['id']}"
    acts = [
        ("GET", path, None),
        ("PATCH", path, {"record": True}),
        ("POST", f"{path}/rotate", {}),
        ("POST", f"{path}/disable", None),
        ("POST", f"{path}/enable", None),
        ("DELETE", path, None),
    ]
    for client in (await plane.browser(other), plane.client((await plane.manager(other)).token)):
        for method, where, body in acts:
            assert refusal(await client.request(method, where, json=body)) == (404, "not_found", None)
            known = await client.request(method, where, json=body, params={"account_id": owner})
            assert refusal(known) == (404, "not_found", "account_id")
        for method in ("GET", "POST"):
            asked = await client.request(method, PATH, params={"account_id": owner}, json={"name": "x"} if method == "POST" else None)
            assert refusal(asked) == (404, "not_found", "account_id")
        missing = await client.get(f"{PATH}/key_none")
        assert missing.json()["error"]["message"].replace("key_none", key["id"]) == (await client.get(path)).json()["error"]["message"]
        assert owner not in (await client.get(PATH)).text
    (kept,) = (await member.get(PATH)).json()["data"]
    assert kept == {name: value for name, value in key.items() if name != "token"}


async def test_an_administrator(admin: httpx.AsyncClient, member: httpx.AsyncClient, owner: str, plane: ControlPlane) -> None:
    key = (await admin.post(PATH, params={"account_id": owner}, json={"name": "given"})).json()
    assert key["account_id"] == owner
    assert [one["id"] for one in (await member.get(PATH)).json()["data"]] == [key["id"]]
    assert (await admin.get(PATH)).json()["data"] == []
    assert [one["id"] for one in (await admin.get(PATH, params={"account_id": owner})).json()["data"]] == [key["id"]]
    path = f"{PATH}/{key['id']}"
    assert (await admin.patch(path, json={"record": True})).json()["record"] is True
    assert (await admin.post(f"{path}/disable", params={"account_id": owner})).json()["state"] == "disabled"
    assert refusal(await admin.get(path, params={"account_id": OPERATOR}))[0] == 404
    assert refusal(await admin.post(PATH, params={"account_id": "acc_none"}, json={"name": "x"})) == (404, "not_found", "account_id")
    events = (await Trail(plane.database).list()).data
    assert [event.action for event in events if event.account_id == owner][:3] == ["key.disable", "key.change", "key.create"]


async def test_names_are_no_ids(plane: ControlPlane, admin: httpx.AsyncClient) -> None:
    await plane.keys.create("mine")
    assert refusal(await admin.get(f"{PATH}/mine")) == (404, "not_found", None)


async def test_a_management_key(plane: ControlPlane, member: httpx.AsyncClient, owner: str) -> None:
    """It manages keys of its account, but makes and changes none of its own kind: only a session does."""
    root = await made(member, name="root", kind="management")
    by_key = plane.client(root["token"])
    key = await made(by_key, name="plain")
    assert key["account_id"] == owner
    path, own = f"{PATH}/{key['id']}", f"{PATH}/{root['id']}"
    refused = [
        await by_key.post(PATH, json={"name": "more", "kind": "management"}),
        await by_key.patch(path, json={"kind": "management"}),
        await by_key.patch(own, json={"networks": None}),
        await by_key.patch(own, json={"kind": "key"}),
        await by_key.post(f"{own}/rotate"),
        await by_key.post(f"{own}/disable"),
        await by_key.delete(own),
    ]
    assert {refusal(answer) for answer in refused} == {(403, "forbidden", None)}
    assert (await member.patch(path, json={"kind": "management"})).json()["kind"] == "management"
    assert (await member.patch(own, json={"networks": ["192.0.2.1"]})).status_code == 200
    assert refusal(await by_key.get(PATH)) == (403, "address_not_allowed", None)
    assert (await plane.client(root["token"], "192.0.2.1").get(PATH)).status_code == 200
    await member.post(f"{own}/disable")
    assert refusal(await plane.client(root["token"], "192.0.2.1").get(PATH)) == (401, "key_disabled", None)


async def test_a_change_needs_the_session_s_own_page(plane: ControlPlane, owner: str) -> None:
    browser = await plane.browser(owner)
    del browser.headers["x-csrf-token"]
    assert refusal(await browser.post(PATH, json={"name": "x"})) == (403, "csrf_refused", "x-csrf-token")
    assert (await browser.get(PATH)).json()["data"] == []


async def test_changes_at_once(member: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await made(member))['id']}"
    answers = await asyncio.gather(
        *(member.post(f"{path}/rotate", json={"grace_s": 60}) for _ in range(4)),
        *(member.patch(path, json={"limits": {name: 1}}) for name in ("rpm", "tpm")),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["token"] for answer in answers[:4]}) == 4
    limits = (await member.get(path)).json()["limits"]
    assert (limits["rpm"], limits["tpm"]) == (1, 1)


async def test_the_document(plane: ControlPlane) -> None:
    document = plane.app.openapi()
    given = document["components"]["schemas"]["KeyChanged"]
    assert given["additionalProperties"] is False
    assert not any("default" in field for field in given["properties"].values()), "what is left out has no value"
    assert all("examples" in document["components"]["schemas"][name] for name in ("KeyGiven", "KeyChanged", "Rotation", "LimitsGiven"))
    assert json.dumps(document)
