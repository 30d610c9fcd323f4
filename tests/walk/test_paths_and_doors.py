"""The doors in: every spelling of a path, every form of a key, preflights, upgrades, and connections that stay usable."""

from __future__ import annotations

import json
import time

import pytest

from fake_answers import answer as said
from fake_answers import chat_answer, chat_events, stream
from raw_client import bearer, chat, request

ORIGIN = "origin: https://app.example"
BODY = b'{"model":"m","max_tokens":5,"messages":[]}'
JSON = "content-type: application/json"


# paths


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "//v1/chat/completions",
        "/v1//chat///completions",
        "/v1/v1/chat/completions",
        "/v1/chat/completions/",
        "/v1/v1//v1/chat/completions//",
        "//chat/completions/?",
        "/v1/chat/completions#x",
        "/v1/chat%2Fcompletions",
    ],
)
def test_every_spelling_of_a_path_is_metered_alike(vendor_gateway, vendor, dial, path):
    before = len(vendor_gateway.charges())
    vendor.script(said(chat_answer()))
    answer = dial(vendor_gateway).ask(request(f"POST {path}", bearer(vendor_gateway.key), JSON, body=BODY))
    assert (answer.status, answer.json["object"]) == (200, "chat.completion")
    assert vendor.requests[0].target == "/v1/chat/completions"
    assert [(row["wire"], row["model"]) for row in vendor_gateway.charges(before + 1)[before:]] == [("chat", "m")]


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "//v1/messages", "/v1/v1/messages/", "/v1/messages?beta=true"])
def test_messages_too(vendor_gateway, vendor, dial, path):
    assert dial(vendor_gateway).ask(request(f"POST {path}", f"x-api-key: {vendor_gateway.key}", JSON, body=BODY)).status == 200
    (received,) = vendor.requests
    assert received.target == "/v1/messages" + ("?beta=true" if "?" in path else "")
    assert (received.header("x-api-key"), received.header("anthropic-version")) == (b"sk-ant-vendor", b"2023-06-01")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin",
        "/v1/./chat",
        "/v1/..",
        "/v1/files/..",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/admin",
        "/v1/files/..%2fadmin",
        "/v1/files/%2e%2e%5cadmin",
        "/v1/files/..\\admin",
        "/../v1/models",
        "/v1/models\\",
        "/v1/a%00b",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_dot_segments_and_the_like_are_refused(vendor_gateway, vendor, dial, path, method):
    answer = dial(vendor_gateway).ask(request(f"{method} {path}", bearer(vendor_gateway.key), body=b"{}"))
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert vendor.requests == []


def test_names_with_dots_are_names(vendor_gateway, vendor, dial):
    key = bearer(vendor_gateway.key)
    for path in (
        "/v1/files/a..b",
        "/v1/files/gpt-4.1",
        "/v1/files/...",
        "/v1/files/%E2%82%AC.txt",
        "/v1/files/a%2Fb",
        "/v2/things",
        "/v1",
    ):
        assert dial(vendor_gateway).ask(request(f"GET {path}", key)).status == 200
        assert vendor.requests[-1].target == path


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY"])
@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_any_method_passes(vendor_gateway, vendor, dial, method, body):
    answer = dial(vendor_gateway).ask(request(f"{method} /v1/things/1?a=b&c=%20d", bearer(vendor_gateway.key), body=body))
    assert answer.status == 200
    (received,) = vendor.requests
    assert (received.method, received.target, received.body) == (method, "/v1/things/1?a=b&c=%20d", body or b"")


def test_paths_that_are_nobodys(gateway, dial):
    client = dial(gateway)
    assert client.ask(request("GET /nothing/here", bearer(gateway.key))).status == 404
    assert client.ask(request("GET /healthz")).status == 200


