"""Headers: what goes on to a provider and back to a client, and what stays here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.relay import headers as module
from penstock.relay.headers import REMEMBERED, answer_lines, sift, without_key


def request(*lines: str, query: bytes = b""):
    pairs = [line.partition(": ") for line in lines]
    return sift([(name.lower().encode(), value.encode("latin-1")) for name, _, value in pairs], query)


def answer(*lines: str, length: bool = False) -> list[bytes]:
    pairs = [line.partition(": ") for line in lines]
    return answer_lines([(name.encode(), value.encode("latin-1")) for name, _, value in pairs], length=length)


# to the provider


def test_an_ordinary_request():
    found = request(
        "Host: 127.0.0.1:8080", "User-Agent: OpenAI/Python", "Accept: application/json", "Authorization: Bearer sk-test",
        "Content-Type: application/json", "Content-Length: 200", "Connection: keep-alive", "Accept-Encoding: gzip, br",
    )  # fmt: skip
    assert found.forward == b"user-agent: OpenAI/Python\r\naccept: application/json\r\ncontent-type: application/json\r\n"
    assert (found.credentials, found.own_credentials) == ([b"sk-test"], b"authorization: Bearer sk-test\r\n")
    assert (found.origin, found.content_type, found.content_encoding, found.length) == (None, b"application/json", b"", 200)


@pytest.mark.parametrize(
    "line",
    [
        "anthropic-version: 2023-06-01", "anthropic-beta: a,b", "anthropic-dangerous-direct-browser-access: true",
        "openai-organization: org-x", "openai-beta: realtime=v1", "user-agent: claude-cli/2.0", "x-stainless-lang: js",
        "x-claude-code-session-id: x", "http-referer: https://cherry-ai.com", "x-title: Cherry Studio", "idempotency-key: x",
        "accept: */*", "x-odd: caf\xe9", "accept-language: de", "range: bytes=0-1",
    ],
)  # fmt: skip
def test_what_is_forwarded_as_it_came(line):
    assert request(line).forward == line.encode("latin-1") + b"\r\n"


@pytest.mark.parametrize(
    "name",
    [
        "host", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade",
        "expect", "cookie", "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-anything", "x-real-ip",
        "true-client-ip", "cf-ray", "cf-connecting-ip", "cdn-loop", "authorization", "x-api-key", "api-key", "x-goog-api-key", "origin",
        "referer", "x-request-id", "accept-encoding", "content-encoding", "sec-fetch-mode", "sec-ch-ua",
        "access-control-request-method", "x-penstock-anything", "sec-websocket-key", "sec-websocket-version",
        "sec-websocket-extensions", "sec-websocket-protocol", "http2-settings", "x-http-method-override", "x-method-override",
        "x-http-method", "x-original-url", "x-rewrite-url",
    ],
)  # fmt: skip
def test_what_stays_here(name):
    assert request(f"{name}: value", "x-kept: 1").forward == b"x-kept: 1\r\n"


@pytest.mark.parametrize(
    ("connection", "left"),
    [
        (["keep-alive"], {"x-a", "x-b"}),
        (["Keep-Alive"], {"x-a", "x-b"}),
        (["close"], {"x-a", "x-b"}),
        (["x-a"], {"x-b"}),
        (["X-A"], {"x-b"}),
        (["close, x-a"], {"x-b"}),
        (["keep-alive,x-a ,\tX-B"], set()),
        (["x-a", "x-b"], set()),
        (["x-a", "keep-alive"], {"x-b"}),
        ([", ,"], {"x-a", "x-b"}),
        (["upgrade"], {"x-a", "x-b"}),
    ],
)
def test_what_connection_names_stays_here(connection, left):
    lines = ["x-a: 1", *(f"connection: {value}" for value in connection), "x-b: 2"]
    assert {line.split(b":")[0].decode() for line in request(*lines).forward.splitlines()} == left
    assert {line.split(b":")[0].decode() for line in answer(*lines)} == left


# credentials


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("authorization: Bearer K", b"K"),
        ("authorization: bearer K", b"K"),
        ("authorization: BEARER   K ", b"K"),
        ("authorization: K", b"K"),
        ("x-api-key: K", b"K"),
        ("x-api-key: Bearer K", b"K"),
        ("api-key:  K", b"K"),
        ("x-goog-api-key: K", b"K"),
        ("sec-websocket-protocol: realtime, openai-insecure-api-key.K, openai-beta.realtime-v1", b"K"),
        ("sec-websocket-protocol: openai-insecure-api-key.K", b"K"),
    ],
)
def test_where_keys_are_found(line, token):
    found = request(line)
    assert (found.credentials, found.forward) == ([token], b"")


def test_several_keys_are_all_found_in_order():
    found = request("authorization: Bearer A", "x-api-key: B", query=b"key=C&x=1")
    assert found.credentials == [b"A", b"B", b"C"]
    assert found.own_credentials == b"authorization: Bearer A\r\nx-api-key: B\r\n"


@pytest.mark.parametrize(
    ("query", "keys", "left"),
    [
        (b"key=K", [b"K"], b""),
        (b"a=b&key=K", [b"K"], b"a=b"),
        (b"key=K&a=b", [b"K"], b"a=b"),
        (b"a&key=K&key=L&b", [b"K", b"L"], b"a&b"),
        (b"monkey=K", [], b"monkey=K"),
        (b"a=key=K", [], b"a=key=K"),
        (b"a=b", [], b"a=b"),
        (b"key=", [b""], b""),
        (b"", [], b""),
    ],
)
def test_a_key_in_the_query(query, keys, left):
    assert request(query=query).credentials == keys
    assert without_key(query) == left


# the body


@pytest.mark.parametrize(
    ("lines", "length"),
    [([], 0), (["content-length: 0"], 0), (["content-length: 12"], 12), (["content-length: 12 "], 12),
     (["transfer-encoding: chunked"], None), (["transfer-encoding: Chunked "], None)],
)  # fmt: skip
def test_how_long_the_body_is(lines, length):
    assert request(*lines).length == length


@pytest.mark.parametrize(
    "lines",
    [["transfer-encoding: gzip"], ["transfer-encoding: gzip, chunked"], ["transfer-encoding: chunked", "transfer-encoding: chunked"]],
)
def test_other_transfer_encodings_are_refused(lines):
    with pytest.raises(PenstockError) as caught:
        request(*lines)
    assert caught.value.code == "invalid_request"


def test_content_encodings_are_read_together():
    assert request("content-encoding: GZIP ").content_encoding == b"gzip"
    assert request("content-encoding: gzip", "content-encoding: br").content_encoding == b"gzip,br"


def test_the_provider_sees_the_content_type_that_we_go_by():
    found = request("content-type: application/json", "content-type: multipart/form-data; boundary=x")
    assert (found.content_type, found.forward) == (b"multipart/form-data; boundary=x", b"content-type: multipart/form-data; boundary=x\r\n")


def test_the_origin():
    assert request("origin: https://app.example").origin == b"https://app.example"


def test_remembered_names_are_bounded_in_number_and_length():
    for number in range(REMEMBERED * 2):
        name = f"x-{'long-' * (number % 2) * 20}{number}"
        assert request(f"{name}: 1").forward == f"{name}: 1\r\n".encode()
        assert request(f"cf-{number}: 1").forward == b""
    assert len(module._ROLES) <= REMEMBERED
    assert max(map(len, module._ROLES)) <= 64


NAMES = st.one_of(
    st.sampled_from(
        [b"connection", b"authorization", b"x-api-key", b"cookie", b"host", b"x-a", b"x-b", b"content-type", b"cf-x", b"te", b"origin"]
    ),
    st.from_regex(rb"[a-z-]{1,8}", fullmatch=True),
)
VALUES = st.one_of(
    st.sampled_from([b"close", b"x-a, x-b", b"Bearer SECRET", b"SECRET", b"keep-alive"]), st.from_regex(rb"[!-~]{0,10}", fullmatch=True)
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=10))
def test_only_headers_of_the_client_go_on_whole_and_in_order(pairs):
    pairs = [pair for pair in pairs if pair[0] not in {b"transfer-encoding", b"content-length"}]
    forward = sift(pairs, b"").forward
    lines = [line for line in forward.split(b"\r\n") if line]
    expected = iter([b"%b: %b" % pair for pair in pairs if pair[0] != b"content-type"])
    assert all(line in expected for line in lines if not line.startswith(b"content-type: "))
    stays = {b"connection", b"authorization", b"x-api-key", b"cookie", b"host", b"cf-x", b"te", b"origin"}
    assert not stays & {line.partition(b":")[0] for line in lines}


# to the client


def test_an_ordinary_answer():
    assert answer(
        "date: x", "content-type: application/json", "content-length: 5", "connection: keep-alive", "x-request-id: req_1", "cf-ray: 1"
    ) == [
        b"date: x\r\n",
        b"content-type: application/json\r\n",
        b"x-provider-request-id: req_1\r\n",
        b"cf-ray: 1\r\n",
    ]
    assert answer("content-length: 5", length=True) == [b"content-length: 5\r\n"]


@pytest.mark.parametrize(
    "line",
    [
        "retry-after: 1", "retry-after-ms: 10", "x-ratelimit-remaining-tokens: 1", "openai-processing-ms: 1", "request-id: req_1",
        "content-encoding: gzip", "anthropic-ratelimit-requests-limit: 1", "location: /x", "etag: x", "content-disposition: attachment",
        "x-should-retry: false", "vary: origin",
    ],
)  # fmt: skip
def test_what_the_client_sees(line):
    assert answer(line) == [line.encode() + b"\r\n"]


@pytest.mark.parametrize(
    "name",
    [
        "connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "set-cookie",
        "www-authenticate", "server", "alt-svc", "strict-transport-security", "access-control-allow-origin",
        "access-control-allow-credentials", "openai-organization", "openai-project", "anthropic-organization-id", "x-penstock-cost",
        "x-penstock-channel", "x-penstock-overhead-ms",
    ],
)  # fmt: skip
def test_what_the_client_does_not_see(name):
    assert answer(f"{name}: value") == []
