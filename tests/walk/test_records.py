"""Records over real sockets: what a client did is on its shelf, is shown behind a link, and is downloaded while others go on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from member import join
from penstock.records.page import HEADERS
from raw_client import RawClient

SCRIPT = "<script>document.title='taken'</script>"
BODY = {"model": "demo", "max_tokens": 50, "messages": [{"role": "user", "content": f"Hello {SCRIPT}"}]}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def gateway(request, make_gateway):
    settings = {} if request.param == "sqlite" else {"database_url": request.getfixturevalue("postgres").create(migrated=True)}
    return make_gateway(demo=True, **settings)


class Desk:
    """A member who records, and a program that acts for them."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.member = join(gateway, paid_nano=10**9, record=True)
        self.token = gateway.run(gateway.parts.keys.create("managing", account_id=self.member.account_id, kind="management")).token
        self.http = httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {self.token}"}, timeout=30)

    def ask(self, **given: Any) -> str:
        """A request of the member; the id of its record, which is there."""
        answer = httpx.post(
            f"{self.gateway.url}/v1/chat/completions", json=BODY | given, headers={"authorization": f"Bearer {self.member.token}"}
        )
        self.gateway.run(self.gateway.parts.records.flush())
        return answer.headers["x-request-id"]


@pytest.fixture
def desk(gateway) -> Iterator[Desk]:
    made = Desk(gateway)
    yield made
    made.http.close()


def test_what_a_client_did_is_on_its_shelf(desk):
    record_id = desk.ask()
    [entry] = desk.http.get("/api/records").json()["data"]
    assert (entry["id"], entry["status"], entry["model"], entry["channel"]) == (record_id, 200, "demo", "demo")
    shown = desk.http.get(f"/api/records/{record_id}").json()
    assert json.loads(shown["record"]["request"]["body"]) == BODY
    assert shown["record"]["request"]["headers"]["authorization"] == "[redacted]"
    assert SCRIPT in json.loads(shown["record"]["response"]["body"])["choices"][0]["message"]["content"]
    assert desk.http.get(shown["receipt"]).json()["charge"]["id"] == record_id
    assert desk.member.token not in json.dumps(shown)
    assert desk.http.get(f"/api/records/{record_id}/diff").status_code == 200


def test_a_link_shows_it_to_anybody(desk):
    made = desk.http.post(f"/api/records/{desk.ask()}/share", json={"headers": True}).json()
    with httpx.Client() as anybody:
        page = anybody.get(made["url"], headers={"accept": "text/html"})
        assert page.status_code == 200 and "<script" not in page.text and "&lt;script&gt;" in page.text
        for name, value in HEADERS.items():
            assert page.headers[name].startswith(value)
        assert "set-cookie" not in page.headers and desk.member.account_id not in page.text
        told = anybody.get(made["url"])
        assert told.headers["content-type"] == "application/json" and told.json()["record"]["response"]["status"] == 200
        desk.http.delete(f"/api/records/shares/{made['id']}").raise_for_status()
        assert anybody.get(made["url"]).status_code == 404


def test_a_download_goes_on_while_others_record_and_clear(desk, gateway):
    other = Desk(gateway)
    for _ in range(5):
        desk.ask()
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            other.ask()
            other.http.post("/api/records/clear", json={}).raise_for_status()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(5):
            lines = desk.http.get("/api/records/export", params={"format": "jsonl"}).text.splitlines()
            assert len(lines) == 5
            assert all(json.loads(line)["record"]["request"]["body"] for line in lines)
    finally:
        stop.set()
        thread.join()
    other.http.close()


def test_one_who_leaves_a_download_is_forgotten(desk, gateway):
    for number in range(20):
        desk.ask(messages=[{"role": "user", "content": f"{number} " + "x" * 200_000}])
    with RawClient(gateway.port) as client:
        client.send(f"GET /api/records/export HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {desk.token}\r\n\r\n".encode())
        assert client.exactly(100).startswith(b"HTTP/1.1 200")
    gateway.check_quiet()
    assert desk.http.post("/api/records/clear", json={}).json() == {"cleared": 20}
    assert desk.http.get("/api/records").json()["data"] == []