def test_probes_need_no_key(gateway, dial):
    client = dial(gateway)
    for line in ("GET /", "HEAD /", "HEAD /api/hello", "GET /api/hello", "HEAD /healthz"):
        assert client.ask(request(line), to_head=line.startswith("HEAD")).status == 200


# keys

CREDENTIALS = {
    "bearer": ["authorization: Bearer KEY"],
    "bearer in lower case": ["authorization: bearer KEY"],
    "bare": ["authorization: KEY"],
    "blanks around": ["authorization:   Bearer   KEY  "],
    "x-api-key": ["x-api-key: KEY"],
    "api-key": ["api-key: KEY"],
    "x-goog-api-key": ["x-goog-api-key: KEY"],
    "upper case": ["X-Api-Key: KEY"],
    "a stranger's first": ["authorization: Bearer sk-stranger", "x-api-key: KEY"],
    "a stranger's second": ["x-api-key: KEY", "authorization: Bearer sk-stranger"],
    "two of the same name": ["authorization: Bearer sk-stranger", "authorization: Bearer KEY"],
    "an empty one first": ["authorization: Bearer", "api-key: KEY"],
    "the same twice": ["authorization: Bearer KEY", "x-api-key: KEY"],
    "a subprotocol": ["sec-websocket-protocol: realtime, openai-insecure-api-key.KEY, openai-beta.realtime-v1"],
}


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize("line", ["POST /v1/chat/completions", "POST /v1/messages", "GET /v1/files", "PUT /v1/things"])
def test_every_form_of_a_key_opens_and_none_is_forwarded(vendor_gateway, vendor, dial, name, line):
    headers = [header.replace("KEY", vendor_gateway.key) for header in CREDENTIALS[name]]
    more = ["cookie: session=KEY", "proxy-authorization: Basic KEY", "x-forwarded-for: 10.0.0.1", "cf-access-token: KEY", "x-kept: yes"]
    more = [header.replace("KEY", vendor_gateway.key) for header in more]
    client = dial(vendor_gateway)
    for _ in range(2):
        assert client.ask(request(line, *headers, *more, JSON, body=None if line.startswith("GET") else BODY)).status == 200
    for received in vendor.requests:
        own = received.header("authorization") or received.header("x-api-key")
        assert own in (b"Bearer sk-vendor", b"sk-ant-vendor")
        assert vendor_gateway.key.encode() not in received.raw_head
        assert b"sk-stranger" not in received.raw_head
        assert not {"cookie", "proxy-authorization", "x-forwarded-for", "cf-access-token"} & set(received.names())
        assert received.header("x-kept") == b"yes"


@pytest.mark.parametrize("query", ["key=KEY", "a=1&key=KEY", "key=KEY&a=1", "a=1&key=KEY&b=2"])
@pytest.mark.parametrize("line", ["POST /v1/chat/completions", "GET /v1/files"])
def test_a_key_in_the_query_opens_and_is_not_forwarded(vendor_gateway, vendor, dial, query, line):
    asked = request(f"{line}?{query.replace('KEY', vendor_gateway.key)}", JSON, body=BODY if "POST" in line else None)
    assert dial(vendor_gateway).ask(asked).status == 200
    (received,) = vendor.requests
    assert received.target.partition("?")[2] == query.replace("key=KEY", "").replace("&&", "&").strip("&")


def test_a_key_in_the_query_of_an_upload(vendor_gateway, vendor, dial):
    asked = request(f"POST /v1/things?key={vendor_gateway.key}&a=b", "content-type: text/plain", body=b"hello")
    assert dial(vendor_gateway).ask(asked).status == 200
    assert (vendor.requests[0].target, vendor.requests[0].body) == ("/v1/things?a=b", b"hello")


