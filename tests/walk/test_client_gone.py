"""Clients that leave, at every step of the walk: the provider is left at once, the hold is resolved once, the charge is right."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import pytest

from fake_answers import CHAT_USAGE, SSE, chat_answer, chat_events, chunk, head, messages_events, responses_events
from fake_answers import answer as said
from fake_provider import close, flood, hang, silent_port
from raw_client import RawClient, bearer, chat, request

LEAVING = {"closes": RawClient.close, "resets": RawClient.reset, "half-closes": RawClient.half_close}
JSON = "content-type: application/json"
STREAM = head(200, "transfer-encoding: chunked", kind=SSE)


@pytest.fixture(params=LEAVING)
def leave(request):
    """How the client leaves."""
    return LEAVING[request.param]


@pytest.fixture
def aftermath(vendor_gateway, vendor, dial, until_hung_up):
    """After the client has left: nothing is left behind, the charges since the beginning, and the next request is served."""
    gateway = vendor_gateway
    before, taken = len(gateway.charges()), gateway.plane.holds.taken

    def look(*, charges=0, holds=1):
        rows = gateway.charges(before + charges)[before:]
        until_hung_up()
        assert len(rows) == charges
        assert gateway.plane.holds.taken == taken + holds
        assert dial(gateway).ask(chat(gateway.key)).status == 200
        assert len(gateway.charges(before + charges + 1)) == before + charges + 1
        return rows

    return look


@contextlib.contextmanager
def slow_disk(gateway):
    """While the block runs no charge can be written."""
    lock = sqlite3.connect(gateway.settings.data / "penstock.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        lock.execute("ROLLBACK")
        lock.close()


def until(true):
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def until_noticed(gateway):
    """Until no client is connected any more."""
    until(lambda: not gateway.plane.connections)


# before the provider is asked


@pytest.mark.parametrize(
    "sent", [b"", b"PO", b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthoriz", b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"]
)
def test_while_sending_the_head(vendor_gateway, vendor, dial, leave, aftermath, sent):
    leave(dial(vendor_gateway).send(sent))
    assert aftermath(holds=0) == []


@pytest.mark.parametrize(
    ("kind", "size"),
    [(JSON, 1000), (JSON, 1_000_000), ("content-type: text/plain", 1000), ("content-type: multipart/form-data; boundary=x", 1000)],
)
@pytest.mark.parametrize("framing", ["content-length: SIZE", "transfer-encoding: chunked"])
def test_while_sending_a_body_that_is_held(vendor_gateway, vendor, dial, leave, aftermath, kind, size, framing):
    path = "audio/transcriptions" if "multipart" in kind else "chat/completions"
    asked = request(f"POST /v1/{path}", bearer(vendor_gateway.key), kind, framing.replace("SIZE", str(size)))
    client = dial(vendor_gateway).send(asked + b'10\r\n{"model":"m",    ')
    leave(client)
    assert aftermath(holds=0) == []
    assert len(vendor.requests) == 1, "asked before the body was there"


def test_while_the_key_is_looked_up(vendor_gateway, vendor, dial, leave, aftermath):
    for number in range(10):
        leave(dial(vendor_gateway).send(request("GET /v1/files", f"authorization: Bearer sk-stranger{number}")))
    assert aftermath(holds=0) == []


def test_while_a_connection_to_the_provider_is_made(make_gateway, dial, leave):
    with silent_port() as port:
        gateway = make_gateway(openai_api_key="sk-vendor", openai_base_url=f"http://127.0.0.1:{port}/v1")
        client = dial(gateway).send(chat(gateway.key))
        until(lambda: gateway.plane.holds.open == 1)
        leave(client)
        gateway.check_quiet()
        assert gateway.charges() == []
        assert gateway.plane.holds.released == 1


def test_in_the_instant_in_which_the_provider_is_reached(make_gateway, remote_provider, dial, loop_thread):
    gateway = make_gateway(openai_api_key="sk-vendor", openai_base_url=f"{remote_provider.url}/v1")
    remote_provider.always(said(chat_answer()), close)
    for number in range(300):
        client = dial(gateway).send(chat(gateway.key))
        time.sleep(number % 30 / 20_000)
        client.reset()
    until_noticed(gateway)
    gateway.check_quiet(within_s=1)
    pool = gateway.plane.channels[0].pool
    loop_thread.run(remote_provider.until(lambda: remote_provider.open == pool.idle))


def test_while_sending_an_upload(vendor_gateway, vendor, dial, loop_thread, leave, aftermath):
    asked = request("POST /v1/things", bearer(vendor_gateway.key), "content-type: text/plain", "content-length: 1000")
    client = dial(vendor_gateway).send(asked + b"hello")
    loop_thread.run(vendor.until(lambda: bool(vendor.requests)))
    leave(client)
    assert aftermath() == [], "the provider never had the whole request"
    assert not vendor.requests[0].complete


def test_while_sending_a_sound(vendor_gateway, vendor, dial, loop_thread, leave, aftermath):
    model = b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    file = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
    kind = "content-type: multipart/form-data; boundary=x"
    asked = request("POST /v1/audio/transcriptions", bearer(vendor_gateway.key), kind, "content-length: 10000000")
    client = dial(vendor_gateway).send(asked + model + file + bytes(300_000))
    loop_thread.run(vendor.until(lambda: bool(vendor.requests)))
    leave(client)
    assert aftermath() == [], "the provider never had the whole request"


# after it was asked


def test_while_waiting_for_the_head(vendor_gateway, vendor, dial, loop_thread, leave, aftermath):
    vendor.script(hang)
    asked = chat(vendor_gateway.key, model="gpt-4o", padding="x" * 4000)
    client = dial(vendor_gateway).send(asked)
    loop_thread.run(vendor.until_requests(1))
    leave(client)
    (row,) = aftermath(charges=1)
    assert (row["outcome"], row["status"], row["streamed"], row["estimated"]) == ("client_gone", 499, 0, 1)
    assert 1000 < row["input_tokens"] < 1100
    assert row["output_tokens"] == 0
    assert row["cost_nano"] > 0


def test_while_waiting_for_the_head_of_what_costs_nothing(vendor_gateway, vendor, dial, loop_thread, leave, aftermath):
    vendor.script(hang)
    client = dial(vendor_gateway).send(request("GET /v1/files", bearer(vendor_gateway.key)))
    loop_thread.run(vendor.until_requests(1))
    leave(client)
    assert aftermath() == []


STREAMS = {
    "chat": ("/v1/chat/completions", chat_events(20)),
    "responses": ("/v1/responses", responses_events(20)),
    "messages": ("/v1/messages", messages_events(20)),
}


@pytest.mark.parametrize("wire", STREAMS)
@pytest.mark.parametrize("together", [True, False])
def test_in_the_middle_of_a_stream(vendor_gateway, vendor, dial, leave, aftermath, wire, together):
    path, events = STREAMS[wire]
    seen = next(at for at, event in enumerate(events) if b" word9" in event) + 1
    sent = [chunk(b"".join(events[:seen]))] if together else [chunk(event) for event in events[:seen]]
    vendor.script(STREAM, *sent, hang)
    body = b'{"model":"m","max_tokens":5,"stream":true,"messages":[]}'.ljust(400)
    client = dial(vendor_gateway).send(request(f"POST {path}", f"x-api-key: {vendor_gateway.key}", JSON, body=body))
    client.until(b" word9")
    leave(client)
    (row,) = aftermath(charges=1)
    assert (row["wire"], row["outcome"], row["status"], row["streamed"], row["estimated"]) == (wire, "client_gone", 200, 1, 1)
    assert row["input_tokens"] == (19 if wire == "messages" else 100)
    assert 10 <= row["output_tokens"] <= 12


def test_in_the_middle_of_an_event(vendor_gateway, vendor, dial, leave, aftermath):
    events = chat_events(20)
    vendor.script(STREAM, *[chunk(event) for event in events[:6]], chunk(events[6][:30]), hang)
    client = dial(vendor_gateway).send(chat(vendor_gateway.key, stream=True))
    client.until(b" word4")
    leave(client)
    (row,) = aftermath(charges=1)
    assert (row["outcome"], row["output_tokens"], row["estimated"]) == ("client_gone", 5, 1)


def test_in_the_middle_of_a_sound(vendor_gateway, vendor, dial, leave, aftermath):
    vendor.script(head(200, "transfer-encoding: chunked", kind="audio/mpeg"), chunk(b"\xff" * 50_000), chunk(b"\xff" * 50_000), hang)
    body = b'{"model":"tts-1","input":"Hello there!","voice":"alloy"}'
    client = dial(vendor_gateway).send(request("POST /v1/audio/speech", bearer(vendor_gateway.key), JSON, body=body))
    client.until(b"\r\n\r\n")
    leave(client)
    (row,) = aftermath(charges=1)
    assert (row["wire"], row["outcome"], row["status"], row["streamed"]) == ("speech", "client_gone", 200, 1)
    assert json.loads(row["extra_usage"])["characters"] == 12


def test_in_the_middle_of_a_plain_answer(vendor_gateway, vendor, dial, loop_thread, leave, aftermath):
    whole = said(chat_answer("word " * 200))
    vendor.script(whole[:600], hang)
    client = dial(vendor_gateway).send(chat(vendor_gateway.key))
    loop_thread.run(vendor.until_requests(1))
    connections = [each for pool in {channel.pool for channel in vendor_gateway.plane.channels} for each in pool._all]
    until(lambda: any(connection.busy and connection.answered for connection in connections))
    leave(client)
    (row,) = aftermath(charges=1)
    assert (row["outcome"], row["status"], row["streamed"], row["estimated"]) == ("client_gone", 200, 0, 1)
    assert row["input_tokens"] > 0


# when the answer is whole


@pytest.mark.parametrize("stream", [False, True])
def test_while_the_charge_is_written(vendor_gateway, vendor, dial, leave, aftermath, stream):
    events = STREAM + b"".join(map(chunk, chat_events(10))) + b"0\r\n\r\n"
    vendor.script(events if stream else said(chat_answer()))
    with slow_disk(vendor_gateway):
        client = dial(vendor_gateway).send(chat(vendor_gateway.key, stream=stream, stream_options={"include_usage": True}))
        until(lambda: vendor_gateway.plane.books.depth == 1)
        if stream:
            client.until(b" word9")
        leave(client)
        until_noticed(vendor_gateway)
    (row,) = aftermath(charges=1)
    assert (row["outcome"], row["status"], row["estimated"]) == ("complete", 200, 0)
    assert (row["input_tokens"], row["output_tokens"]) == (CHAT_USAGE["prompt_tokens"], CHAT_USAGE["completion_tokens"])


def test_a_stream_does_not_end_before_its_charge_is_written(vendor_gateway, vendor, dial, aftermath):
    vendor.script(STREAM, *map(chunk, chat_events(10)), b"0\r\n\r\n")
    client = dial(vendor_gateway)
    with slow_disk(vendor_gateway):
        assert client.send(chat(vendor_gateway.key, stream=True)).head().status == 200
        until(lambda: vendor_gateway.plane.books.depth == 1)
        seen = b""
        while client.readable(0.1):
            seen += client.chunk()
    assert b" word9" in seen
    assert b"[DONE]" not in seen
    assert b"".join(iter(client.chunk, b"")).endswith(b"data: [DONE]\n\n")
    assert aftermath(charges=1)[0]["outcome"] == "complete"


def test_a_plain_answer_does_not_begin_before_its_charge_is_written(vendor_gateway, vendor, dial, aftermath):
    client = dial(vendor_gateway)
    with slow_disk(vendor_gateway):
        client.send(chat(vendor_gateway.key))
        until(lambda: vendor_gateway.plane.books.depth == 1)
        assert not client.readable(0.1)
    assert client.answer().status == 200
    assert aftermath(charges=1)[0]["outcome"] == "complete"


def test_right_after_the_end(vendor_gateway, vendor, dial, leave, aftermath):
    client = dial(vendor_gateway)
    assert client.ask(chat(vendor_gateway.key)).status == 200
    leave(client)
    until_noticed(vendor_gateway)
    (row,) = aftermath(charges=1)
    assert row["outcome"] == "complete"


# more than one


def test_with_others_waiting_behind(vendor_gateway, vendor, dial, until_hung_up):
    """Reading has stopped, since requests wait: only an answer that cannot be written shows that the client has gone."""
    vendor.script(STREAM, *map(chunk, chat_events(20)[:4]), flood(chunk(b": nothing\n\n"), 1_000_000))
    client = dial(vendor_gateway).send(chat(vendor_gateway.key, stream=True) * 3)
    client.until(b" word2")
    client.reset()
    until_noticed(vendor_gateway)
    until_hung_up()
    assert len(vendor.requests) == 1
    assert dial(vendor_gateway).ask(chat(vendor_gateway.key)).status == 200


def test_a_hundred_at_once(vendor_gateway, vendor, dial, loop_thread, aftermath):
    for _ in range(100):
        vendor.script(STREAM, *map(chunk, chat_events(20)[:4]), hang)
    clients = [dial(vendor_gateway).send(chat(vendor_gateway.key, stream=True)) for _ in range(100)]
    for client in clients:
        client.until(b" word2")
    for number, client in enumerate(clients):
        list(LEAVING.values())[number % 3](client)
    rows = aftermath(charges=100, holds=100)
    assert {(row["outcome"], row["output_tokens"]) for row in rows} == {("client_gone", 3)}
