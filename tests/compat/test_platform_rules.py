"""The platform's fourteen calls for override rules: forms and JSON, its envelope, whose rules they are, on both engines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from control_plane import ControlPlane
from penstock.compat.platform_rules import routes
from penstock.infra.database import Database
from penstock.rules.api import routes as our_routes
from penstock.rules.counts import Counts
from penstock.rules.service import Wanted

ROOT = "/api/v1/user/override-rules"
CALLS = (
    "create", "update", "delete", "get", "list", "batch-toggle", "copy", "test", "stats", "limits", "check-name", "batch-delete", "export",
    "import",
)  # fmt: skip
ACTIONS = [{"type": "override", "field": "temperature", "value": 0.7}]


@pytest.fixture
async def plane(database: Database) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(database, our_routes, routes) as made:
        yield made


@pytest.fixture
async def owner(plane: ControlPlane) -> str:
    """A member's account."""
    return await plane.account()


@pytest.fixture
async def client(plane: ControlPlane, owner: str) -> httpx.AsyncClient:
    """A program with the member's management key."""
    return plane.client((await plane.manager(owner)).token)


async def ok(client: httpx.AsyncClient, call: str, given: Any = None, **sent: Any) -> Any:
    answer = await client.post(f"{ROOT}/{call}", **(sent or {"json": given or {}}))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["statusCode", "message", "data"] and body["statusCode"] == 200 and "success" in body["message"]
    assert answer.headers["cache-control"] == "no-store"
    return body["data"]


async def refusal(client: httpx.AsyncClient, call: str, given: Any = None, **sent: Any) -> tuple[int, str]:
    answer = await client.post(f"{ROOT}/{call}", **(sent or {"json": given or {}}))
    body = answer.json()
    assert list(body) == ["statusCode", "message", "errorType", "data"]
    assert (body["statusCode"], body["data"]) == (answer.status_code, None)
    return answer.status_code, body["errorType"]


