"""The control API of rules: who may do what to whose, what is shown, what is refused, on both engines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from control_plane import ControlPlane
from penstock.infra.database import Database
from penstock.rules.api import routes
from penstock.rules.counts import Counts
from penstock.rules.models import RuleRow

PATH = "/api/rules"
THEN = [{"do": "set", "path": "temperature", "value": 1}]
EVIL = ("<script>alert(1)</script>", '=HYPERLINK("http://evil.example")', "\u202egnp.exe", "a'; DROP TABLE rule; --")


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


async def made(client: httpx.AsyncClient, name: str = "calm down", **given: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": name, "then": THEN, **given})
    assert answer.status_code == 201, answer.text
    return answer.json()


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


async def names(client: httpx.AsyncClient, **params: Any) -> list[str]:
    answer = await client.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    return [rule["name"] for rule in answer.json()["data"]]


async def test_create_and_show(member: httpx.AsyncClient, owner: str) -> None:
    when = {"on": "body", "name": "temperature", "op": "above", "value": 1.5}
    rule = await made(member, when=when, priority=3, description="no heat", stop=True)
    moments = {name: rule[name] for name in ("created_at", "changed_at")}
    assert rule == {
        "id": rule["id"], "account_id": owner, "scope": "own", "name": "calm down", "description": "no heat", "priority": 3,
        "enabled": True, "shadow": False, "stop": True, "when": when, "then": THEN, **moments, "hits": 0, "shadow_hits": 0, "errors": 0,
        "last_at": None,
    }  # fmt: skip
    assert (await member.get(f"{PATH}/{rule['id']}")).json() == rule


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"when": {"all": [{"on": "body", "name": "model", "value": "x"}]}}, "when.all.0.name"),
        ({"when": {"on": "header", "name": "authorization", "value": "x"}}, "when.name"),
        ({"when": {"on": "body", "name": "x", "op": "matches", "value": "("}}, "when.value"),
        ({"then": [{"do": "set", "path": "stream", "value": True}]}, "then.0.path"),
        ({"then": [{"do": "set_header", "name": "authorization", "value": "x"}]}, "then.0.name"),
        ({"then": [{"do": "refuse", "message": "no", "status": 500}]}, "then.0.status"),
        ({"then": []}, "then"),
        ({"then": "x"}, "then"),
        ({"when": []}, "when"),
        ({"name": " x "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "rul_mine"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"priority": 1_000_001}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"enabled": "yes"}, "enabled"),
        ({"description": "x" * 1001}, "description"),
        ({"scope": "mine"}, "scope"),
        ({"id": "rul_mine"}, "id"),
    ],
)
async def test_what_cannot_be_a_rule(member: httpx.AsyncClient, given: dict[str, Any], place: str) -> None:
    answer = await member.post(PATH, json={"name": "a", "then": THEN, **given})
    assert refusal(answer) == (400, "invalid_request", place)
    assert await names(member) == []


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": NaN}]}',
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": Infinity}]}',
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": 1e999}]}',
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": %s}]}' % ("9" * 400),
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": "\\ud800"}]}',
        '{"name": "a", "then": [{"do": "set", "path": "a", "\\ud800": 1}]}',
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": %s}]}' % ("[" * 500 + "]" * 500),
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": %s}]}' % ("[" * 50_000 + "]" * 50_000),
        '{"name": "a", "then": [{"do": "set", "path": "a", "value": "%s"}]}' % ("x" * 70_000),
        '{"name": "\\ud800", "then": [{"do": "record", "value": true}]}',
        '{"name": "a", "\\ud800": 1, "then": [{"do": "record", "value": true}]}',
        "[]", "null", "", "{",
    ],
    ids=range(15),
)  # fmt: skip
async def test_strange_json(member: httpx.AsyncClient, body: str) -> None:
    trial = f'{{"rules": [{body}]}}' if body.startswith('{"') else body
    for path, text in ((PATH, body), (f"{PATH}/test", trial)):
        answer = await member.post(path, content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 400, (path, answer.text)
    answer = await member.post(f"{PATH}/import", content=body)
    assert answer.status_code == 400, answer.text


async def test_a_body_that_is_far_too_large(member: httpx.AsyncClient) -> None:
    huge = json.dumps({"name": "a", "then": [{"do": "set", "path": "a", "value": "x" * 10_000_000}]})
    for path in (PATH, f"{PATH}/import", f"{PATH}/test"):
        answer = await member.post(path, content=huge, headers={"content-type": "application/json"})
        assert refusal(answer)[:2] == (413, "body_too_large")
    large = json.dumps({"name": "a", "then": [{"do": "set", "path": "a", "value": "x" * 100_000}]})
    assert refusal(await member.post(PATH, content=large, headers={"content-type": "application/json"}))[:2] == (400, "invalid_request")


async def test_markup_is_text_and_nothing_is_rendered(member: httpx.AsyncClient) -> None:
    for name in EVIL:
        answer = await member.post(PATH, json={"name": name, "description": name, "then": THEN})
        if answer.status_code == 400:
            assert not name.isprintable()
            continue
        assert answer.json()["name"] == name
        for shown in (
            answer,
            await member.get(PATH),
            await member.get(f"{PATH}/export"),
            await member.post(PATH, json={"name": name, "then": THEN}),
        ):
            assert shown.headers["content-type"] == "application/json"
    exported = await member.get(f"{PATH}/export")
    assert exported.headers["content-disposition"] == 'attachment; filename="rules.json"'


async def test_change_and_delete(member: httpx.AsyncClient) -> None:
    rule = await made(member, when={"on": "stream", "value": True})
    path = f"{PATH}/{rule['id']}"
    changed = (await member.patch(path, json={"shadow": True, "name": "other"})).json()
    assert (changed["shadow"], changed["name"], changed["when"]) == (True, "other", {"on": "stream", "op": "is", "value": True})
    assert (await member.patch(path, json={"when": None})).json()["when"] is None
    assert (await member.patch(path, json={})).json()["when"] is None
    assert refusal(await member.patch(path, json={"scope": "all"})) == (400, "invalid_request", "scope")
    await made(member, "third")
    assert refusal(await member.patch(path, json={"name": "third"})) == (409, "conflict", "name")
    assert (await member.delete(path)).status_code == 204
    for answer in (await member.get(path), await member.delete(path), await member.patch(path, json={}), await member.post(f"{path}/copy")):
        assert refusal(answer) == (404, "not_found", None)


async def test_pages_filters_and_order(member: httpx.AsyncClient) -> None:
    for name, priority, terms in (("c", 2, {}), ("a", 0, {"enabled": False}), ("b", 0, {"shadow": True, "description": "about b"})):
        await made(member, name, priority=priority, **terms)
    assert await names(member) == ["a", "b", "c"]
    first = (await member.get(PATH, params={"limit": 2})).json()
    second = (await member.get(PATH, params={"limit": 2, "cursor": first["next"]})).json()
    assert [rule["name"] for rule in (*first["data"], *second["data"])] == ["a", "b", "c"] and second["next"] is None
    assert await names(member, enabled="false") == ["a"] and await names(member, shadow="true") == ["b"]
    assert await names(member, search="ABOUT") == ["b"] and await names(member, search="%") == []
    assert refusal(await member.get(PATH, params={"cursor": "eA"})) == (400, "invalid_request", "cursor")


async def test_rules_for_everybody(member: httpx.AsyncClient, admin: httpx.AsyncClient, owner: str) -> None:
    rule = await made(admin, "for all", scope="all")
    assert (rule["account_id"], rule["scope"]) == ("acc_operator", "all")
    assert await names(admin) == [] and await names(admin, scope="all") == ["for all"]
    assert refusal(await member.post(PATH, json={"name": "a", "then": THEN, "scope": "all"})) == (403, "forbidden", "scope")
    for path in (PATH, f"{PATH}/statistics", f"{PATH}/limits", f"{PATH}/export", f"{PATH}/check-name?name=a"):
        assert refusal(await member.get(path, params={"scope": "all", "name": "a"})) == (403, "forbidden", "scope")
    answer = await member.post(f"{PATH}/import", params={"scope": "all"}, content="a=>b")
    assert refusal(answer) == (403, "forbidden", "scope")
    assert (await admin.patch(f"{PATH}/{rule['id']}", json={"priority": 5})).json()["priority"] == 5


async def test_foreign_rules_do_not_exist(member: httpx.AsyncClient, plane: ControlPlane, owner: str) -> None:
    """What is somebody else's is as if it did not exist, on every route and by every way in."""
    mine = await made(member)
    other = await plane.account()
    strangers = (await plane.browser(other), plane.client((await plane.manager(other)).token))
    path = f"{PATH}/{mine['id']}"
    for stranger in strangers:
        body = {"json": {}}
        asked = [
            stranger.get(path), stranger.patch(path, json={"priority": 1}), stranger.delete(path), stranger.post(f"{path}/copy", **body),
            stranger.post(f"{PATH}/batch", json={"do": "delete", "ids": [mine["id"]]}),
            stranger.post(f"{PATH}/batch", json={"do": "disable", "ids": [mine["id"]]}),
            stranger.get(f"{PATH}/statistics", params={"rule_id": mine["id"]}),
        ]  # fmt: skip
        assert [refusal(await each) for each in asked] == [(404, "not_found", None)] * len(asked)
        params = {"account_id": owner, "name": "x"}
        asked = [stranger.get(f"{PATH}{part}", params=params) for part in ("", "/statistics", "/limits", "/export", "/check-name")]
        asked += [
            stranger.post(PATH, params=params, json={"name": "x", "then": THEN}),
            stranger.post(f"{PATH}/import", params=params, content="a=>b"),
            stranger.post(f"{PATH}/test", params=params, json={}),
            stranger.post(f"{PATH}/batch", params=params, json={"do": "delete", "ids": [mine["id"]]}),
            stranger.get(path, params=params), stranger.patch(path, params=params, json={}), stranger.delete(path, params=params),
            stranger.post(f"{path}/copy", params=params, **body),
        ]  # fmt: skip
        assert [refusal(await each)[:2] for each in asked] == [(404, "not_found")] * len(asked)
        assert await names(stranger) == []
        tried = await stranger.post(f"{PATH}/test", json={"body": {"temperature": 0}})
        assert (tried.json()["rules"], tried.json()["after"]) == ([], {"temperature": 0})
    assert (await member.get(path)).json() == mine


