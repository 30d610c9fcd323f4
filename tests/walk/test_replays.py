"""Replays over real sockets, on both engines: sent through the relay as the key, charged, limited, recorded, settled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import httpx
import pytest

from live_gateway import LiveGateway
from member import Member, join
from penstock.accounts.identity import CLI
from penstock.billing.audit import audit
from penstock.channels.drafts import Draft
from penstock.channels.service import Given

DOLLAR = 10**9
HELLO = [{"role": "user", "content": "Hello there"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
NUMBERS = count()


class Desk:
    """A member who records, and a program that acts for them."""

    def __init__(self, gateway: LiveGateway, **given: Any) -> None:
        self.gateway = gateway
        self.member: Member = join(gateway, **({"paid_nano": DOLLAR, "record": True} | given))
        made = gateway.parts.keys.create(f"managing {next(NUMBERS)}", account_id=self.member.account_id, kind="management")
        self.http = httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.run(made).token}"}, timeout=30)

    def ask(self, path: str = "/v1/chat/completions", **fields: Any) -> str:
        """Send a request; the id of its record, which is there."""
        body = {"model": "demo", "max_tokens": 50, "messages": HELLO, **fields}
        answer = httpx.post(f"{self.gateway.url}{path}", json=body, headers={"authorization": f"Bearer {self.member.token}"}, timeout=30)
        return self.kept(answer)

    def kept(self, answer: httpx.Response) -> str:
        self.gateway.run(self.gateway.app.state.records.flush())
        return answer.headers["x-request-id"]

    def replay(self, record_id: str, *models: str, **given: Any) -> dict[str, Any]:
        answer = self.http.post(f"/api/records/{record_id}/replay", json={"models": models, **given})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, record_id: str, **given: Any) -> tuple[int, str, str]:
        answer = self.http.post(f"/api/records/{record_id}/replay", json={"model": "demo", **given})
        return answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["message"]

    def check(self) -> None:
        """Nothing is held, and the books agree with every charge."""
        self.gateway.check_quiet()
        report = self.gateway.run(audit(self.gateway.parts.database, self.gateway.plane.catalog))
        assert report.well, report.differences
        assert self.member.left() == DOLLAR - sum(row["cost_nano"] for row in self.member.charges())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request, make_gateway) -> LiveGateway:
    settings = {} if request.param == "sqlite" else {"database_url": request.getfixturevalue("postgres").create(migrated=True)}
    return make_gateway(demo=True, funds_wait_s=0.2, **settings)


@pytest.fixture
def desk(gateway) -> Iterator[Desk]:
    made = Desk(gateway)
    yield made
    made.http.close()


def charge_of(desk: Desk, outcome: dict[str, Any]) -> dict[str, Any]:
    [row] = [row for row in desk.member.charges() if row["id"] == outcome["id"]]
    return row


def test_answers_side_by_side_each_charged(desk):
    record_id = desk.ask()
    found = desk.replay(record_id, "demo-n20", "demo")
    original, (longer, same) = found["original"], found["answers"]
    assert (original["id"], original["model"], original["status"], found["redacted"]) == (record_id, "demo", 200, False)
    assert [longer["model"], same["model"]] == ["demo-n20", "demo"]
    assert same["text"] == original["text"] != longer["text"] and "Hello there" in same["text"]
    for outcome in (original, longer, same):
        row = charge_of(desk, outcome)
        assert (outcome["cost_nano"], outcome["output_tokens"]) == (row["cost_nano"], row["output_tokens"])
        assert outcome["cost_nano"] > 0 and outcome["whole"] and outcome["channel"] == "demo" and outcome["error"] is None
    assert len(desk.member.charges()) == 3
    assert {row["key_id"] for row in desk.member.charges()} == {charge_of(desk, original)["key_id"]}
    desk.check()


def test_a_replay_is_recorded_as_what_it_is(desk):
    record_id = desk.ask()
    [outcome] = desk.replay(record_id, "demo-n3")["answers"]
    desk.gateway.run(desk.gateway.app.state.records.flush())
    again = desk.http.get(f"/api/records/{outcome['id']}").json()
    assert again["record"]["request"]["headers"]["x-penstock-replay-of"] == record_id
    assert again["record"]["request"]["headers"]["authorization"] == "[redacted]"
    [second] = desk.replay(outcome["id"], "demo")["answers"]
    assert second["status"] == 200, "it can be replayed itself"


def test_streams_are_gathered(desk):
    record_id = desk.ask(stream=True, model="demo-n20")
    found = desk.replay(record_id, "demo-n20", "demo-n5d1")
    same, other = found["answers"]
    assert same["text"] == found["original"]["text"] and len(same["text"]) > len(other["text"]) > 0
    assert {charge_of(desk, outcome)["streamed"] for outcome in (same, other)} == {True if desk.gateway.parts.database.path is None else 1}
    desk.check()


def test_tool_calls(desk):
    for stream in (False, True):
        record_id = desk.ask(tools=[TOOL], stream=stream)
        [outcome] = desk.replay(record_id, "demo-tool")["answers"]
        assert [call["name"] for call in outcome["calls"]] == ["look"]
    desk.check()


def test_other_wires(desk):
    for path, fields in (
        ("/v1/messages", {}),
        ("/v1/responses", {"messages": None, "input": "Hello there", "max_tokens": None}),
        ("/v1/embeddings", {"messages": None, "input": "Hello there", "max_tokens": None}),
        ("/v1beta/models/demo:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]}),
    ):
        given = {name: value for name, value in {"messages": HELLO, "max_tokens": 50, **fields}.items() if value is not None}
        if "contents" in given:
            given = {"contents": given["contents"]}
        else:
            given["model"] = "demo"
        answer = httpx.post(f"{desk.gateway.url}{path}", json=given, headers={"authorization": f"Bearer {desk.member.token}"})
        assert answer.status_code == 200, answer.text
        [outcome] = desk.replay(desk.kept(answer), "demo-n4")["answers"]
        assert outcome["status"] == 200, outcome
        assert (outcome["text"] is None) == ("embeddings" in path)
        assert charge_of(desk, outcome)["model"] == "demo-n4"
    desk.check()


def test_what_the_provider_refuses_is_told_and_free(desk):
    record_id = desk.ask()
    [outcome] = desk.replay(record_id, "demo-fail429")["answers"]
    assert outcome["status"] == 429 and outcome["error"] and outcome["cost_nano"] in (None, 0)
    [outcome] = desk.replay(record_id, "demo-nonsense9")["answers"]
    assert outcome["status"] == 404 and outcome["text"] is None
    desk.check()


def test_without_money_the_refusal_is_in_the_result(gateway):
    desk = Desk(gateway, paid_nano=100_000)
    record_id = desk.ask()
    found = desk.replay(record_id, "demo", "demo")
    desk.gateway.check_quiet()
    assert {outcome["status"] for outcome in found["answers"]} <= {200, 402}
    left = desk.member.left()
    for _ in range(50):
        [outcome] = desk.replay(record_id, "demo-n2000")["answers"]
        if outcome["status"] == 402:
            break
    assert outcome["status"] == 402 and outcome["cost_nano"] is None and outcome["error"]
    assert desk.member.left() <= left
    desk.gateway.check_quiet()
    desk.http.close()


def test_limits_and_restrictions_of_the_key_hold(gateway):
    desk = Desk(gateway, limits={"rpm": 2}, models=["demo", "demo-n5"])
    record_id = desk.ask()
    found = desk.replay(record_id, "demo", "demo", "demo-n6")
    assert sorted(outcome["status"] for outcome in found["answers"]) == [200, 403, 429]
    desk.check()
    elsewhere = Desk(gateway)
    record_id = elsewhere.ask()
    [key] = [key for key in elsewhere.http.get("/api/keys").json()["data"] if key["name"] == "main"]
    elsewhere.http.patch(f"/api/keys/{key['id']}", json={"networks": ["10.0.0.0/8"]}).raise_for_status()
    [outcome] = elsewhere.replay(record_id, "demo")["answers"]
    assert outcome["status"] == 403 and "127.0.0.1" in outcome["error"]
    for one in (desk, elsewhere):
        one.http.close()


def test_a_key_that_is_disabled_or_gone_sends_nothing(desk):
    record_id = desk.ask()
    [key] = [key for key in desk.http.get("/api/keys").json()["data"] if key["name"] == "main"]
    desk.http.post(f"/api/keys/{key['id']}/disable").raise_for_status()
    assert desk.refused(record_id)[:2] == (409, "conflict") and "disabled" in desk.refused(record_id)[2]
    desk.http.post(f"/api/keys/{key['id']}/enable").raise_for_status()
    assert desk.replay(record_id, "demo")["answers"][0]["status"] == 200
    desk.http.delete(f"/api/keys/{key['id']}").raise_for_status()
    assert desk.refused(record_id)[:2] == (409, "conflict")
    assert len(desk.member.charges()) == 2


def test_uploads_and_long_bodies_are_refused(desk):
    authorization = {"authorization": f"Bearer {desk.member.token}"}
    files = {"file": ("a.wav", b"RIFF" + bytes(100)), "model": (None, "demo")}
    upload = httpx.post(f"{desk.gateway.url}/v1/audio/transcriptions", files=files, headers=authorization)
    assert "upload" in desk.refused(desk.kept(upload))[2]
    long = desk.ask(messages=[{"role": "user", "content": "x" * (1 << 20)}])
    assert "only the beginning" in desk.refused(long)[2]


def test_nobody_sends_what_is_another_s(desk, gateway):
    record_id = desk.ask()
    stranger = Desk(gateway)
    assert stranger.refused(record_id)[:2] == (404, "not_found")
    admin = httpx.Client(base_url=gateway.url)
    admin.headers["authorization"] = f"Bearer {gateway.run(gateway.parts.keys.create(f'root {next(NUMBERS)}', kind='management')).token}"
    assert admin.post(f"/api/records/{record_id}/replay", json={"model": "demo"}).status_code == 404
    shown = admin.post(f"/api/records/{record_id}/replay", json={"model": "demo"}, params={"shelf": "operator"})
    assert shown.status_code in (403, 404)
    assert len(desk.member.charges()) == 1 and stranger.member.charges() == []
    for client in (admin, stranger.http):
        client.close()


@pytest.mark.parametrize("body", [
    {}, {"model": "a", "models": ["b"]}, {"models": []}, {"models": ["demo"] * 5}, {"model": "demo", "x": 1}, {"model": "a\nb"},
    {"model": 5},
])  # fmt: skip
def test_what_is_asked_wrongly(desk, body):
    record_id = desk.ask()
    answer = desk.http.post(f"/api/records/{record_id}/replay", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_several_clients_at_once(desk):
    ids = [desk.ask(), desk.ask(stream=True)]
    results: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda one=one: results.append(desk.replay(one, "demo", "demo-n9", "demo-n5d5"))) for one in ids * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = [outcome for found in results for outcome in found["answers"]]
    assert len(outcomes) == 12 and {outcome["status"] for outcome in outcomes} == {200}
    assert len({outcome["id"] for outcome in outcomes}) == 12
    for outcome in outcomes:
        assert charge_of(desk, outcome)["cost_nano"] == outcome["cost_nano"]
    desk.check()


def test_there_are_not_too_many_at_once(desk):
    record_id = desk.ask()
    statuses: list[int] = []

    def replay() -> None:
        statuses.append(desk.http.post(f"/api/records/{record_id}/replay", json={"model": "demo-slow2000"}).status_code)

    threads = [threading.Thread(target=replay) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses)[:4] == [200] * 4 and set(statuses) == {200, 503}
    assert desk.replay(record_id, "demo")["answers"][0]["status"] == 200
    desk.check()


def test_a_client_that_leaves_ends_the_requests_and_they_are_settled(desk):
    record_id = desk.ask(stream=True, max_tokens=1000)
    with pytest.raises(httpx.ReadTimeout):
        desk.http.post(f"/api/records/{record_id}/replay", json={"models": ["demo-hang", "demo-n500d50"]}, timeout=3)
    desk.gateway.check_quiet(within_s=10)
    rows = {row["model"]: row["outcome"] for row in desk.gateway.charges(want=3)}
    assert rows["demo-n500d50"] == "client_gone"
    desk.check()


def test_one_channel_alone_and_over_a_bridge(make_gateway, demo):
    gateway = make_gateway(own_keys=True)
    draft = Draft("one", "openai-compatible", f"http://127.0.0.1:{demo.port}/v1", (("demo", "demo"),), wires=("chat",), allow_private=True,
                  discover=False)  # fmt: skip
    for one in (draft, replace(draft, name="two")):
        gateway.run(gateway.app.state.channels.create(CLI, one, [Given("sk-vendor-placeholder")]))
    assert gateway._until(lambda: len(gateway.plane.channels) == 2)
    token = gateway.run(gateway.parts.keys.create("recorded", record=True)).token
    root = gateway.run(gateway.parts.keys.create("root", kind="management")).token
    body = {"model": "demo", "max_tokens": 50, "messages": HELLO}
    answer = httpx.post(f"{gateway.url}/v1/messages", json=body, headers={"x-api-key": token})
    assert answer.json()["type"] == "message"
    gateway.run(gateway.app.state.records.flush())
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {root}"}) as client:
        for name in ("one", "two", "one"):
            path = f"/api/records/{answer.headers['x-request-id']}/replay"
            found = client.post(path, json={"model": "demo", "channel": name}).json()
            assert found["answers"][0]["channel"] == name and found["answers"][0]["text"] == found["original"]["text"]
        [refused] = client.post(path, json={"model": "demo", "channel": "three"}).json()["answers"]
        assert refused["status"] == 404 and "three" in refused["error"]


def test_the_key_that_the_settings_give_is_a_key_too(make_gateway):
    gateway = make_gateway(demo=True, proxy_api_key="open sesame", record=True)
    body = {"model": "demo", "max_tokens": 50, "messages": HELLO}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers={"authorization": "Bearer open sesame"})
    gateway.run(gateway.app.state.records.flush())
    root = gateway.run(gateway.parts.keys.create("root", kind="management")).token
    path = f"{gateway.url}/api/records/{answer.headers['x-request-id']}/replay"
    headers = {"authorization": f"Bearer {root}"}
    found = httpx.post(path, json={"model": "demo-n5"}, params={"shelf": "operator"}, headers=headers).json()
    assert found["answers"][0]["status"] == 200 and found["answers"][0]["model"] == "demo-n5"
    [first, second] = gateway.charges(want=2)
    assert (first["key_id"], first["account_id"]) == (second["key_id"], second["account_id"]) == (None, "acc_operator")