async def made(client: httpx.AsyncClient, name: str = "calm down", **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = await ok(client, "create", {"ruleName": name, "actions": ACTIONS, **given})
    return found


async def names(client: httpx.AsyncClient, **given: Any) -> list[str]:
    return [rule["ruleName"] for rule in (await ok(client, "list", given))["rules"]]


@pytest.mark.parametrize("form", ["data", "json", "text", "files"])
async def test_create(client: httpx.AsyncClient, owner: str, plane: ControlPlane, form: str) -> None:
    key = await plane.keys.create("program", account_id=owner)
    conditions = [{"scope": "api", "apiType": "chat.completions", "secretKey": key.token, "model": "gpt-4o*"}]
    given: dict[str, Any] = {"ruleName": "calm down", "description": "d", "priority": 3, "enabled": False}
    structures = {"conditions": conditions, "actions": ACTIONS}
    if form == "json":
        rule = await ok(client, "create", {**given, **structures})
    else:
        texts = {**{name: str(value) for name, value in given.items()}, **{name: json.dumps(value) for name, value in structures.items()}}
        sent = (
            {"json": texts}
            if form == "text"
            else {form: {name: (None, value) for name, value in texts.items()} if form == "files" else texts}
        )
        rule = await ok(client, "create", **sent)
    mask = f"sk-...{key.token[-4:]}"
    assert {name: rule[name] for name in (*given, *structures)} == {
        **given, "conditions": [{**conditions[0], "secretKey": mask}], "actions": ACTIONS,
    }  # fmt: skip
    assert key.token not in json.dumps(rule)
    (row,) = await plane.app.state.rules.all(Wanted(owner))
    assert row.terms["when"]["all"][1] == {"on": "key", "op": "is", "value": key.key.id}
    assert row.terms["then"] == [{"do": "set", "path": "temperature", "value": 0.7}]
    assert (await ok(client, "get", {"ruleId": rule["ruleId"]})) == rule


async def test_keys_are_known_by_mask_and_id(client: httpx.AsyncClient, owner: str, plane: ControlPlane) -> None:
    key = await plane.keys.create("program", account_id=owner)
    mask = f"sk-...{key.token[-4:]}"
    for number, secret in enumerate((mask, key.key.id)):
        rule = await made(client, str(number), conditions=[{"secretKey": secret}])
        assert rule["conditions"] == [{"scope": "api", "secretKey": mask}]
    other = await plane.keys.create("other's", account_id=await plane.account())
    for secret in (other.token, other.key.id, f"sk-...{other.token[-4:]}", "sk-nobody's"):
        assert await refusal(client, "create", {"ruleName": "x", "actions": ACTIONS, "conditions": [{"secretKey": secret}]}) == (
            404,
            "not_found_error",
        )
    await plane.keys.delete(key.key.id)
    shown = (await ok(client, "get", {"ruleId": rule["ruleId"]}))["conditions"]
    assert shown == [{"scope": "api", "secretKey": key.key.id}]


async def test_update(client: httpx.AsyncClient, plane: ControlPlane, owner: str) -> None:
    rule = await made(client, conditions=[{"model": "gpt-4o"}])
    ref = {"ruleId": rule["ruleId"]}
    changed = await ok(client, "update", {**ref, "priority": 9})
    assert changed == {**rule, "priority": 9, "updatedAt": changed["updatedAt"]}
    changed = await ok(client, "update", data={**ref, "enabled": "false", "ruleName": "other"})
    assert (changed["enabled"], changed["ruleName"], changed["conditions"]) == (False, "other", rule["conditions"])
    changed = await ok(client, "update", {**ref, "conditions": [], "actions": [{"type": "override", "field": "model", "value": "o1"}]})
    assert (changed["conditions"], changed["penstock"]["then"]) == ([], [{"do": "rewrite_model", "model": "o1"}])
    assert await refusal(client, "update", {"ruleId": "rul_nothing"}) == (404, "not_found_error")
    assert await refusal(client, "update", {}) == (400, "invalid_request_error")


async def test_a_rule_of_the_richer_grammar_loses_nothing(client: httpx.AsyncClient) -> None:
    rich = {
        "name": "rich", "shadow": True, "stop": True, "then": [{"do": "clamp", "path": "max_tokens", "max": 5}],
        "when": {"any": [{"all": [{"on": "model", "op": "like", "value": "o*"}, {"on": "stream", "op": "is", "value": True}]}]},
    }  # fmt: skip
    ours = (await client.post("/api/rules", json=rich)).json()
    rule = await ok(client, "get", {"ruleId": ours["id"]})
    assert rule["conditions"] == [{"scope": "api", "model": "o*"}] and rule["penstock"]["complete"] is False
    await ok(client, "update", {**rule, "ruleName": "renamed"})
    after = (await client.get(f"/api/rules/{ours['id']}")).json()
    assert after == {**ours, "name": "renamed", "changed_at": after["changed_at"]}
    assert await refusal(client, "update", {**rule, "conditions": [{"model": "x"}]}) == (400, "invalid_request_error")
    await ok(client, "update", {**rule, "penstock": {**rule["penstock"], "when": None}})
    assert (await client.get(f"/api/rules/{ours['id']}")).json()["when"] is None


async def test_list(client: httpx.AsyncClient) -> None:
    for name, terms in (("c", {"priority": 5}), ("a", {"enabled": False}), ("b", {"conditions": [{"apiType": "messages"}]})):
        await made(client, name, **terms)
    assert await names(client) == ["a", "b", "c"]
    assert await names(client, enabled=True) == ["b", "c"] and await names(client, enabled="false") == ["a"]
    assert await names(client, apiType="messages") == ["b"] and await names(client, search="C") == ["c"]
    page = await ok(client, "list", {"page": "2", "pageSize": 2})
    assert ([rule["ruleName"] for rule in page["rules"]], page["total"], page["page"], page["pageSize"]) == (["c"], 3, 2, 2)
    for wrong in (
        {"page": 0},
        {"pageSize": 201},
        {"page": "x"},
        {"page": 1.5},
        {"apiType": "x"},
        {"enabled": "maybe"},
        {"page": "9" * 5000},
    ):
        assert await refusal(client, "list", wrong) == (400, "invalid_request_error")


async def test_toggle_copy_and_delete(client: httpx.AsyncClient) -> None:
    ids = [(await made(client, name))["ruleId"] for name in "abc"]
    assert (await ok(client, "batch-toggle", {"ruleIds": ids[:2], "enabled": False}))["enabled"] is False
    assert await names(client, enabled=True) == ["c"]
    await ok(client, "batch-toggle", data={"ruleIds": ids[:2], "enabled": "true"})
    await ok(client, "batch-toggle", data={"ruleIds": json.dumps(ids), "enabled": "false"})
    assert await names(client, enabled=True) == []
    assert await refusal(client, "batch-toggle", {"ruleIds": ids}) == (400, "invalid_request_error")
    assert await refusal(client, "batch-toggle", {"ruleIds": [*ids, "rul_x"], "enabled": True}) == (404, "not_found_error")
    assert await names(client, enabled=True) == []
    copy = await ok(client, "copy", {"ruleId": ids[0]})
    assert (copy["ruleName"], copy["enabled"]) == ("a copy", False)
    assert (await ok(client, "copy", {"ruleId": ids[0], "ruleName": "z"}))["ruleName"] == "z"
    assert await refusal(client, "copy", {"ruleId": ids[0], "ruleName": "z"}) == (409, "conflict_error")
    assert await ok(client, "delete", {"ruleId": copy["ruleId"]}) is None
    assert await ok(client, "batch-delete", data={"ruleIds": ",".join(ids)}) == {"ruleIds": ids}
    assert await names(client) == ["z"]
    for wrong in ({}, {"ruleIds": []}, {"ruleIds": [5]}, {"ruleIds": ["x"] * 501}):
        assert (await refusal(client, "batch-delete", wrong))[0] == 400


async def test_a_trial(client: httpx.AsyncClient, plane: ControlPlane, owner: str) -> None:
    key = await plane.keys.create("program", account_id=owner)
    rule = await made(client, conditions=[{"apiType": "chat.completions", "secretKey": key.token}])
    await made(client, "claude", conditions=[{"model": "claude-*"}])
    body = {"model": "gpt-4o", "temperature": 2}
    found = await ok(client, "test", {"apiType": "chat.completions", "secretKey": key.token, "body": body})
    assert [each["ruleId"] for each in found["matchedRules"]] == [rule["ruleId"]]
    assert [(each["ruleName"], each["reason"]) for each in found["unmatchedRules"]] == [("claude", "when is not met")]
    assert (found["original"], found["result"]) == (body, {"model": "gpt-4o", "temperature": 0.7})
    assert [each["path"] for each in found["diff"]] == ["temperature"] and found["refused"] is None
    found = await ok(client, "test", data={"body": json.dumps(body), "model": "o1"})
    assert found["matchedRules"] == [] and found["result"] == body
    draft = {"ruleName": "draft", "actions": [{"type": "refuse", "field": "", "value": {"message": "No."}}]}
    found = await ok(client, "test", {"body": body, "rules": [draft, {**rule, "actions": [{"type": "delete", "field": "temperature"}]}]})
    assert found["refused"]["message"] == "No." and len(found["unmatchedRules"]) == 2
    for wrong in (
        {"apiType": "x"},
        {"body": "x"},
        {"body": []},
        {"rules": [5]},
        {"rules": {}},
        {"headers": {"a": 1}},
        {"body": {"a": "\ud800"}},
    ):
        assert (await refusal(client, "test", content=json.dumps(wrong)))[0] == 400


async def test_stats_limits_and_names(client: httpx.AsyncClient, database: Database) -> None:
    rule = await made(client, conditions=[{"apiType": "chat.completions"}])
    await made(client, "off", enabled=False)
    counts = Counts(database)
    counts.add((rule["ruleId"],), (), (), 1_900_000_000_000)
    await counts.flush()
    found = await ok(client, "stats")
    expected = {
        "total": 2, "enabled": 1, "disabled": 1, "byApiType": {"any": 1, "chat.completions": 1}, "hitCount": 1, "errorCount": 0,
        "lastHitAt": "2030-03-17T17:46:40Z", "days": [{"date": "2030-03-17", "hitCount": 1}],
    }  # fmt: skip
    assert found == expected
    assert (await ok(client, "stats", {"ruleId": rule["ruleId"]}))["total"] == 1
    assert (await ok(client, "get", {"ruleId": rule["ruleId"]}))["hitCount"] == 1
    limits = await ok(client, "limits")
    assert (limits["maxRules"], limits["usedRules"], limits["forbiddenFields"]) == (500, 2, ["stream", "stream_options"])
    assert "chat.completions" in limits["apiTypes"] and "override" in limits["actionTypes"]
    assert (await ok(client, "check-name", {"ruleName": "other"}))["available"] is True
    assert (await ok(client, "check-name", {"ruleName": "off"}))["reason"] == "There is a rule of that name already."
    assert (await ok(client, "check-name", {"ruleName": "calm down", "ruleId": rule["ruleId"]}))["available"] is True
    assert (await ok(client, "check-name", {"ruleName": "x" * 101}))["available"] is False
    assert await refusal(client, "check-name", {"ruleName": 5}) == (400, "invalid_request_error")


async def test_export_and_import(client: httpx.AsyncClient, plane: ControlPlane, owner: str) -> None:
    key = await plane.keys.create("program", account_id=owner)
    await made(client, "a", conditions=[{"secretKey": key.token}, {"model": "x"}])
    exported = await ok(client, "export")
    again = await ok(client, "import", {"rules": exported})
    assert (again["created"], again["updated"], again["unchanged"]) == ([], [], ["a"])
    elsewhere = plane.client((await plane.manager(await plane.account())).token)
    assert await ok(elsewhere, "import", {"rules": exported["rules"], "dryRun": True}) == {
        "dryRun": True, "created": ["a"], "updated": [], "unchanged": [],
    }  # fmt: skip
    assert await names(elsewhere) == []
    await ok(elsewhere, "import", data={"rules": json.dumps(exported), "dryRun": "false"})
    assert await names(elsewhere) == ["a"]
    assert (await ok(elsewhere, "import", {"rules": "a=>b,b=>a"}))["created"] == ["a => b", "b => a"]
    operations = {"operations": [{"mode": "delete", "path": "user"}]}
    assert (await ok(elsewhere, "import", {"rules": operations}))["created"] == ["imported 1"]
    half = [
        {"ruleName": "fine", "actions": ACTIONS},
        {"ruleName": "broken", "actions": [{"type": "override", "field": "stream", "value": 1}]},
    ]
    assert await refusal(elsewhere, "import", {"rules": half}) == (400, "invalid_request_error")
    assert "fine" not in await names(elsewhere)
    for wrong in ({}, {"rules": 5}, {"rules": []}, {"rules": [{"ruleName": "a"}, {"name": "b"}]}, {"rules": "{"}):
        assert (await refusal(elsewhere, "import", wrong))[0] == 400


async def test_what_cannot_be_a_rule(client: httpx.AsyncClient) -> None:
    for wrong in (
        {"actions": ACTIONS}, {"ruleName": "a"}, {"ruleName": "a", "actions": []}, {"ruleName": "a", "actions": "["},
        {"ruleName": "a", "actions": ACTIONS, "conditions": {}}, {"ruleName": "a", "actions": ACTIONS, "priority": "high"},
        {"ruleName": "a", "actions": ACTIONS, "enabled": "maybe"}, {"ruleName": "a\x00", "actions": ACTIONS},
        {"ruleName": "a", "actions": ACTIONS, "penstock": {"when": 5}}, {"ruleName": "\ud800", "actions": ACTIONS},
        {"ruleName": "a", "actions": [{"type": "override", "field": "a", "value": float("nan")}]},
    ):  # fmt: skip
        assert (await refusal(client, "create", content=json.dumps(wrong)))[0] == 400, wrong
    await made(client)
    assert await refusal(client, "create", {"ruleName": "calm down", "actions": ACTIONS}) == (409, "conflict_error")
    assert await names(client) == ["calm down"]


async def test_another_accounts_rules_do_not_exist(client: httpx.AsyncClient, plane: ControlPlane) -> None:
    rule = await made(client)
    stranger = plane.client((await plane.manager(await plane.account())).token)
    ref = {"ruleId": rule["ruleId"], "ruleName": "stolen"}
    for call in ("update", "delete", "get", "copy", "stats"):
        assert await refusal(stranger, call, ref) == (404, "not_found_error")
    for call in ("batch-toggle", "batch-delete"):
        assert await refusal(stranger, call, {"ruleIds": [rule["ruleId"]], "enabled": False}) == (404, "not_found_error")
    assert await names(stranger) == [] and (await ok(stranger, "export"))["rules"] == []
    assert (await ok(stranger, "test", {"body": {"temperature": 0}}))["matchedRules"] == []
    assert await ok(client, "get", {"ruleId": rule["ruleId"]}) == rule


async def test_a_management_key_is_needed(plane: ControlPlane, owner: str) -> None:
    plain = plane.client((await plane.keys.create("plain", account_id=owner)).token)
    for call in CALLS:
        assert await refusal(plane.client(), call) == (401, "not_signed_in_error")
        assert await refusal(plain, call) == (401, "no_permission_error")
    assert {route.path for route in routes.routes} == {f"{ROOT}/{call}" for call in CALLS}
