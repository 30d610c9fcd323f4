"""What a provider may write into the head of its answer, and what of it the client gets to see."""

from __future__ import annotations

import json

import pytest

import fake_faults
from fake_answers import SSE, answer, chat_answer, chunked, head
from fake_faults import PLAIN
from fake_provider import close
from raw_client import request
from stage import WIRES, check_refusal

BODY = PLAIN[PLAIN.index(b"\r\n\r\n") + 4 :]
NOT_HTTP = fake_faults.NOT_HTTP | {
    "a folded header": (head(200, "x-odd: a\r\n b", "content-length: 5") + b"hello", close),
    "a folded header that injects": (head(200, "x-odd: a\r\n set-cookie: x=1", "content-length: 5") + b"hello", close),
    "a bare carriage return in a header": (head(200, "x-odd: a\rset-cookie: x=1", "content-length: 5") + b"hello", close),
    "a bare line feed in a header": (head(200, "x-odd: a\nset-cookie: x=1", "content-length: 5") + b"hello", close),
    "a control character in a header": (head(200, "x-odd: a\x01b", "content-length: 5") + b"hello", close),
    "a header without a colon": (head(200, "x-odd", "content-length: 5") + b"hello", close),
    "a header without a name": (head(200, ": odd", "content-length: 5") + b"hello", close),
    "a space in a header's name": (head(200, "x odd: a", "content-length: 5") + b"hello", close),
    "an empty length": (head(200, "content-length: ") + b"hello", close),
    "a list of lengths": (head(200, "content-length: 5, 5") + b"hello", close),
    "a length beyond 64 bits": (head(200, "content-length: 18446744073709551621") + b"hello", close),
    "another coding": (head(200, "transfer-encoding: gzip") + b"hello", close),
    "a coding before chunked": (head(200, "transfer-encoding: gzip, chunked") + chunked(b"hello"), close),
    "chunked twice": (head(200, "transfer-encoding: chunked", "transfer-encoding: chunked") + chunked(b"hello"), close),
    "chunked in HTTP/1.0": (head(200, "transfer-encoding: chunked").replace(b"1.1", b"1.0") + chunked(b"hello"), close),
    "HTTP/2": (b"HTTP/2 200\r\ncontent-length: 5\r\n\r\nhello", close),
    "a status of two digits": (b"HTTP/1.1 99 Odd\r\ncontent-length: 5\r\n\r\nhello", close),
    "a status of four digits": (b"HTTP/1.1 2000 Odd\r\ncontent-length: 5\r\n\r\nhello", close),
    "an empty line before the status": (b"\r\n" + PLAIN, close),
    "bare line feeds": (head(200, "content-length: 5").replace(b"\r\n", b"\n") + b"hello\r\n\r\n", close),
    "another protocol on the same connection, unasked": (
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        close,
    ),
}