@pytest.mark.parametrize(
    "headers",
    [[], ["authorization: "], ["authorization: Basic c2s6"], ["x-other: KEY"], ["authorization: Bearer sk-stranger", "api-key: x"]],
)
def test_without_a_key_nothing_is_sent(vendor_gateway, vendor, dial, headers):
    headers = [header.replace("KEY", vendor_gateway.key) for header in headers]
    client = dial(vendor_gateway)
    for line in ("POST /v1/chat/completions", "POST /v1/messages", "GET /v1/files", "PUT /v1/things"):
        answer = client.ask(request(line, *headers, body=BODY))
        assert answer.status == 401
        assert answer.header("content-type") == "application/json"
        assert answer.header("www-authenticate") is None
        assert ("request_id" in answer.json) == ("messages" in line)
    assert vendor.requests == []


def test_the_fifth_key_is_not_tried(vendor_gateway, vendor, dial):
    strangers = [f"authorization: Bearer sk-stranger-{number}" for number in range(4)]
    assert dial(vendor_gateway).ask(request("GET /v1/files", *strangers, f"x-api-key: {vendor_gateway.key}")).status == 401


def test_a_key_that_ends_does_not_open_a_connection_that_is_in_use(vendor_gateway, vendor, dial):
    keys = vendor_gateway.parts.keys
    disabled = vendor_gateway.run(keys.create("to be disabled"))
    expiring = vendor_gateway.run(keys.create("to expire", expires_at_ms=int(time.time() * 1000) + 1000))
    clients = {disabled.token: dial(vendor_gateway), expiring.token: dial(vendor_gateway)}
    for token, client in clients.items():
        assert [client.ask(chat(token)).status for _ in range(3)] == [200] * 3
    vendor_gateway.run(keys.disable("to be disabled"))
    for token, client in clients.items():
        end = time.monotonic() + 5
        while client.ask(chat(token)).status == 200:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert client.ask(chat(token)).code == ("key_disabled" if token == disabled.token else "key_expired")


def test_clients_own_keys_are_forwarded_where_none_is_configured(make_gateway, module_vendor, vendor, dial):
    gateway = make_gateway(openai_base_url=f"{module_vendor.url}/v1", anthropic_base_url=module_vendor.url)
    client = dial(gateway)
    assert client.ask(request("GET /v1/files?key=mine", "authorization: Bearer sk-mine", "cookie: a=b")).status == 200
    assert vendor.requests[0].target == "/v1/files?key=mine"
    assert vendor.requests[0].header("authorization") == b"Bearer sk-mine"
    assert vendor.requests[0].header("cookie") is None
    assert client.ask(request("POST /v1/messages", "x-api-key: sk-mine", JSON, body=BODY)).status == 200
    assert vendor.requests[1].header("x-api-key") == b"sk-mine"


# browsers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/anything", "/chat/completions"])
def test_preflights_are_answered_without_a_key(vendor_gateway, vendor, dial, path):
    wanted = "authorization, x-anything, content-type"
    asked = [ORIGIN, "access-control-request-method: POST", f"access-control-request-headers: {wanted}"]
    client = dial(vendor_gateway)
    answer = client.ask(request(f"OPTIONS {path}", *asked, "access-control-request-private-network: true"))
    assert (answer.status, answer.closes) == (204, False)
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("access-control-allow-headers") == wanted
    assert {"GET", "POST", "DELETE"} <= set((answer.header("access-control-allow-methods") or "").split(", "))
    assert answer.header("access-control-allow-private-network") == "true"
    assert answer.header("content-length") is None
    assert "authorization" in (client.ask(request(f"OPTIONS {path}", ORIGIN)).header("access-control-allow-headers") or "")
    assert vendor.requests == []


@pytest.mark.parametrize("framing", ["content-length: 100000", "transfer-encoding: chunked"])
def test_a_preflight_with_a_body_is_not_waited_for(vendor_gateway, dial, framing):
    answer = dial(vendor_gateway).ask(request("OPTIONS /v1/models", ORIGIN, framing))
    assert (answer.status, answer.closes) == (204, True)