async def test_nobody_comes_in_without_an_identity(plane: ControlPlane, member: httpx.AsyncClient) -> None:
    path = f"{PATH}/{(await made(member))['id']}"
    nobody = plane.client()
    asked = [nobody.get(f"{PATH}{part}", params={"name": "x"}) for part in ("", "/statistics", "/limits", "/export", "/check-name")]
    asked += [nobody.post(f"{PATH}{part}", json={}) for part in ("", "/test", "/batch", "/import")]
    asked += [nobody.get(path), nobody.patch(path, json={}), nobody.delete(path), nobody.post(f"{path}/copy")]
    assert [(await each).status_code for each in asked] == [401] * len(asked)
    key = plane.client((await plane.keys.create("plain", account_id=await plane.account())).token)
    assert (await key.get(PATH)).status_code == 403


async def test_administrators_act_on_anybodys(member: httpx.AsyncClient, admin: httpx.AsyncClient, owner: str) -> None:
    rule = await made(member)
    assert (await admin.get(f"{PATH}/{rule['id']}")).json() == rule
    assert await names(admin, account_id=owner) == ["calm down"]
    answer = await admin.post(PATH, params={"account_id": owner}, json={"name": "by admin", "then": THEN})
    assert answer.json()["account_id"] == owner
    answer = await admin.post(f"{PATH}/batch", json={"do": "disable", "ids": [rule["id"], answer.json()["id"]]})
    assert answer.status_code == 200 and len(answer.json()["ids"]) == 2
    assert await names(member, enabled="false") == ["calm down", "by admin"]


