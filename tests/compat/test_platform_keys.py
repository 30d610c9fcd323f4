"""The platform's calls for keys, membership and balance: both spellings, all forms, its answers to the letter, on both engines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from control_plane import ControlPlane
from penstock.accounts.identity import CLI
from penstock.accounts.trail import Trail
from penstock.compat.platform_keys import router
from penstock.infra.database import Database
from penstock.keys.models import Key
from penstock.kit import clock, tokens

ROOT = "/api/v1/user/admin"
NEVER: dict[str, Any] = {"expired_at": "", "max_fee": "0"}


@pytest.fixture
async def plane(database: Database) -> AsyncIterator[ControlPlane]:
    unhurried = count(0, 10).__next__  # each call is made ten seconds after the one before
    async with ControlPlane(database, router(unhurried), display_units=100) as made:
        yield made


@pytest.fixture
async def owner(plane: ControlPlane) -> str:
    """A member's account."""
    return await plane.account()


@pytest.fixture
async def client(plane: ControlPlane, owner: str) -> httpx.AsyncClient:
    """A program with the member's management key."""
    return plane.client((await plane.manager(owner)).token)


async def ok(client: httpx.AsyncClient, call: str, message: str, **sent: Any) -> Any:
    answer = await client.post(f"{ROOT}/{call}", **sent)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["statusCode", "message", "data"]
    assert (body["statusCode"], body["message"]) == (200, message)
    return body["data"]


async def create(client: httpx.AsyncClient, call: str = "new-api-token", **given: Any) -> str:
    token: str = await ok(client, call, "New api token success", data={**NEVER, **given})
    assert tokens.plausible(token.encode())
    return token


async def update_key(client: httpx.AsyncClient, **given: Any) -> None:
    assert await ok(client, "update-api-token", "Update api token success", data=given) is None


async def listed(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """The keys in the list by what they are called, but for the management key that lists them."""
    answer = (await client.post(f"{ROOT}/get-api-tokens")).json()
    assert answer["message"] == f"Get API keys success, total keys: {len(answer['data'])}"
    return {row["remark"]: row for row in answer["data"] if not row["is_admin"]}


async def refusal(client: httpx.AsyncClient, call: str, **sent: Any) -> tuple[int, str]:
    answer = await client.post(f"{ROOT}/{call}", **sent)
    body = answer.json()
    assert list(body) == ["statusCode", "message", "errorType", "data"]
    assert (body["statusCode"], body["data"]) == (answer.status_code, None)
    return answer.status_code, body["errorType"]


# create


@pytest.mark.parametrize("call", ["new-api-token", "create-api-token"])
@pytest.mark.parametrize("form", ["data", "json", "files"])
async def test_create(client: httpx.AsyncClient, owner: str, plane: ControlPlane, call: str, form: str) -> None:
    asked = {"remark": "build", "expired_at": "2099-12-31T23:59:59+08:00", "max_fee": "350.50", "permissions": '["gpt-4o", "o1"]'}
    sent = {name: (None, value) for name, value in asked.items()} if form == "files" else asked
    token = await ok(client, call, "New api token success", **{form: sent})
    key = await plane.keys.of_token(token)
    assert (key.account_id, key.kind, key.name, key.models) == (owner, "key", "build", ["gpt-4o", "o1"])
    assert key.limits == {"total_nano": 3_505_000_000}
    assert clock.iso(key.expires_at_ms or 0) == "2099-12-31T15:59:59Z"


async def test_json_in_its_own_kinds(client: httpx.AsyncClient) -> None:
    asked = {"expired_at": None, "max_fee": 0, "permissions": ["gpt-4o"]}
    await ok(client, "new-api-token", "New api token success", json={**asked, "remark": "none"})
    await ok(client, "new-api-token", "New api token success", json={**asked, "remark": "some", "max_fee": 12.5})
    rows = await listed(client)
    assert (rows["none"]["max_fee"], rows["some"]["max_fee"], rows["some"]["permissions"]) == ("0.00", "12.50", ["gpt-4o"])


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2099-12-31 23:59:59", "2099-12-31T23:59:59Z"),
        ("2099-12-31T23:59:59Z", "2099-12-31T23:59:59Z"),
        ("2099-12-31T23:59:59.999-05:00", "2100-01-01T04:59:59Z"),
        ("2099-12-31 23:59:59 08:00", "2099-12-31T15:59:59Z"),
        ("2099-12-31T23:59:59 0800", "2099-12-31T15:59:59Z"),
        ("2099-12-31 23:59", "2099-12-31T23:59:00Z"),
        ("2099-12-31", "2100-01-01T00:00:00Z"),
        ("", None),
    ],
)
@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
async def test_ends(client: httpx.AsyncClient, text: str, end: str | None) -> None:
    await create(client, remark="x", expired_at=text)
    assert (await listed(client))["x"]["expired_at"] == end