def test_answers_errors_and_streams_may_be_read_by_browsers(vendor_gateway, vendor, dial):
    vendor.script(said(chat_answer(), 200, "access-control-allow-origin: https://provider.example", "retry-after: 3"))
    vendor.script(stream(*chat_events()))
    vendor.script(said({"error": {}}, 429, "retry-after: 3"))
    client = dial(vendor_gateway)
    key = vendor_gateway.key
    answers = [client.ask(chat(key, ORIGIN)), client.ask(chat(key, ORIGIN, stream=True)), client.ask(chat(key, ORIGIN))]
    answers += [client.ask(chat("sk-stranger", ORIGIN)), client.ask(chat(key, ORIGIN, model=1)), client.ask(b"BAD\r\n\r\n")]
    assert [answer.status for answer in answers] == [200, 200, 429, 401, 400, 400]
    for answer in answers[:-1]:
        assert answer.header("access-control-allow-origin") == "*"
        exposed = answer.header("access-control-expose-headers") or ""
        assert all(name in exposed for name in ("x-request-id", "retry-after", "x-ratelimit-remaining-requests"))
    assert client.rest() == b""


def test_without_an_origin_there_are_no_cors_headers(vendor_gateway, vendor, dial):
    answer = dial(vendor_gateway).ask(chat(vendor_gateway.key))
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


# connections

REUSED = {
    "401": (request("GET /v1/files", "authorization: Bearer sk-stranger"), 401),
    "401 with a body": (chat("sk-stranger"), 401),
    "400 for no JSON": (request("POST /v1/chat/completions", "authorization: Bearer KEY", JSON, body=b"{"), 400),
    "400 for no model": (request("POST /v1/chat/completions", "authorization: Bearer KEY", JSON, body=b"{}"), 400),
    "400 for a form": (
        request("POST /v1/chat/completions", "authorization: Bearer KEY", "content-type: multipart/form-data", body=b"x"),
        400,
    ),
    "400 for an encoding": (
        request("POST /v1/chat/completions", "authorization: Bearer KEY", "content-encoding: odd", JSON, body=b"x"),
        400,
    ),
    "400 in chunks": (
        request("POST /v1/chat/completions", "authorization: Bearer KEY", JSON, "transfer-encoding: chunked") + b"1\r\n{\r\n0\r\n\r\n",
        400,
    ),
    "404": (request("GET /nowhere"), 404),
    "405": (request("POST /healthz"), 405),
}


@pytest.mark.parametrize("name", REUSED)
def test_the_connection_is_good_after_a_refusal(vendor_gateway, vendor, dial, name):
    data, status = REUSED[name]
    client = dial(vendor_gateway)
    for _ in range(3):
        answer = client.ask(data.replace(b"KEY", vendor_gateway.key.encode()))
        assert (answer.status, answer.closes) == (status, False)
        assert client.ask(chat(vendor_gateway.key)).status == 200
    assert len(vendor.requests) == 3


def test_every_answer_has_its_own_request_id(vendor_gateway, vendor, dial):
    client = dial(vendor_gateway)
    ids = [client.ask(chat(key)).header("x-request-id") for key in [vendor_gateway.key, "sk-stranger"] * 3]
    assert len(set(ids)) == 6
    assert all(one is not None and one.startswith("req_") for one in ids)
    charged = {row["id"] for row in vendor_gateway.charges()}
    assert set(ids[::2]) <= charged
    assert not set(ids[1::2]) & charged


def test_a_failing_provider_leaves_the_connection_usable(vendor_gateway, vendor, dial):
    error = {"error": {"message": "No.", "type": "x", "param": None, "code": None}}
    vendor.script(said(error, 400))
    client = dial(vendor_gateway)
    answer = client.ask(chat(vendor_gateway.key))
    assert (answer.status, answer.body, answer.closes) == (400, json.dumps(error).encode(), False)
    assert client.ask(chat(vendor_gateway.key)).status == 200