async def test_batch_and_copy(member: httpx.AsyncClient) -> None:
    ids = [(await made(member, name))["id"] for name in "abc"]
    assert (await member.post(f"{PATH}/batch", json={"do": "disable", "ids": ids[:2]})).json() == {"do": "disable", "ids": ids[:2]}
    assert await names(member, enabled="true") == ["c"]
    answer = await member.post(f"{PATH}/batch", json={"do": "enable", "ids": [ids[0], "rul_nothing"]})
    assert refusal(answer) == (404, "not_found", None) and await names(member, enabled="true") == ["c"]
    assert refusal(await member.post(f"{PATH}/batch", json={"do": "explode", "ids": ids}))[:2] == (400, "invalid_request")
    assert refusal(await member.post(f"{PATH}/batch", json={"do": "delete", "ids": ["a"]})) == (404, "not_found", None)
    copy = (await member.post(f"{PATH}/{ids[2]}/copy")).json()
    assert (copy["name"], copy["enabled"], copy["then"]) == ("c copy", False, THEN)
    assert (await member.post(f"{PATH}/{ids[2]}/copy", json={"name": "mine"})).json()["name"] == "mine"
    assert refusal(await member.post(f"{PATH}/{ids[2]}/copy", json={"name": "a"})) == (409, "conflict", "name")
    await member.post(f"{PATH}/batch", json={"do": "delete", "ids": ids})
    assert await names(member) == ["c copy", "mine"]


async def test_names_are_checked(member: httpx.AsyncClient) -> None:
    rule = await made(member)

    async def check(name: str, **params: str) -> tuple[bool, bool]:
        found = (await member.get(f"{PATH}/check-name", params={"name": name, **params})).json()
        assert found["name"] == name
        return found["is_free"], found["problem"] is None

    assert await check("calm down") == (False, True)
    assert await check("calm down", but=rule["id"]) == (True, True)
    assert await check("other") == (True, True)
    for name in ("", " x", "rul_x", "x" * 101):
        assert await check(name) == (False, False)


