"""Graceful stop: what runs may finish for a while, what is new is turned away, and what is cut off says so and is charged."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from fake_answers import answer as said
from fake_answers import chat_answer
from fake_provider import hang
from raw_client import RawClient, bearer, chat, request


@pytest.fixture
def stopping(make_gateway):
    """Starts a gateway that gives running exchanges so many seconds, and what stops it meanwhile; both end with the test."""
    threads = []

    def start(stop_s, make=make_gateway):
        gateway = make(stop_s=stop_s) if make is not make_gateway else make(stop_s=stop_s, demo=True)
        thread = threading.Thread(target=gateway.stop)
        threads.append(thread)

        def stop():
            thread.start()
            end = time.monotonic() + 5
            while not refuses(gateway):
                assert time.monotonic() < end
                time.sleep(0.01)

        return gateway, stop, thread

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def refuses(gateway):
    try:
        RawClient(gateway.port).close()
    except ConnectionRefusedError:
        return True
    return False


def rows(gateway):
    """The charges on the disk of a gateway that has stopped."""
    with sqlite3.connect(gateway.settings.data / "penstock.db") as database:
        database.row_factory = sqlite3.Row
        found = [dict(row) for row in database.execute("SELECT * FROM charge ORDER BY id")]
    database.close()
    return found


def test_what_runs_finishes_and_what_is_new_is_refused(stopping, dial):
    gateway, stop, thread = stopping(5)
    idle, halfway, busy, waiting = (dial(gateway) for _ in range(4))
    assert idle.ask(request("GET /v1/files", bearer(gateway.key))).status == 200
    halfway.send(chat(gateway.key)[:100])
    busy.send(chat(gateway.key, model="demo-n12d50", stream=True)).until(b"data: ")
    waiting.send(chat(gateway.key, model="demo-slow400"))
    stop()
    busy.send(chat(gateway.key))
    assert idle.rest() == b""
    assert halfway.rest() == b""
    assert busy.rest().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    answer = waiting.answer()
    assert (answer.status, answer.closes) == (200, True)
    assert waiting.rest() == b""
    thread.join(20)
    found = [(row["model"], row["outcome"], row["estimated"]) for row in rows(gateway)]
    assert sorted(found) == [("demo-n12d50", "complete", 0), ("demo-slow400", "complete", 0)]


ENDS = {
    "chat/completions": b'"code":"shutting_down"',
    "messages": b"event: error\ndata: ",
    "responses": b"event: response.failed\ndata: ",
}


def test_what_does_not_finish_is_ended_and_charged(stopping, dial):
    gateway, stop, thread = stopping(1)
    body = b'{"model":"demo-n900d100","max_tokens":1000,"stream":true,"input":"Hi","messages":[{"role":"user","content":"Hi"}]}'
    key = bearer(gateway.key)
    streams = {path: dial(gateway).send(request(f"POST /v1/{path}", key, body=body)) for path in ENDS}
    for client in streams.values():
        client.until(b"\r\n\r\n")
        for _ in range(4):
            client.chunk()
    waiting = dial(gateway).send(chat(gateway.key, model="demo-slow60000"))
    upload = dial(gateway).send(request("POST /v1/files", key, "content-type: text/plain", "content-length: 100") + b"hello")
    handshake = ["connection: Upgrade", "upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version: 13"]
    session = dial(gateway).send(request("GET /v1/realtime?model=demo", key, *handshake))
    assert session.head().status == 101
    stop()
    for path, client in streams.items():
        chunks = list(iter(client.chunk, b""))
        assert ENDS[path] in chunks[-1], path
        assert b"[DONE]" not in chunks[-1]
        assert client.rest() == b""
    for client in (waiting, upload):
        answer = client.answer()
        assert (answer.status, answer.code, answer.closes) == (503, "shutting_down", True)
        assert client.rest() == b""
    session.rest()
    thread.join(20)
    found = {row["wire"] + str(row["status"]): row for row in rows(gateway)}
    assert set(found) == {"chat200", "messages200", "responses200", "chat503", "realtime101"}
    assert {row["outcome"] for row in found.values()} == {"stopped"}
    assert all(row["estimated"] for wire, row in found.items() if wire != "realtime101")
    assert all((row["input_tokens"] > 0) == (row["status"] == 200) for wire, row in found.items() if wire != "realtime101")
    assert all(row["output_tokens"] > 0 for wire, row in found.items() if wire in ("chat200", "messages200", "responses200"))


def test_a_plain_answer_that_is_half_there(stopping, make_vendor_gateway, vendor, dial, loop_thread):
    vendor.script(said(chat_answer())[:300], hang)
    gateway, stop, thread = stopping(0, make_vendor_gateway)
    client = dial(gateway).send(chat(gateway.key))
    loop_thread.run(vendor.until_requests(1))
    stop()
    answer = client.answer()
    assert (answer.status, answer.code, answer.closes) == (503, "shutting_down", True)
    thread.join(20)
    (row,) = rows(gateway)
    assert (row["status"], row["outcome"]) == (503, "stopped")


def test_stopping_without_patience(stopping, dial):
    gateway, stop, thread = stopping(0)
    client = dial(gateway).send(chat(gateway.key, model="demo-n900d100", stream=True))
    client.until(b"\r\n\r\n")
    client.chunk()
    stop()
    assert ENDS["chat/completions"] in list(iter(client.chunk, b""))[-1]
    thread.join(20)
    assert [row["outcome"] for row in rows(gateway)] == ["stopped"]