def gets(stage, path: str, *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return request(f"{method} {path}", f"authorization: Bearer {stage.gateway.key}", *headers)


@pytest.mark.parametrize("fault", NOT_HTTP)
def test_a_head_that_must_not_be_believed(stage, fault):
    stage.script(*NOT_HTTP[fault])
    answered = stage.ask("chat")
    check_refusal("chat", answered, 502, "upstream_invalid")
    assert stage.row(answered) is None


@pytest.mark.parametrize("wire", WIRES)
def test_such_a_head_is_refused_in_the_dialect(stage, wire):
    stage.script(*NOT_HTTP["two different lengths"])
    check_refusal(wire, stage.ask(wire, stream=True), 502, "upstream_invalid")


TOO_LONG = {
    "many headers": fake_faults.huge_head(200_000),
    "one header": fake_faults.long_header(140_000),
    "no end": b"HTTP/1.1 200 OK\r\nx: " + b"x" * 300_000,
}


@pytest.mark.parametrize("steps", TOO_LONG.values(), ids=TOO_LONG)
def test_a_head_that_is_too_long(stage, steps):
    stage.script(steps)
    check_refusal("chat", stage.ask("chat"), 502, "upstream_invalid")


def test_heads_without_end_before_the_head(stage):
    stage.script(b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" * 20_000)
    check_refusal("chat", stage.ask("chat"), 502, "upstream_invalid")


def test_a_long_head_that_is_allowed(stage):
    stage.script(fake_faults.huge_head(100_000))
    answered = stage.ask("chat")
    assert (answered.status, answered.body) == (200, b"{}")
    assert answered.header("x-filler-99") == "x" * 1000


@pytest.mark.parametrize("fault", fake_faults.ODD_PLAIN)
def test_odd_answers_are_passed_on(stage, fault):
    stage.script(*fake_faults.ODD_PLAIN[fault])
    answered = stage.ask("chat")
    if fault == "empty body":
        check_refusal("chat", answered, 502, "upstream_invalid")
        assert stage.row(answered) is None
        return
    bad = "HTML" in fault
    assert answered.status == (502 if bad else 200)
    if fault == "gzip":
        assert answered.header("content-encoding") == "gzip"
    elif bad:
        assert answered.body == b"<html><h1>502 Bad Gateway</h1></html>"
    else:
        assert answered.body in (BODY, b"hello")
    assert answered.header("transfer-encoding") is answered.header("trailer") is answered.header("x-sum") is None
    row = stage.row(answered)
    assert row is None if bad else row["outcome"] == "complete"
    assert bad or (row["output_tokens"] == 10) == (answered.body == BODY or fault == "gzip")


# statuses without a body


@pytest.mark.parametrize("fault", fake_faults.NO_BODY)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_statuses_that_have_no_body(stage, fault, method):
    stage.script(*fake_faults.NO_BODY[fault])
    opened = stage.vendor.opened
    with stage.client() as client:
        answered = client.ask(gets(stage, "/v1/files") if method == "GET" else stage.raw("chat"))
        assert answered.status == int(fault[:3])
        assert answered.header("transfer-encoding") is None
        assert answered.header("content-length") == ("500" if fault.startswith("304") else None)
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).body == BODY
    assert stage.vendor.opened == opened + 1, "the connection to the provider stays usable"
    row = stage.row(answered)
    assert row is None or row["output_tokens"] == 0


@pytest.mark.parametrize("framing", ["content-length: 500", "transfer-encoding: chunked", "x-none: 1"])
def test_head_requests(stage, framing):
    stage.script(head(200, framing, 'etag: "1"'))
    opened = stage.vendor.opened
    with stage.client() as client:
        answered = client.ask(gets(stage, "/v1/files", method="HEAD"), to_head=True)
        assert (answered.status, answered.header("etag"), answered.body) == (200, '"1"', b"")
        assert answered.header("content-length") == ("500" if "500" in framing else None)
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).body == BODY
    assert stage.vendor.requests[0].method == "HEAD"
    assert stage.vendor.opened == opened + ("x-none" in framing) + 1
    assert stage.row(answered) is None


def test_an_error_to_a_head_request_has_no_body(stage):
    stage.script(*fake_faults.NO_ANSWER["closes before the head"])
    with stage.client() as client:
        refused = client.ask(gets(stage, "/v1/files", method="HEAD"), to_head=True)
        assert (refused.status, refused.body) == (502, b"")
        stage.vendor.script(PLAIN)
        assert client.ask(stage.raw("chat")).status == 200


@pytest.mark.parametrize("steps", [(answer({"error": {"message": "busy"}}, 503),), (close,)])
@pytest.mark.parametrize("headers", [(), ("anthropic-version: 2023-06-01",)])
def test_a_request_without_a_model_is_not_tried_at_another_vendor(stage, steps, headers):
    """What one vendor is asked (its stored files, its models) is not for the others to see, and not for them to answer."""
    stage.script(*steps)
    with stage.client() as client:
        answered = client.ask(gets(stage, "/v1/files/file-1", *headers))
    assert answered.status == (502 if steps == (close,) else 503)
    assert len(stage.vendor.requests) == 1


# what the client gets to see


def test_headers_that_go_on_and_those_that_do_not(stage):
    shown = {
        "openai-processing-ms": "412",
        "openai-version": "2020-10-01",
        "x-ratelimit-remaining-requests": "4999",
        "anthropic-ratelimit-requests-limit": "50",
        "request-id": "req_011CSHoEeqs5C35K2UUqR7Fy",
        "cache-control": "no-store",
        "date": "Thu, 01 Oct 2026 00:00:00 GMT",
        "x-odd": 'a;b="c", d\te',
        "x-latin": "caf\xe9",
        "x-empty": "",
        "vary": "accept",
        "link": "</a>; rel=next",
    }
    hidden = {
        "set-cookie": "__cf_bm=abc; path=/",
        "openai-organization": "org-1",
        "connection": "keep-alive, x-hop",
        "keep-alive": "timeout=5",
        "x-hop": "between you and me",
        "proxy-authenticate": "Basic",
        "upgrade": "h2c",
        "server": "cloudflare",
        "alt-svc": 'h3=":443"',
        "strict-transport-security": "max-age=1",
        "x-request-id": "req_of_the_provider",
        "access-control-allow-origin": "https://provider.example",
    }
    lines = [f"{name}: {value}" for name, value in (shown | hidden).items()]
    content = json.dumps(chat_answer()).encode()
    stage.script(
        "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(content)}", *lines]).encode("latin-1")
        + b"\r\n\r\n"
        + content
    )
    answered = stage.ask("chat")
    seen = dict(answered.headers)
    assert len(seen) == len(answered.headers)
    ours = seen.pop("x-request-id")
    assert ours.startswith("req_") and ours != "req_of_the_provider"
    assert seen == shown | {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "x-provider-request-id": "req_of_the_provider",
    }


