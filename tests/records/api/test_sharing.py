"""Links to one record: shown once, for a while, to whoever has them; and nothing else to anybody."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from made_records import CHAT
from penstock.accounts.trail import Trail
from penstock.records.page import HEADERS


async def share(member, record_id, **given):
    answer = await member.http.post(f"/api/records/{record_id}/share", json=given)
    assert answer.status_code == 201, answer.text
    return answer.json()


def path_of(made):
    return made["url"].removeprefix("https://gateway.example.com")


async def test_whoever_has_the_link_sees_the_record(ada, plane):
    record_id = await ada.record(rules=("rul_1",))
    made = await share(ada, record_id)
    assert made["url"].startswith("https://gateway.example.com/shared/records/") and len(path_of(made)) > 50
    answer = await plane.client().get(path_of(made))
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    shown = answer.json()
    assert (shown["id"], shown["expires_at"]) == (record_id, made["expires_at"])
    assert shown["record"]["request"] == {"body": CHAT.decode(), "truncated": False}
    assert not {"account_id", "key_id", "key_name", "rules"} & shown.keys()
    assert ada.account_id not in answer.text and "rul_1" not in answer.text and "key_1" not in answer.text


async def test_a_browser_gets_a_page(ada, plane):
    made = await share(ada, await ada.record(request_body=b"<script>alert(1)</script>"), headers=True)
    answer = await plane.client().get(path_of(made), headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text and "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "tester/1" in answer.text


@pytest.mark.parametrize(("headers", "bodies"), [(True, True), (True, False), (False, True), (False, False)])
async def test_what_is_not_shared_is_not_there(ada, plane, headers, bodies):
    marked = [(b"x-header", b"header-value")]
    record_id = await ada.record(
        request_headers=marked, response_headers=marked, request_body=b"body-text", response_body=[b"body-text"], ruled_body=b"body-text",
        sent_head=b"POST /v1/x HTTP/1.1\r\nx-header: header-value\r\n\r\n", sent_body=b"body-text", came_body=[b"body-text"],
        came_status=200,
    )  # fmt: skip
    made = await share(ada, record_id, headers=headers, bodies=bodies)
    for accept in ("*/*", "text/html"):
        told = (await plane.client().get(path_of(made), headers={"accept": accept})).text
        assert (told.count("header-value"), told.count("body-text")) == (3 * headers, 5 * bodies)


async def test_the_token_is_kept_nowhere(ada, database):
    made = await share(ada, await ada.record())
    token = made["url"].rpartition("/")[2]
    async with database.session(read_only=True) as session:
        rows = [tuple(row) for row in await session.execute(text("select * from record_share"))]
    assert token not in repr(rows) and rows
    listed = (await ada.http.get("/api/records/shares")).text
    assert token not in listed and made["id"] in listed
    events = [event for event in (await Trail(database).list()).data if event.action == "record.share"]
    assert len(events) == 1 and token not in json.dumps(events[0].detail)


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_nothing_is_the_same_whatever_is_wrong(ada, plane, database, accept):
    record_id = await ada.record()
    expired, revoked, gone = [await share(ada, record_id) for _ in range(3)]
    async with database.session() as session:
        await session.execute(text("update record_share set expires_at_ms = 1 where id = :id"), {"id": expired["id"]})
    assert (await ada.http.delete(f"/api/records/shares/{revoked['id']}")).status_code == 204
    answers = [await plane.client().get(path_of(made), headers={"accept": accept}) for made in (expired, revoked)]
    await ada.http.post("/api/records/clear", json={})
    wrong = [f"/shared/records/{token}" for token in ("nonsense", "%00", "x" * 500, "%F0%9F%98%80")]
    answers += [await plane.client().get(path, headers={"accept": accept}) for path in (path_of(gone), *wrong)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert all(answer.headers[name] == value for answer in answers for name, value in HEADERS.items())


async def test_only_its_owner_lists_and_revokes(ada, eve, admin):
    record_id = await ada.record()
    first, second = await share(ada, record_id, lasts_s=60), await share(ada, record_id)
    other = await share(ada, await ada.record())
    page = await ada.read("/shares", limit=2)
    rest = await ada.read("/shares", limit=2, cursor=page["next"])
    assert [one["id"] for one in page["data"] + rest["data"]] == [other["id"], second["id"], first["id"]]
    assert [one["id"] for one in (await ada.read("/shares", record_id=record_id))["data"]] == [second["id"], first["id"]]
    for member in (eve, admin):
        assert (await member.read("/shares"))["data"] == []
        assert (await member.refused("DELETE", f"/shares/{first['id']}"))[:2] == (404, "not_found")
        assert (await member.refused("POST", f"/{record_id}/share", json={}))[:2] == (404, "not_found")
    assert len((await ada.read("/shares"))["data"]) == 3


async def test_what_the_operator_shares_stays_the_operator_s(ada, admin, plane):
    record_id = await ada.record(for_operator=True)
    answer = await admin.http.post(f"/api/records/{record_id}/share", params={"shelf": "operator"})
    made = answer.json()
    assert (await ada.read("/shares"))["data"] == []
    assert (await plane.client().get(path_of(made))).status_code == 200
    assert (await admin.http.delete(f"/api/records/shares/{made['id']}", params={"shelf": "operator"})).status_code == 204
    assert (await plane.client().get(path_of(made))).status_code == 404


async def test_bodies_that_are_gone(ada, plane, folder):
    made = await share(ada, await ada.record())
    for path in folder.rglob("*.zst"):
        path.unlink()
    for accept in ("*/*", "text/html"):
        answer = await plane.client().get(path_of(made), headers={"accept": accept})
        assert answer.status_code == 200 and "Hello" not in answer.text


@pytest.mark.parametrize("given", [{"lasts_s": 59}, {"lasts_s": 30 * 86_400 + 1}, {"lasts_s": True}, {"headers": 1}, {"more": 1}, []])
async def test_what_no_link_can_be(ada, given):
    record_id = await ada.record()
    assert (await ada.refused("POST", f"/{record_id}/share", json=given))[0] == 400


async def test_a_link_cannot_be_made_for_nothing(ada):
    assert (await ada.refused("POST", "/req_none/share", json={}))[:2] == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_link_is_for_reading(ada, plane, method):
    made = await share(ada, await ada.record())
    assert (await plane.client().request(method, path_of(made))).status_code == 405
