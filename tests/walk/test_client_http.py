"""HTTP as clients may speak it: 1.0, HEAD, Expect, and offers of other protocols."""

from __future__ import annotations

import pytest

from fake_answers import answer as said
from fake_answers import chat_answer, chat_events, messages_events, stream
from raw_client import bearer, chat, request

JSON = "content-type: application/json"
BODY = b'{"model":"m","max_tokens":5,"messages":[]}'


def test_http_1_0(vendor_gateway, vendor, dial):
    vendor.script(stream(*chat_events())).script(stream(*messages_events())).script(said(chat_answer()))
    streamed = dial(vendor_gateway).ask(chat(vendor_gateway.key, stream=True).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (streamed.status, streamed.closes, streamed.header("transfer-encoding")) == (200, True, None)
    assert streamed.body.endswith(b"data: [DONE]\n\n")
    asked = request("POST /v1/messages", f"x-api-key: {vendor_gateway.key}", JSON, "connection: keep-alive", body=BODY)
    assert dial(vendor_gateway).ask(asked.replace(b"HTTP/1.1", b"HTTP/1.0")).body.count(b"message_stop") == 2
    client = dial(vendor_gateway)
    assert client.ask(chat(vendor_gateway.key).replace(b"HTTP/1.1", b"HTTP/1.0")).json["object"] == "chat.completion"
    assert client.rest() == b""


def test_head(vendor_gateway, vendor, dial):
    vendor.script(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n")
    client = dial(vendor_gateway)
    asked = request("HEAD /v1/files", bearer(vendor_gateway.key))
    answer = client.ask(asked, to_head=True)
    assert (answer.status, answer.header("content-length")) == (200, "500")
    refused = client.ask(request("HEAD /v1/files", "authorization: Bearer sk-stranger"), to_head=True)
    assert (refused.status, refused.closes) == (401, False)
    assert client.ask(request("GET /v1/files", bearer(vendor_gateway.key))).status == 200


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize("framing", ["content-length: 42", "transfer-encoding: chunked"])
def test_expect_is_answered_when_the_body_is_wanted(vendor_gateway, vendor, dial, kind, framing):
    key = bearer(vendor_gateway.key)
    client = dial(vendor_gateway).send(request("POST /v1/chat/completions", key, f"content-type: {kind}", framing, "expect: 100-continue"))
    assert client.answer().status == 100
    assert vendor.requests == []
    assert len(BODY) == 42
    answer = client.ask(BODY if framing.startswith("content") else b"2a\r\n%b\r\n0\r\n\r\n" % BODY)
    assert (answer.status, answer.closes) == (200, False)
    assert vendor.requests[0].body == BODY
    assert vendor.requests[0].header("expect") is None
    assert client.ask(chat(vendor_gateway.key)).status == 200


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize(
    ("key", "length", "status"), [("sk-stranger", 42, 401), ("KEY", 100_000_000, 413), ("sk-stranger", 100_000_000, 413)]
)
def test_expect_is_refused_before_the_body(vendor_gateway, vendor, dial, kind, key, length, status):
    head = [bearer(key.replace("KEY", vendor_gateway.key)), f"content-type: {kind}", "expect: 100-Continue"]
    client = dial(vendor_gateway).send(request("POST /v1/audio/transcriptions", *head, f"content-length: {length}"))
    answer = client.answer()
    assert (answer.status, answer.closes) == (status, True)
    assert client.rest() == b""
    assert vendor.requests == []


def test_expect_of_a_client_that_does_not_wait(vendor_gateway, vendor, dial):
    client = dial(vendor_gateway).send(chat(vendor_gateway.key, "expect: 100-continue") + chat(vendor_gateway.key))
    answers = [client.answer().status for _ in range(2)]
    assert answers in ([100, 200], [200, 200])
    assert client.answer().status == 200 if answers[0] == 100 else True


def test_expect_without_a_body(vendor_gateway, vendor, dial):
    assert dial(vendor_gateway).ask(request("GET /v1/files", bearer(vendor_gateway.key), "expect: 100-continue")).status == 200


# upgrades

H2C = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"]
WEBSOCKET = ["connection: Upgrade", "upgrade: WebSocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version: 13"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/things"])
@pytest.mark.parametrize("body", [BODY, BODY.ljust(200_000)])
def test_an_offer_of_http_2_is_not_taken_up(vendor_gateway, vendor, dial, path, body):
    asked = request(f"POST {path}", bearer(vendor_gateway.key), JSON, *H2C, body=body)
    client = dial(vendor_gateway).send(asked + asked)
    for _ in range(2):
        answer = client.answer()
        assert (answer.status, answer.closes) == (200, False)
    assert client.ask(asked[:50], asked[50:]).status == 200
    assert [received.body for received in vendor.requests] == [body] * 3
    assert not {"upgrade", "http2-settings", "connection"} & set(vendor.requests[0].names())
    assert client.ask(asked.replace(b"Upgrade,", b"close, Upgrade,")).closes
    assert client.rest() == b""


def test_an_offer_of_http_2_without_a_body(vendor_gateway, vendor, dial):
    assert dial(vendor_gateway).ask(request("GET /v1/files", bearer(vendor_gateway.key), *H2C)).status == 200
    client = dial(vendor_gateway)
    for _ in range(2):
        assert client.ask(request("GET /healthz", *H2C)).json == {"alive": True}


@pytest.mark.parametrize("key", ["KEY", "sk-stranger"])
def test_responses_over_websocket_are_refused_at_once(vendor_gateway, vendor, dial, key):
    client = dial(vendor_gateway).send(request("GET /v1/responses", bearer(key.replace("KEY", vendor_gateway.key)), *WEBSOCKET))
    answer = client.answer()
    assert (answer.status, answer.code, answer.closes) == (426, "upgrade_required", True)
    assert client.rest() == b""
    assert vendor.requests == []


def test_a_websocket_elsewhere_is_a_plain_request(vendor_gateway, vendor, dial):
    client = dial(vendor_gateway)
    answer = client.ask(request("GET /v1/files", bearer(vendor_gateway.key), *WEBSOCKET) + b"\x81\x05hello")
    assert (answer.status, answer.closes) == (200, True)
    assert client.rest() == b""
    assert "upgrade" not in vendor.requests[0].names()