def test_repeated_headers_stay_repeated(stage):
    stage.script(answer(chat_answer(), 200, "link: </a>", "vary: origin", "link: </b>", "set-cookie: a=1", "set-cookie: b=2"))
    answered = stage.ask("chat")
    assert [value for name, value in answered.headers if name == "link"] == ["</a>", "</b>"]
    assert "set-cookie" not in dict(answered.headers)


def test_the_same_of_a_stream(stage):
    stage.script(
        head(
            200,
            "transfer-encoding: chunked",
            "set-cookie: a=1",
            "openai-version: 2020-10-01",
            "x-accel-buffering: no",
            "connection: x-hop",
            "x-hop: 1",
            kind=SSE,
        )
        + chunked(b"data: [DONE]\n\n")
    )
    answered = stage.ask("chat", stream=True)
    names = sorted(name for name, _ in answered.headers)
    assert names == ["content-type", "openai-version", "transfer-encoding", "x-accel-buffering", "x-request-id"]
    assert answered.header("content-type") == SSE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(stage, status):
    stage.script(answer(b"", status, "location: https://elsewhere.example/v1/chat/completions?secret"))
    answered = stage.ask("chat")
    assert (answered.status, answered.header("location")) == (502, None)
    assert "elsewhere.example" in answered.json["error"]["message"] and "secret" not in answered.json["error"]["message"]
    row = stage.row(answered)
    assert row is None or row["cost_nano"] == 0


# errors of the provider


BODIES = {
    "OpenAI": (
        b'{\n  "error": {\n    "message": "caf\\u00e9",\n    "type": "x",\n    "param": null,\n    "code": "y"\n  }\n}\n',
        "application/json",
    ),
    "Anthropic": (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}', "application/json"),
    "with usage": (
        b'{"error":{"message":"no"},"usage":{"prompt_tokens":100,"completion_tokens":100,"total_tokens":200}}',
        "application/json",
    ),
    "HTML": (b"<html>\r\n<head><title>503</title></head></html>", "text/html"),
    "not UTF-8": (b"\xff\xfe\x00{", "text/plain"),
    "nothing": (b"", "application/json"),
    "an event": (b'event: error\ndata: {"error":{}}\n\n', SSE),
    "2 MB": (b'{"error":{"message":"' + b"x" * 2_000_000 + b'"}}', "application/json"),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_error_bodies_are_passed_on_byte_for_byte(stage, name, stream):
    content, kind = BODIES[name]
    for wire, status in (("chat", 400), ("messages", 529), ("responses", 503)):
        framed = (
            answer(content, status, kind=kind)
            if wire == "chat"
            else head(status, "transfer-encoding: chunked", kind=kind) + chunked(*([content] if content else []))
        )
        stage.script(framed)
        answered = stage.ask(wire, stream=stream)
        assert (answered.status, answered.body, answered.header("content-type")) == (status, content, kind)
        assert stage.row(answered) is None


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 501, 502, 503, 504, 529, 599, 600, 999])
def test_every_error_status_is_passed_on(stage, status):
    stage.script(answer({"error": {"message": "x"}}, status, "www-authenticate: Basic"))
    answered = stage.ask("chat")
    assert (answered.status, answered.json) == (status, {"error": {"message": "x"}})
    assert stage.row(answered) is None


@pytest.mark.parametrize("wait", ["7", "Thu, 01 Oct 2026 00:00:00 GMT"])
@pytest.mark.parametrize("wire", WIRES)
def test_a_rate_limit_with_its_delay(stage, wire, wait):
    stage.script(answer({"error": {"message": "slow down"}}, 429, f"retry-after: {wait}", "retry-after-ms: 700", "x-should-retry: true"))
    answered = stage.ask(wire, "origin: https://app.example")
    assert (answered.status, answered.header("retry-after"), answered.header("retry-after-ms")) == (429, wait, "700")
    assert answered.header("x-should-retry") == "true"
    assert answered.header("access-control-allow-origin") == "*"
    assert "retry-after" in answered.header("access-control-expose-headers")
    assert len(stage.vendor.requests) == 2, "it was not tried again: there is no other channel"
