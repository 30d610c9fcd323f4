"""Reading records through the API: one's own shelf, what each call answers, and what it bears while others write and delete."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import Any

import pytest
from sqlalchemy import text

from made_records import CHAT, NOON_MS, made
from penstock.accounts.trail import Trail
from penstock.kit.clock import iso, now_ms
from penstock.records.exports import MEDIA_TYPES, export
from penstock.records.service import Filters

ROUTES = (
    ("GET", ""), ("GET", "/export"), ("POST", "/clear"), ("GET", "/policy"), ("PUT", "/policy"), ("GET", "/state"), ("GET", "/{id}"),
    ("GET", "/{id}/diff"), ("POST", "/{id}/replay"), ("POST", "/{id}/share"), ("GET", "/shares"), ("DELETE", "/shares/shr_1"),
)  # fmt: skip


async def test_a_list_is_one_s_own_the_latest_first_without_bodies(ada, eve):
    ids = await ada.all_of(*(made(account_id=ada.account_id, key_id=None, created_at_ms=NOON_MS + number) for number in range(5)))
    await eve.record()
    first = await ada.read("", limit=2)
    second = await ada.read("", limit=3, cursor=first["next"])
    assert [one["id"] for one in first["data"] + second["data"]] == ids[::-1]
    assert (first["complete"], second["complete"], second["next"]) == (True, True, None)
    assert "record" not in first["data"][0] and "Hello" not in json.dumps(first)
    assert {one["account_id"] for one in first["data"]} == {ada.account_id}


async def test_no_answer_is_taken_for_a_page(ada):
    record_id = await ada.record(path="/v1/<script>alert(1)</script>", request_body=b"<html><script>alert(1)</script>")
    for path in ("", f"/{record_id}", f"/{record_id}/diff", "/policy", "/state", "/shares"):
        answer = await ada.http.get(f"/api/records{path}", headers={"accept": "text/html"})
        assert answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff", path


async def test_names_of_keys_are_told(ada, plane):
    key = (await plane.keys.create("program", account_id=ada.account_id)).key
    record_id = await ada.record(key_id=key.id)
    [listed] = (await ada.read(""))["data"]
    assert listed["key_name"] == (await ada.read(f"/{record_id}"))["key_name"] == "program"


@pytest.mark.parametrize(("given", "params"), [
    ({"original_model": "claude-x"}, {"model": "claude-*"}),
    ({"wire": "messages"}, {"wire": "messages"}),
    ({"response_status": 503}, {"status": "503"}),
    ({"response_status": 503}, {"status": "5xx"}),
    ({"outcome": "client_gone"}, {"outcome": "client_gone"}),
    ({"channel": "spare"}, {"channel": "spare"}),
    ({"key_id": "key_2"}, {"key_id": "key_2"}),
    ({"cost_nano": 10}, {"cost_from_nano": 10}),
    ({"rules": ("rul_1",)}, {"rule_id": "rul_1"}),
    ({"request_body": b'{"a":"WEATHER in Rome"}'}, {"text": "weather in"}),
    ({"created_at_ms": NOON_MS - 86_400_000}, {"until": iso(NOON_MS - 86_000_000)}),
    ({"created_at_ms": NOON_MS + 86_400_000}, {"since": iso(NOON_MS + 86_000_000)}),
])  # fmt: skip
async def test_filters(ada, given, params):
    wanted = await ada.record(**given)
    other = await ada.record(created_at_ms=NOON_MS)
    assert await ada.ids(**params) == [wanted]
    assert await ada.ids(record_id=other) == [other]
    rows = list(csv.DictReader(io.StringIO((await ada.http.get("/api/records/export", params=params)).text, newline="")))
    assert [row["id"] for row in rows] == [wanted]
    assert (await ada.http.post("/api/records/clear", json=params)).json() == {"cleared": 1}
    assert await ada.ids() == [other]


@pytest.mark.parametrize("params", [
    {"status": "6xx"}, {"status": "abc"}, {"status": "20"}, {"limit": 0}, {"limit": 201}, {"cursor": "nonsense"}, {"since": "never"},
    {"since": "2026-01-05", "until": "2026-01-01"}, {"text": ""}, {"text": "x" * 300}, {"model": "a\nb"}, {"shelf": "others"},
    {"cost_from_nano": -1},
])  # fmt: skip
async def test_what_cannot_be_meant(ada, params):
    assert (await ada.refused("GET", "", params=params))[:2] == (400, "invalid_request")


async def test_one_record_with_everything(ada, plane, database):
    record_id = await ada.record(
        ruled_body=CHAT.replace(b"gpt-4o", b"fast"), sent_head=b"POST /v1/x HTTP/1.1\r\na: b\r\n\r\n", phases_us=(1, 2, 3), rules=("rul_1",)
    )
    answer = await ada.http.get(f"/api/records/{record_id}")
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    shown = answer.json()
    assert (shown["id"], shown["rules"], shown["missing"], shown["receipt"]) == (record_id, ["rul_1"], None, None)
    assert shown["record"]["request"]["body"] == CHAT.decode()
    assert shown["record"]["ruled"]["body"] == CHAT.replace(b"gpt-4o", b"fast").decode()
    assert shown["record"]["sent"]["line"] == "POST /v1/x HTTP/1.1"
    assert shown["record"]["phases_us"] == {"edge_wait": 1, "admit": 2, "route": 3}


async def test_the_receipt_is_named_where_there_is_one(ada, plane, database):
    key = (await plane.keys.create("program", account_id=ada.account_id)).key
    await plane.charge(ada.account_id, key.id, 5)
    async with database.session(read_only=True) as session:
        [charge_id] = (await session.scalars(text("select id from charge"))).all()
    await ada.record(id=charge_id, created_at_ms=now_ms())
    assert (await ada.read(f"/{charge_id}"))["receipt"] == f"/api/charges/{charge_id}/receipt"


async def test_what_was_changed(ada):
    record_id = await ada.record(ruled_body=CHAT.replace(b"gpt-4o", b"fast"))
    [rules, sent, answer] = (await ada.read(f"/{record_id}/diff"))["data"]
    assert rules["body"] == [{"at": "model", "how": "changed", "before": "gpt-4o", "after": "fast"}]
    assert sent["body"] == answer["body"] == []


async def test_bodies_that_are_gone(ada, folder):
    record_id = await ada.record()
    for path in folder.rglob("*.zst"):
        path.unlink()
    assert await ada.ids() == [record_id]
    shown = await ada.read(f"/{record_id}")
    assert shown["record"] is None and shown["missing"]
    for method, path in (("GET", "/diff"), ("POST", "/replay")):
        given = {"json": {"model": "x"}} if method == "POST" else {}
        assert (await ada.refused(method, f"/{record_id}{path}", **given))[:2] == (409, "conflict")


async def test_another_s_record_is_not_there(ada, eve, admin):
    record_id = await ada.record()
    for member in (eve, admin):
        for method, path in ROUTES:
            if "{id}" in path:
                given = {"json": {"model": "x"} if "replay" in path else {}} if method == "POST" else {}
                assert (await member.refused(method, path.format(id=record_id), **given))[:2] == (404, "not_found"), path
        assert await member.ids() == []
        assert (await member.http.post("/api/records/clear", json={})).json() == {"cleared": 0}
    assert await ada.ids() == [record_id]


async def test_nobody_gets_in_without_an_identity(plane):
    client = plane.client()
    for method, path in ROUTES:
        answer = await client.request(method, f"/api/records{path.format(id='req_1')}", json={} if method in ("POST", "PUT") else None)
        assert answer.status_code == 401, (method, path)


async def test_the_operator_s_shelf_is_for_administrators(ada, admin):
    record_id = await ada.record(for_owner=False, for_operator=True)
    assert await ada.ids() == [] == await admin.ids()
    assert await admin.ids(shelf="operator") == [record_id]
    assert (await admin.read(f"/{record_id}", shelf="operator"))["account_id"] == ada.account_id
    for method, path in ROUTES:
        if "policy" not in path and "state" not in path and "clear" not in path:
            given = {"json": {"model": "x"} if "replay" in path else {}} if method == "POST" else {}
            refused = await ada.refused(method, path.format(id=record_id), params={"shelf": "operator"}, **given)
            assert refused == (403, "forbidden", "shelf"), path
    assert await ada.refused("POST", "/clear", json={"shelf": "operator"}) == (403, "forbidden", "shelf")
    refused = await admin.refused("POST", f"/{record_id}/replay", params={"shelf": "operator"}, json={"model": "x"})
    assert refused[:2] == (403, "forbidden")
    assert (await admin.http.post("/api/records/clear", json={"shelf": "operator"})).json() == {"cleared": 1}


async def test_clearing_one_shelf_leaves_the_other(ada, admin, database):
    record_id = await ada.record(for_operator=True)
    assert (await ada.http.post("/api/records/clear", json={})).json() == {"cleared": 1}
    assert await ada.ids() == [] and await admin.ids(shelf="operator") == [record_id]
    [event] = [event for event in (await Trail(database).list()).data if event.action == "record.clear"]
    assert (event.account_id, event.detail["count"], event.detail["shelf"]) == (ada.account_id, 1, ada.account_id)


async def test_what_is_not_known_is_not_cleared(ada):
    await ada.record()
    for body in ({"untli": "30d"}, {"shelf": "all"}, [], {"status": 5}):
        assert (await ada.refused("POST", "/clear", json=body))[0] == 400
    assert len(await ada.ids()) == 1


@pytest.mark.parametrize("form", MEDIA_TYPES)
async def test_an_export_is_a_download_and_nothing_else(ada, form):
    await ada.record(request_body=b"<script>alert(1)</script>", path="/v1/chat/completions?=1+1")
    answer = await ada.http.get("/api/records/export", params={"format": form})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == MEDIA_TYPES[form]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith('attachment; filename="penstock-records-')
    assert answer.headers["content-disposition"].endswith(f'.{form}"')


async def test_an_export_bears_deletion_meanwhile(ada, plane, records):
    await ada.all_of(*(made(account_id=ada.account_id, request_body=b"x" * 40_000, created_at_ms=NOON_MS + n) for n in range(200)))
    pieces = reading_export(records, ada.account_id)
    first = await anext(pieces)
    assert (await ada.http.post("/api/records/clear", json={})).json() == {"cleared": 200}
    rest = [piece async for piece in pieces]
    lines = (first + b"".join(rest)).splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert len(ids) == len(set(ids)) <= 200 and ids, "what was deleted is left out, and nothing breaks"


async def test_an_export_bears_writing_meanwhile(ada, records):
    before = await ada.all_of(*(made(account_id=ada.account_id, created_at_ms=NOON_MS + n) for n in range(100)))
    writing = asyncio.create_task(keep_writing(ada))
    answers = [await ada.http.get("/api/records/export", params={"format": "jsonl"}) for _ in range(3)]
    writing.cancel()
    for answer in answers:
        ids = [json.loads(line)["id"] for line in answer.text.splitlines()]
        assert len(ids) == len(set(ids)) and set(before) <= set(ids)


async def keep_writing(member: Any) -> None:
    while True:
        await member.all_of(*(made(account_id=member.account_id) for _ in range(20)))
        await asyncio.sleep(0)


def reading_export(records: Any, shelf: str) -> Any:
    """An export as the route makes it, to be read piece by piece."""
    pieces = export(records.read(shelf, Filters(), newest_first=True), "jsonl")

    async def without_head() -> Any:
        async for piece in pieces:
            if piece:
                yield piece

    return without_head()


async def test_a_policy(ada, eve, admin, database):
    default = {"record": False, "retention_days": None, "redact_paths": [], "redact_patterns": [], "updated_at": None}
    assert await ada.read("/policy") == default
    given = {"record": True, "retention_days": 7, "redact_paths": ["messages.*.content"], "redact_patterns": ["[0-9]{16}"]}
    answer = await ada.http.put("/api/records/policy", json=given)
    assert answer.status_code == 200 and {**answer.json(), "updated_at": None} == {**given, "updated_at": None}
    assert answer.json()["updated_at"] is not None and await ada.read("/policy") == answer.json()
    assert await eve.read("/policy") == default
    assert (await eve.refused("GET", "/policy", params={"account_id": ada.account_id}))[:2] == (404, "not_found")
    assert (await eve.refused("PUT", "/policy", params={"account_id": ada.account_id}, json={}))[:2] == (404, "not_found")
    assert await admin.read("/policy", account_id=ada.account_id) == answer.json()
    [event] = [event for event in (await Trail(database).list()).data if event.action == "record.policy"]
    assert event.subject == ada.account_id and event.detail["record"] is True and "[0-9]" not in json.dumps(event.detail)
    reset = (await ada.http.put("/api/records/policy", json={})).json()
    assert {**reset, "updated_at": None} == default


@pytest.mark.parametrize("given", [
    {"record": 1}, {"retention_days": 0}, {"retention_days": 5000}, {"redact_patterns": ["("]}, {"redact_patterns": ["x" * 5000]},
    {"redact_paths": ["a"] * 100}, {"redact_paths": [""]}, {"more": 1},
])  # fmt: skip
async def test_what_no_policy_can_say(ada, given):
    assert (await ada.refused("PUT", "/policy", json=given))[:2] == (400, "invalid_request")


async def test_the_state(ada, admin):
    assert await ada.read("/state") == {"running": True, "stopped_because": None, "dropped": None, "waiting": None}
    assert await admin.read("/state") == {"running": True, "stopped_because": None, "dropped": 0, "waiting": 0}