async def test_a_plus_that_was_not_escaped(client: httpx.AsyncClient) -> None:
    content = "remark=x&max_fee=0&expired_at=2099-12-31T23:59:59+08:00"
    await ok(client, "new-api-token", "New api token success", content=content)
    assert (await listed(client))["x"]["expired_at"] == "2099-12-31T15:59:59Z"


async def test_remarks_need_not_differ(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    made = {await create(client, remark=remark) for remark in ("bot", "bot", "bot", "", "", "x" * 200, "x" * 200)}
    assert len(made) == 7
    remarks = sorted(await listed(client))
    assert [remark.partition(" #")[0] for remark in remarks] == ["bot"] * 3 + ["key"] * 2 + ["x" * 191, "x" * 200]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"expired_at": "2020-01-01"}, "invalid_request_error"),
    ({"expired_at": "soon"}, "invalid_request_error"),
    *(({"max_fee": value}, "invalid_request_error") for value in ("-1", "1e3", "", "x", "0.0000000001", "9" * 20, "NaN")),
    *(({"permissions": value}, "invalid_request_error") for value in ("", "gpt-4o", "{}", "[1]", "[]", '[""]', "[" * 9000, '["\\ud800"]')),
    ({"remark": "key_1"}, "invalid_request_error"),
    ({"remark": "x" * 201}, "invalid_request_error"),
    ({"remark": "a\nb"}, "invalid_request_error"),
    ({"is_admin": "maybe"}, "invalid_request_error"),
    ({"is_admin": "true"}, "no_permission_error"),
]


@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
async def test_what_is_refused(client: httpx.AsyncClient) -> None:
    token = await create(client, remark="kept")
    before = await listed(client)
    for wrong, kind in WRONG:
        status = 401 if kind == "no_permission_error" else 400
        assert await refusal(client, "new-api-token", data={"remark": "x", **NEVER, **wrong}) == (status, kind), wrong
        assert await refusal(client, "update-api-token", data={"key": token, **wrong}) == (status, kind), wrong
    for missing in ("expired_at", "max_fee"):
        asked = {name: value for name, value in NEVER.items() if name != missing}
        assert await refusal(client, "new-api-token", data=asked) == (400, "invalid_request_error")
    for lists in ({"remark": ["a", "b"]}, {"max_fee": ["1", "2"]}, {"is_disabled": ["true", "false"]}, {"remark": {}}, {"max_fee": True}):
        assert await refusal(client, "update-api-token", json={"key": token, **lists}) == (400, "invalid_request_error"), lists
    assert await refusal(client, "update-api-token", data={"key": token, "is_disabled": "1"}) == (400, "invalid_request_error")
    assert await refusal(client, "new-api-token", content=b"{", headers={"content-type": "application/json"}) == (400, "invalid_json_error")
    assert await listed(client) == before


# update