async def test_statistics_and_limits(member: httpx.AsyncClient, database: Database, plane: ControlPlane) -> None:
    one = await made(member, "one", when={"on": "wire", "value": ["chat", "messages"]})
    two = await made(member, "two", enabled=False, shadow=True)
    now_ms = 1_900_000_000_000
    counts = Counts(database)
    counts.add((one["id"],), (two["id"],), ((one["id"], "a path leads nowhere"),), now_ms)
    await counts.flush()
    found = (await member.get(f"{PATH}/statistics")).json()
    expected = {
        "total": 2, "enabled": 1, "disabled": 1, "shadow": 1, "wires": {"any": 1, "chat": 1, "messages": 1}, "hits": 1, "shadow_hits": 1,
        "errors": 1, "last_at": "2030-03-17T17:46:40Z",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert found["days"] == [{"date": "2030-03-17", "hits": 1, "shadow_hits": 1, "errors": 1}]
    assert found["last_errors"] == [{"rule_id": one["id"], "date": "2030-03-17", "reason": "a path leads nowhere"}]
    alone = (await member.get(f"{PATH}/statistics", params={"rule_id": two["id"]})).json()
    assert (alone["total"], alone["hits"], alone["shadow_hits"]) == (1, 0, 1)
    assert (await member.get(f"{PATH}/{one['id']}")).json()["hits"] == 1
    assert [rule["errors"] for rule in (await member.get(PATH)).json()["data"]] == [1, 0]
    limits = (await member.get(f"{PATH}/limits")).json()
    assert (limits["rules"], limits["used"], limits["actions"]) == (500, 2, 50)
    assert "chat" in limits["wires"] and "refuse" in limits["kinds"] and "stream" in limits["fixed_fields"]


async def test_export_and_import(member: httpx.AsyncClient, plane: ControlPlane) -> None:
    await made(member, "a", when={"on": "model", "value": "gpt-*"})
    exported = (await member.get(f"{PATH}/export")).content
    other = await plane.browser(await plane.account())
    for dry_run in (True, False):
        answer = await other.post(f"{PATH}/import", params={"dry_run": dry_run}, content=exported)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["dry_run"], answer.json()["created"], answer.json()["rules"][0]["name"]) == (dry_run, ["a"], "a")
        assert await names(other) == ([] if dry_run else ["a"])
    assert (await other.get(f"{PATH}/export")).content == exported
    answer = await other.post(f"{PATH}/import", content="a=>b,b=>a")
    assert answer.json()["created"] == ["a => b", "b => a"]
    operations = {
        "operations": [{"mode": "set", "path": "temperature", "value": 0, "conditions": [{"path": "n", "mode": "gt", "value": 1}]}]
    }
    answer = await other.post(f"{PATH}/import", params={"name": "channel", "priority": 7}, json=operations)
    assert [(rule["name"], rule["priority"]) for rule in answer.json()["rules"]] == [("channel 1", 7)]
    answer = await other.post(f"{PATH}/import", params={"format": "new-api", "name": "map"}, json={"temperature": 0})
    assert answer.json()["created"] == ["map 1"]
    half = {"rules": [{"name": "fine", "then": THEN}, {"name": "broken", "then": [{"do": "set"}]}]}
    assert refusal(await other.post(f"{PATH}/import", json=half)) == (400, "invalid_request", "rules.1.then.0.path")
    assert "fine" not in await names(other)


async def test_a_trial(member: httpx.AsyncClient) -> None:
    await made(member, when={"on": "model", "value": "gpt-*"})
    body = {"model": "gpt-4o", "temperature": 2}
    draft = {"name": "draft", "when": {"on": "stream", "value": True}, "then": THEN}
    found = (await member.post(f"{PATH}/test", json={"body": body, "rules": [draft]})).json()
    assert [(rule["name"], rule["matched"], rule["why"]) for rule in found["rules"]] == [
        ("draft", False, "when is not met"),
        ("calm down", True, None),
    ]
    assert (found["before"], found["after"]) == (body, {"model": "gpt-4o", "temperature": 1})
    assert refusal(await member.post(f"{PATH}/test", json={"rules": [{"name": "x"}]})) == (400, "invalid_request", "rules.0.then")
    answer = await member.post(f"{PATH}/test", content='{"body": {"a": NaN}}', headers={"content-type": "application/json"})
    assert refusal(answer) == (400, "invalid_request", "body")
    assert (await member.get(f"{PATH}/statistics")).json()["hits"] == 0


async def test_the_database_is_away(member: httpx.AsyncClient, outage: Any) -> None:
    async with outage():
        assert refusal(await member.get(PATH))[:2] == (503, "database_away")


def test_every_row_is_shown() -> None:
    assert set(RuleRow.__table__.columns.keys()) - {"terms", "created_at_ms", "changed_at_ms"} <= {
        "id", "account_id", "scope", "name", "description", "priority", "enabled", "shadow", "stop",
    }  # fmt: skip
