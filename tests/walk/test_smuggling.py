"""Requests that two parsers could read differently: refused, and what follows them on the connection is never a request."""

from __future__ import annotations

import pytest

from raw_client import bearer, chat, request

BODY = b'{"model":"m","messages":[]}'
SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nhost: gateway\r\n\r\n"


def post(*headers: bytes, body: bytes = BODY, line: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    """A request with exactly these headers, and the key where KEY stands."""
    return (
        b"\r\n".join([line, b"host: gateway", b"authorization: Bearer KEY", b"content-type: application/json", *headers])
        + b"\r\n\r\n"
        + body
    )


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return post(b"transfer-encoding: chunked", body=b"".join(chunks) + end)


REFUSED = {
    "length and chunked": post(b"content-length: 5", b"transfer-encoding: chunked", body=b"0\r\n\r\n"),
    "chunked and length": post(b"transfer-encoding: chunked", b"content-length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"content-length: 27", b"content-length: 5"),
    "the same length twice": post(b"content-length: 27", b"content-length: 27"),
    "a list of lengths": post(b"content-length: 27, 27"),
    "a length with a sign": post(b"content-length: +27"),
    "a negative length": post(b"content-length: -27"),
    "a length in hexadecimal": post(b"content-length: 0x1b"),
    "a length with an underscore": post(b"content-length: 2_7"),
    "a length with a space inside": post(b"content-length: 2 7"),
    "an empty length": post(b"content-length: "),
    "a length of other digits": post("content-length: ٢٧".encode()),
    "a length beyond 64 bits": post(b"content-length: 18446744073709551643"),
    "a folded header": post(b"x-odd: a\r\n b", b"content-length: 27"),
    "a folded header with a tab": post(b"x-odd: a\r\n\tb", b"content-length: 27"),
    "a folded length": post(b"content-length:\r\n 27"),
    "a folded coding": post(b"transfer-encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "a header line without a name": post(b": a", b"content-length: 27"),
    "a header line without a colon": post(b"x-odd", b"content-length: 27"),
    "a space before the colon": post(b"content-length : 27"),
    "a tab before the colon": post(b"transfer-encoding\t: chunked", body=b"0\r\n\r\n"),
    "a space before the first header": b"POST /v1/chat/completions HTTP/1.1\r\n host: gateway\r\n\r\n",
    "a space in a header name": post(b"x odd: a", b"content-length: 27"),
    "a NUL in a header name": post(b"x-\0odd: a", b"content-length: 27"),
    "a NUL in a header value": post(b"x-odd: a\0b", b"content-length: 27"),
    "a control character in a header value": post(b"x-odd: a\x01b", b"content-length: 27"),
    "a carriage return in a header value": post(b"x-odd: a\rb", b"content-length: 27"),
    "a bracket in a header name": post(b"x(odd): a", b"content-length: 27"),
    "Unicode in a header name": post("x-öd: a".encode(), b"content-length: 27"),
    "bare line feeds": post(b"content-length: 27").replace(b"\r\n", b"\n"),
    "a bare line feed after the first line": post(b"content-length: 27").replace(b"\r\n", b"\n", 1),
    "a bare line feed after a header": post(b"x-odd: a\ncontent-length: 27"),
    "a bare line feed before the body": b"GET /v1/files HTTP/1.1\r\nhost: gateway\r\n\n",
    "another coding": post(b"transfer-encoding: gzip"),
    "another coding after chunked": post(b"transfer-encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "another coding before chunked": post(b"transfer-encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "identity": post(b"transfer-encoding: identity"),
    "identity, then chunked": post(b"transfer-encoding: identity", b"transfer-encoding: chunked", body=b"0\r\n\r\n"),
    "chunked, then identity": post(b"transfer-encoding: chunked", b"transfer-encoding: identity", body=b"0\r\n\r\n"),
    "chunked twice": post(b"transfer-encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked on two lines": post(b"transfer-encoding: chunked", b"transfer-encoding: chunked", body=b"0\r\n\r\n"),
    "chunked with something before it": post(b"transfer-encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked in quotes": post(b'transfer-encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked after a vertical tab": post(b"transfer-encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "an empty coding": post(b"transfer-encoding: ", b"content-length: 27"),
    "a chunk size that is not a number": chunked(b"zz\r\nab\r\n"),
    "a negative chunk size": chunked(b"-1\r\n\r\n"),
    "a chunk size with a sign": chunked(b"+5\r\nhello\r\n"),
    "a chunk size with 0x": chunked(b"0x5\r\nhello\r\n"),
    "a chunk size beyond 64 bits": chunked(b"10000000000000005\r\nhello\r\n"),
    "an empty chunk size": chunked(b"\r\nhello\r\n"),
    "a space before a chunk size": chunked(b" 5\r\nhello\r\n"),
    "a chunk longer than its size": chunked(b"2\r\nhello\r\n"),
    "a chunk shorter than its size": chunked(b"7\r\nhello\r\n"),
    "a bare line feed after a chunk size": chunked(b"5\nhello\r\n"),
    "a bare line feed after a chunk": chunked(b"5\r\nhello\n"),
    "a bare line feed in a chunk extension": chunked(b"5;a\nb\r\nhello\r\n"),
    "a bare carriage return after a chunk size": chunked(b"5\rXhello\r\n"),
    "a space in a trailer's name": chunked(b"5\r\nhello\r\n", end=b"0\r\nx odd: a\r\n\r\n"),
    "a length in the trailers": chunked(b"5\r\nhello\r\n", end=b"0\r\ncontent-length: 5\r\n\r\n"),
    "a method that nobody knows": post(b"content-length: 27", line=b"FETCH /v1/files HTTP/1.1"),
    "a method in lower case": post(b"content-length: 27", line=b"post /v1/chat/completions HTTP/1.1"),
    "no method": post(b"content-length: 27", line=b"/v1/files HTTP/1.1"),
    "a tab in the first line": post(b"content-length: 27", line=b"POST\t/v1/chat/completions HTTP/1.1"),
    "no version": post(b"content-length: 27", line=b"POST /v1/chat/completions"),
    "an unknown version": post(b"content-length: 27", line=b"POST /v1/chat/completions HTTP/1.9"),
    "two digits of a version": post(b"content-length: 27", line=b"POST /v1/chat/completions HTTP/1.10"),
    "another protocol": post(b"content-length: 27", line=b"POST /v1/chat/completions SIP/1.0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(64),
    "a NUL in the URL": post(b"content-length: 27", line=b"POST /v1/chat\0/completions HTTP/1.1"),
    "Unicode in the URL": post(b"content-length: 27", line="POST /v1/chät HTTP/1.1".encode()),
    "a backslash in the URL": post(b"content-length: 27", line=rb"POST /v1\chat\completions HTTP/1.1"),
    "a space in the URL": post(b"content-length: 27", line=b"POST /v1/chat completions HTTP/1.1"),
    "a fragment's first line": post(b"content-length: 27", line=b"POST # HTTP/1.1"),
    "nothing but line ends": b"\r\n\r\n\n\n\0\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(vendor_gateway, vendor, dial, name):
    client = dial(vendor_gateway).send(REFUSED[name].replace(b"KEY", vendor_gateway.key.encode()) + SMUGGLED)
    answer = client.answer()
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.closes
    assert client.rest() == b""
    assert vendor.requests == []


@pytest.mark.parametrize("line", [b"CONNECT provider.example:443", b"CONNECT /v1/files", b"TRACE /v1/files", b"TRACE /healthz"])
def test_methods_of_other_proxies_are_not_allowed(vendor_gateway, vendor, dial, line):
    client = dial(vendor_gateway).send(post(line=line + b" HTTP/1.1", body=b"").replace(b"KEY", vendor_gateway.key.encode()) + SMUGGLED)
    answer = client.answer()
    assert (answer.status, answer.code, answer.closes) == (405, "method_not_allowed", True)
    assert client.rest() == b""
    assert vendor.requests == []


ACCEPTED = {
    "chunks": (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!"),
    "upper case": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "leading zeros": (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "extensions": (b'5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n', b"hello"),
    "a chunk that looks like the end": (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    "a chunk that looks like a request": (b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), SMUGGLED),
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("split", [False, True])
def test_chunked_bodies_are_framed_anew(vendor_gateway, vendor, dial, name, split):
    sent, content = ACCEPTED[name]
    data = request("PUT /v1/things", bearer(vendor_gateway.key), "content-type: text/plain", "transfer-encoding: chunked") + sent
    answer = dial(vendor_gateway).ask(*([data[at : at + 1] for at in range(len(data))] if split else [data]))
    assert (answer.status, answer.closes) == (200, False)
    (received,) = vendor.requests
    assert received.body == content
    assert (received.header("transfer-encoding"), received.header("content-length")) == (b"chunked", None)


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_trailers_do_not_become_headers(vendor_gateway, vendor, dial, kind):
    head = request(
        "POST /v1/chat/completions",
        "authorization: Bearer sk-wrong",
        f"content-type: {kind}",
        "transfer-encoding: chunked",
        "trailer: x-odd",
    )
    trailers = f"authorization: Bearer {vendor_gateway.key}\r\nx-odd: 1\r\nhost: elsewhere\r\n"
    body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(BODY), BODY, trailers.encode())
    assert dial(vendor_gateway).ask(head + body).status == 401
    assert vendor.requests == []
    client = dial(vendor_gateway)
    assert client.ask(head.replace(b"sk-wrong", vendor_gateway.key.encode()) + body).status == 200
    assert client.ask(request("GET /v1/files", bearer(vendor_gateway.key))).status == 200
    assert [received.header("x-odd") for received in vendor.requests] == [None, None]
    assert vendor.requests[0].body == BODY
    assert "trailer" not in vendor.requests[0].names()


def test_long_chunk_extensions_end_the_connection(make_gateway, dial):
    gateway = make_gateway(demo=True, header_limit=1024)
    head = post(b"transfer-encoding: chunked", body=b"").replace(b"KEY", gateway.key.encode())
    for piece in (b"5;" + b"a" * 200_000 + b"\r\nhello\r\n", b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 8000):
        client = dial(gateway)
        client.send(head)
        assert client.send_some(piece) == len(piece)
        answer = client.answer()
        assert (answer.status, answer.code, answer.closes) == (431, "headers_too_large", True)
    small = b"8\r\n" + b"        " + b"\r\n"
    assert dial(gateway).ask(head, small * 20_000, b"1b\r\n" + BODY + b"\r\n0\r\n\r\n").status in (200, 400)


def test_long_trailers_end_the_connection(make_gateway, dial):
    gateway = make_gateway(demo=True, header_limit=1024)
    client = dial(gateway).send(post(b"transfer-encoding: chunked", body=b"1\r\n{\r\n0\r\n").replace(b"KEY", gateway.key.encode()))
    client.send_some(b"x-odd: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 8000)
    answer = client.answer()
    assert (answer.status, answer.closes) == (431, True)


@pytest.mark.parametrize("url", ["http://gateway/v1/files", "https://elsewhere.example:8443/v1/files", "HTTP://user@gateway/v1/files?a=b"])
def test_absolute_urls_mean_their_path(vendor_gateway, vendor, dial, url):
    answer = dial(vendor_gateway).ask(request(f"GET {url}", bearer(vendor_gateway.key)))
    assert answer.status == 200
    (received,) = vendor.requests
    assert received.target.partition("?")[0] == "/v1/files"
    assert received.header("host") == f"127.0.0.1:{vendor.port}".encode()


def test_a_head_that_was_seen_is_not_a_way_around_the_parser(vendor_gateway, vendor, dial):
    """The second time a head is not parsed again, so everything about the second time has to be the same."""
    good = chat(vendor_gateway.key)
    for bad in (
        good.replace(b"content-length: ", b"content-length: +"),
        good.replace(b"content-length: ", b"content-length: 0x"),
        good.replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n"),
        good.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"),
        b"x" + good,
        good.replace(b"HTTP/1.1", b"HTTP/1.9"),
    ):
        client = dial(vendor_gateway)
        assert client.ask(good).status == 200
        assert client.ask(good).status == 200
        answer = client.ask(bad + SMUGGLED)
        assert (answer.status, answer.closes) == (400, True)
        assert client.rest() == b""
    assert {received.target for received in vendor.requests} == {"/v1/chat/completions"}


def test_the_end_of_a_head_is_not_remembered_as_a_head(vendor_gateway, vendor, dial):
    good = chat(vendor_gateway.key, "x-odd: " + "a" * 40)
    at = good.index(b"a" * 40) + 20
    client = dial(vendor_gateway)
    assert client.ask(good[:at], good[at:]).status == 200
    answer = client.ask(good[at:])
    assert (answer.status, answer.closes) == (400, True)
    assert len(vendor.requests) == 1