async def test_update(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    token = await create(client, remark="old", permissions='["a"]', max_fee="5")
    await update_key(
        client, key=token, remark="new", expired_at="2099-12-31 23:59:59", max_fee="7.25", permissions='["b","c*"]', is_disabled="true"
    )
    key = await plane.keys.of_token(token)
    assert (key.name, key.models, key.limits) == ("new", ["b", "c*"], {"total_nano": 72_500_000})
    assert (clock.iso(key.expires_at_ms or 0), key.disabled_at_ms is not None) == ("2099-12-31T23:59:59Z", True)
    await update_key(client, key=token, is_disabled="False", max_fee="0")
    key = await plane.keys.of_token(token)
    assert (key.name, key.models, key.limits, key.disabled_at_ms) == ("new", ["b", "c*"], {}, None)
    assert clock.iso(key.expires_at_ms or 0) == "2099-12-31T23:59:59Z"
    await update_key(client, key=token, expired_at="")
    assert (await plane.keys.of_token(token)).expires_at_ms is None


async def test_other_limits_are_left_alone(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    key = await plane.keys.of_token(await create(client, max_fee="5"))
    await plane.keys.change(key.id, limits={"rpm": 60})
    await update_key(client, key=key.id, max_fee="6")
    assert (await plane.keys.get(key.id)).limits == {"rpm": 60, "total_nano": 60_000_000}


async def test_a_row_that_comes_back_changes_nothing(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    """Programs send what the list has told them."""
    for given in ({}, {"expired_at": "2099-12-31", "max_fee": "12.34", "permissions": '["gpt-4o"]'}):
        token = await create(client, **given)
        before = await plane.keys.of_token(token)
        (row,) = [row for row in (await listed(client)).values() if row["remark"] == before.name]
        await ok(client, "update-api-token", "Update api token success", json=row)
        after = await plane.keys.of_token(token)
        for fact in ("name", "kind", "expires_at_ms", "disabled_at_ms"):
            assert getattr(after, fact) == getattr(before, fact)
        assert (after.limits or {}) == ({"total_nano": 123_400_000} if given else {})
        assert after.models == (["gpt-4o"] if given else ["*"])


async def test_an_expired_key_can_still_be_changed(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    token = await create(client, remark="x", expired_at="2099-12-31")
    async with plane.database.session() as session:
        await session.execute(update(Key).where(Key.name == "x").values(expires_at_ms=1_700_000_000_123))
    await update_key(client, key=token, expired_at="2023-11-14T22:13:20Z", max_fee="1")
    assert (await plane.keys.of_token(token)).expires_at_ms == 1_700_000_000_123
    assert await refusal(client, "update-api-token", data={"key": token, "expired_at": "2023-11-14T22:13:21Z"}) == (
        400,
        "invalid_request_error",
    )


async def test_which_key_is_meant(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    token = await create(client, remark="x")
    key = await plane.keys.of_token(token)
    for name in (token, f" {token} ", f"sk-...{token[-4:]}", key.id):
        await update_key(client, key=name, max_fee="1")
    for unknown in (tokens.make_token(), "sk-...", "...", "key_none", "x", "\0", "key_\0", "sk-\0...abcd", "sk-...\0abc"):
        assert await refusal(client, "update-api-token", json={"key": unknown}) == (404, "not_found_error")
    for none in ("", None, 1, ["a"]):
        assert await refusal(client, "update-api-token", json={"key": none}) == (400, "invalid_request_error")
    await create(client, remark="y")
    async with plane.database.session() as session:
        await session.execute(update(Key).where(Key.name.in_(("x", "y"))).values(last_four="same"))
    assert await refusal(client, "update-api-token", data={"key": "sk-...same"}) == (409, "conflict_error")


async def test_a_surrogate_is_no_failure(client: httpx.AsyncClient) -> None:
    for call in ("update-api-token", "del-api-token"):
        answer = await client.post(f"{ROOT}/{call}", content=b'{"key": "\\ud800"}')
        assert answer.status_code == 404


# list


async def test_list(client: httpx.AsyncClient, owner: str, plane: ControlPlane) -> None:
    token = await create(client, remark="x", expired_at="2099-12-31T23:59:59Z", max_fee="3500000", permissions='["gpt-4o"]')
    key = await plane.keys.of_token(token)
    row = (await listed(client))["x"]
    assert row == {
        "key": f"sk-...{token[-4:]}",
        "user_id": owner,
        "remark": "x",
        "created_at": clock.iso(key.created_at_ms),
        "used_at": None,
        "expired_at": "2099-12-31T23:59:59Z",
        "used_times": "0",
        "used_fee": "0.00",
        "max_fee": "3500000.00",
        "permissions": ["gpt-4o"],
        "is_admin": False,
        "is_disabled": False,
    }
    assert len(row) == 12
    await plane.charge(owner, key.id, 1_234_567_890, at_ms=1_700_000_000_000)
    used = (await listed(client))["x"]
    assert (used["used_at"], used["used_times"], used["used_fee"]) == ("2023-11-14T22:13:20Z", "1", "123.46")
    everything = (await client.post(f"{ROOT}/get-api-tokens")).text
    assert token not in everything and token[3:-4] not in everything


async def test_a_cap_is_never_shown_as_none(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    key = await plane.keys.of_token(await create(client, remark="x"))
    for cap_nano in (0, 1, 49_999):
        await plane.keys.change(key.id, limits={"total_nano": cap_nano})
        assert (await listed(client))["x"]["max_fee"] == "0.01"


# delete


@pytest.mark.parametrize("call", ["del-api-token", "delete-api-token"])
async def test_delete(client: httpx.AsyncClient, call: str) -> None:
    token = await create(client, remark="x")
    assert await ok(client, call, "Delete api key success", data={"key": token}) is None
    assert await listed(client) == {}
    assert await refusal(client, call, data={"key": token}) == (404, "not_found_error")
    assert await refusal(client, call) == (400, "invalid_request_error")


# membership and balance


async def test_membership(client: httpx.AsyncClient, owner: str, plane: ControlPlane) -> None:
    message = "Get membership expire date success"
    none = {"level": "free", "expire_at": None, "premium_expire_at": None, "vip_expire_at": None}
    assert await ok(client, "get-membership-expire-date", message) == none
    end_ms = clock.now_ms() // 1000 * 1000 + 86_400_000
    async with plane.database.session() as session:
        await plane.memberships.set(session, CLI, owner, "vip", end_ms)
    end = clock.iso(end_ms)
    assert await ok(client, "get-membership-expire-date", message) == none | {"level": "vip", "expire_at": end, "vip_expire_at": end}


async def test_balance(client: httpx.AsyncClient, owner: str, plane: ControlPlane) -> None:
    assert await ok(client, "balance", "get user balance success") == {"balance": "0.00", "free_balance": "0.00"}
    await plane.top_up(owner, 82_170_000_000)
    assert await ok(client, "balance", "get user balance success") == {"balance": "8217.00", "free_balance": "0.00"}


# who may


CALLS = (
    "new-api-token", "create-api-token", "update-api-token", "get-api-tokens", "del-api-token", "delete-api-token",
    "get-membership-expire-date", "balance",
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
async def test_who_may_not(client: httpx.AsyncClient, plane: ControlPlane, owner: str, call: str) -> None:
    assert await refusal(plane.client(), call) == (401, "not_signed_in_error")
    plain = await create(client)
    assert await refusal(plane.client(plain), call) == (401, "no_permission_error")
    assert (await plane.client(plain).post(f"{ROOT}/{call}")).json()["message"].startswith("no permission")
    for unknown in ("sk-...", tokens.make_token(), "omg-oat-v1-x"):
        assert await refusal(plane.client(unknown), call) == (401, "invalid_key_error")
    await plane.accounts.disable(CLI, owner)
    assert await refusal(client, call) == (401, "account_disabled_error")


async def test_the_bare_key_will_do(plane: ControlPlane, owner: str) -> None:
    client = plane.client()
    client.headers["authorization"] = (await plane.manager(owner)).token
    assert await ok(client, "balance", "get user balance success")


async def test_another_account_s_keys(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    token = await create(client, remark="x")
    key = await plane.keys.of_token(token)
    other = plane.client((await plane.manager(await plane.account())).token)
    assert await listed(other) == {}
    for name in (token, f"sk-...{token[-4:]}", key.id):
        for call in ("update-api-token", "del-api-token", "delete-api-token"):
            assert await refusal(other, call, data={"key": name}) == (404, "not_found_error")
    assert list(await listed(client)) == ["x"]


async def test_admin_privilege_is_neither_granted_nor_changed(client: httpx.AsyncClient, plane: ControlPlane, owner: str) -> None:
    other = (await plane.keys.create("other", account_id=owner, kind="management")).key
    for call, more in (("update-api-token", {"max_fee": "1"}), ("update-api-token", {"is_disabled": "true"}), ("del-api-token", {})):
        assert await refusal(client, call, data={"key": other.id, **more}) == (401, "no_permission_error")
    assert (await plane.keys.get(other.id)).disabled_at_ms is None
    plain = await create(client)
    assert await refusal(client, "update-api-token", data={"key": plain, "is_admin": "true"}) == (401, "no_permission_error")
    await update_key(client, key=plain, is_admin="false")


async def test_what_is_done_is_in_the_trail(client: httpx.AsyncClient, plane: ControlPlane, owner: str) -> None:
    token = await create(client)
    await update_key(client, key=token, is_disabled="true")
    await ok(client, "del-api-token", "Delete api key success", data={"key": token})
    events = [event for event in (await Trail(plane.database).list()).data if event.account_id == owner and event.action.startswith("key.")]
    assert [event.action for event in events] == ["key.delete", "key.change", "key.create"]
    assert {event.via for event in events} == {(await plane.keys.get("root", owner)).id}
    assert token not in json.dumps([event.detail for event in events])


# how often


@pytest.mark.parametrize(
    ("calls", "per_s"),
    [
        (("new-api-token", "create-api-token"), 10),
        (("update-api-token",), 10),
        (("get-api-tokens",), 1),
        (("del-api-token", "delete-api-token"), 50),
    ],
)
@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
async def test_rates(database: Database, calls: tuple[str, ...], per_s: int) -> None:
    async with ControlPlane(database, router(lambda: 0.0)) as plane:
        first, second = [plane.client((await plane.manager(await plane.account())).token) for _ in range(2)]
        answers = [await first.post(f"{ROOT}/{calls[number % len(calls)]}") for number in range(per_s + 1)]
        assert 429 not in {answer.status_code for answer in answers[:-1]}
        assert (answers[-1].status_code, answers[-1].json()["errorType"]) == (429, "too_many_requests_error")
        assert answers[-1].headers["retry-after"] == "1"
        assert (await second.post(f"{ROOT}/{calls[0]}")).status_code != 429, "each key is counted by itself"
