"""WebSocket sessions through the gateway: relayed byte for byte, metered by the way, charged when they end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from fake_provider import close, hang, reset
from raw_client import RawClient, bearer, request

HANDSHAKE = ["connection: Upgrade", "upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version: 13"]
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nset-cookie: a=b\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"
)


def text_frame(data, mask=b""):
    assert len(data) < 126
    return bytes([0x81, len(data) | (0x80 if mask else 0)]) + mask + data


def session(gateway, model="demo", **options):
    return connect(f"ws://127.0.0.1:{gateway.port}/v1/realtime?model={model}", proxy=None, max_size=None, **options)


def signed(gateway):
    return {"additional_headers": {"authorization": f"Bearer {gateway.key}"}}


def say(socket, kind, **more):
    socket.send(json.dumps({"type": kind} | more))


def hear(socket, kind):
    """The next message of a kind."""
    while (message := json.loads(socket.recv(10)))["type"] != kind:
        assert message["type"] != "error", message
    return message


def converse(socket):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
    say(socket, "conversation.item.create", item=item)
    say(socket, "response.create")
    return hear(socket, "response.done")["response"]["usage"]


def charge(gateway, before):
    (row,) = gateway.charges(before + 1)[before:]
    gateway.check_quiet()
    return row


@pytest.mark.parametrize("door", ["header", "x-api-key", "subprotocol", "query"])
def test_a_session_is_charged_when_it_ends(gateway, door):
    before = len(gateway.charges())
    options = {
        "header": signed(gateway),
        "x-api-key": {"additional_headers": {"x-api-key": gateway.key}},
        "subprotocol": {"subprotocols": ["realtime", f"openai-insecure-api-key.{gateway.key}", "openai-beta.realtime-v1"]},
        "query": {},
    }[door]
    with session(gateway, f"demo&key={gateway.key}" if door == "query" else "demo", **options) as socket:
        hear(socket, "session.created")
        assert socket.subprotocol == ("realtime" if door == "subprotocol" else None)
        used = [converse(socket) for _ in range(3)]
        assert len(gateway.charges()) == before
    row = charge(gateway, before)
    assert (row["wire"], row["model"], row["status"], row["outcome"], row["estimated"]) == ("realtime", "demo", 101, "complete", 0)
    assert row["output_tokens"] == sum(one["output_tokens"] for one in used) > 0
    assert row["input_tokens"] + row["cache_read_tokens"] == sum(one["input_tokens"] for one in used)


@pytest.mark.parametrize(
    "options", [{}, {"additional_headers": {"authorization": "Bearer sk-stranger"}}, {"subprotocols": ["openai-insecure-api-key.x"]}]
)
def test_without_a_key_there_is_no_session(gateway, options):
    before = len(gateway.charges())
    with pytest.raises(InvalidStatus) as refused, session(gateway, **options):
        pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["connection"] == "close"
    assert len(gateway.charges()) == before


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset, RawClient.half_close])
def test_a_client_that_is_cut_off(gateway, dial, leave):
    before = len(gateway.charges())
    client = dial(gateway).send(request("GET /v1/realtime?model=demo-n200d50", bearer(gateway.key), *HANDSHAKE))
    assert client.head().status == 101
    client.send(text_frame(b'{"type":"response.create"}', mask=bytes(4)))
    client.until(b"response.output_text.delta")
    leave(client)
    row = charge(gateway, before)
    assert (row["status"], row["outcome"], row["estimated"]) == (101, "client_gone", 1)


def test_long_messages_and_many_pass_both_ways(gateway):
    with session(gateway, "demo-big2m", **signed(gateway)) as socket:
        say(socket, "input_audio_buffer.append", audio="A" * 2_000_000)
        for _ in range(200):
            say(socket, "input_audio_buffer.append", audio="A" * 1000)
        say(socket, "response.create")
        assert len(hear(socket, "response.output_text.done")["text"]) == 2 * 1024 * 1024


def test_sessions_do_not_disturb_each_other(gateway):
    before = len(gateway.charges())

    def talk(_):
        with session(gateway, **signed(gateway)) as socket:
            return converse(socket)["output_tokens"]

    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(talk, range(8)))
    rows = gateway.charges(before + 8)[before:]
    assert sorted(row["output_tokens"] for row in rows) == sorted(tokens)


def test_without_an_upgrade_it_is_a_plain_request(gateway, dial):
    client = dial(gateway)
    assert client.ask(request("GET /v1/realtime?model=demo", bearer(gateway.key))).status == 400
    assert client.ask(request("GET /healthz")).status == 200


def test_the_handshake_that_the_provider_sees(vendor_gateway, vendor, dial, until_hung_up):
    vendor.script(SWITCH + text_frame(b"hello"), hang)
    key = vendor_gateway.key
    more = [
        "sec-websocket-extensions: permessage-deflate",
        f"sec-websocket-protocol: realtime, openai-insecure-api-key.{key}, b",
        "cookie: a=b",
    ]
    client = dial(vendor_gateway).send(request("GET /v1/realtime?model=m&key=" + key, *HANDSHAKE, *more, "origin: https://a.example"))
    answer = client.head()
    assert answer.status == 101
    assert answer.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (answer.header("sec-websocket-extensions"), answer.header("set-cookie")) == (None, None)
    assert client.exactly(7) == text_frame(b"hello")
    client.close()
    until_hung_up()
    (received,) = vendor.requests
    assert key.encode() not in received.raw_head
    assert received.target == "/v1/realtime?model=m"
    assert received.header("authorization") == b"Bearer sk-vendor"
    assert received.header("sec-websocket-protocol") == b"realtime, b"
    assert received.header("sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="
    assert not {"sec-websocket-extensions", "cookie", "origin"} & set(received.names())


@pytest.mark.parametrize(("end", "outcome"), [(close, "complete"), (reset, "upstream_died")])
def test_a_provider_that_leaves(vendor_gateway, vendor, dial, until_hung_up, end, outcome):
    before = len(vendor_gateway.charges())
    done = b'{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4}}}'
    vendor.script(SWITCH, text_frame(done), text_frame(b"{}")[:3], end)
    client = dial(vendor_gateway).send(request("GET /v1/realtime?model=m", bearer(vendor_gateway.key), *HANDSHAKE))
    assert client.head().status == 101
    rest = client.rest()
    row = charge(vendor_gateway, before)
    until_hung_up()
    if outcome == "complete":
        assert rest.startswith(text_frame(done))
        assert (row["outcome"], row["input_tokens"], row["output_tokens"]) == ("complete", 3, 4)
    assert row["outcome"] in (outcome, "complete")


def test_a_provider_that_refuses_the_session(vendor_gateway, vendor, dial, until_hung_up):
    before = len(vendor_gateway.charges())
    vendor.script(b'HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{"error":{}}')
    client = dial(vendor_gateway).send(request("GET /v1/realtime?model=m", bearer(vendor_gateway.key), *HANDSHAKE))
    answer = client.answer()
    assert (answer.status, answer.body, answer.closes) == (403, b'{"error":{}}', True)
    assert client.rest() == b""
    until_hung_up()
    assert len(vendor_gateway.charges()) == before


def test_a_provider_that_ignores_the_upgrade(vendor_gateway, vendor, dial):
    client = dial(vendor_gateway).send(request("GET /v1/realtime?model=m", bearer(vendor_gateway.key), *HANDSHAKE) + b"\x81\x05early")
    answer = client.answer()
    assert (answer.status, answer.json, answer.closes) == (200, {"ok": True}, True)
    assert client.rest() == b""


def test_a_switch_that_nobody_asked_for(vendor_gateway, vendor, dial, until_hung_up):
    vendor.script(SWITCH, hang)
    answer = dial(vendor_gateway).ask(request("GET /v1/files", bearer(vendor_gateway.key)))
    assert (answer.status, answer.code) == (502, "upstream_invalid")
    until_hung_up()


def test_a_slow_client_holds_the_provider_back(gateway):
    with session(gateway, "demo-big8m", **signed(gateway)) as socket:
        say(socket, "response.create")
        hear(socket, "response.created")
        assert len(hear(socket, "response.output_text.done")["text"]) == 8 * 1024 * 1024
    gateway.check_quiet()


def test_the_connection_is_closed_by_a_close(gateway):
    with session(gateway, **signed(gateway)) as socket:
        hear(socket, "session.created")
        socket.close()
        with pytest.raises(ConnectionClosed):
            socket.recv(5)
    gateway.check_quiet()
