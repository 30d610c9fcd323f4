"""No credential is kept, and what is none is left as it was."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.records import redact as redaction
from penstock.records.record import Record
from penstock.records.redact import Shown, head_without_secrets, may_hold_keys, redact, without_keys, without_parameters, without_secrets
from penstock.upstream.providers import PROVIDERS

KEY = b"sk-" + b"x1Y-" * 10
GOOGLE = b"AIza" + b"Sy_0" * 8 + b"abc"


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "Authorization", "AUTHORIZATION", "proxy-authorization", "x-api-key", "X-Api-Key", "api-key", "x-goog-api-key",
        "cookie", "set-cookie", "Sec-WebSocket-Protocol", "cf-aig-authorization", "x-auth-token", "x-access-token", "client-secret",
    ],
)  # fmt: skip
def test_headers_that_are_credentials(make_record: Callable[..., Record], name: str) -> None:
    given = [(b"accept", b"*/*"), (name.encode(), b"anything"), (name.encode(), b"again")]
    record = make_record(request_headers=given, response_headers=list(given))

    redact(record)

    shown = [(b"accept", b"*/*"), (name.encode(), b"[redacted]"), (name.encode(), b"[redacted]")]
    assert (record.request_headers, record.response_headers) == (shown, shown)
    assert given[1] == (name.encode(), b"anything"), "the relay's own list is left alone"


@pytest.mark.parametrize(
    "name", [b"openai-organization", b"x-ratelimit-limit-tokens", b"idempotency-key", b"www-authenticate", b"x-request-id"]
)
def test_headers_that_are_none(make_record: Callable[..., Record], name: bytes) -> None:
    record = make_record(request_headers=[(name, b"value")], response_headers=[(name, b"value")])

    redact(record)
    redact(record)

    assert (record.request_headers, record.response_headers) == ([(name, b"value")], [(name, b"value")])


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/v1/models?key=abc", "/v1/models?key=[redacted]"),
        ("/v1/models?limit=5&api_key=abc&after=x", "/v1/models?limit=5&api_key=[redacted]&after=x"),
        ("/v1/x?access_token=a&token=b&Key=c", "/v1/x?access_token=[redacted]&token=[redacted]&Key=[redacted]"),
        ("/v1/x?%6bey=abc", "/v1/x?%6bey=[redacted]"),
        ("/v1/x?key=a=b?c", "/v1/x?key=[redacted]"),
        ("/v1/x?key", "/v1/x?key"),
        ("/v1/x?monkey=abc&keys=1", "/v1/x?monkey=abc&keys=1"),
        ("/v1/x?", "/v1/x?"),
    ],
)
def test_query_parameters(path: str, shown: str) -> None:
    assert without_parameters(path) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (KEY, b"[redacted]"),
        (b'{"key":"' + KEY + b'"}', b'{"key":"[redacted]"}'),
        (b"one " + KEY + b" two " + KEY + b".", b"one [redacted] two [redacted]."),
        (b'"my key:\\n' + KEY + b'"', b'"my key:\\n[redacted]"'),
        (b'"my key:\\u00a0' + KEY + b'"', b'"my key:\\u00a0[redacted]"'),
        (b"key=" + GOOGLE, b"key=[redacted]"),
        (b"Authorization: Bearer abcdefgh.ijklmnop-1234", b"Authorization: Bearer [redacted]"),
        (b"authorization: bearer abcdefghijklmnop", b"authorization: bearer [redacted]"),
        (b"Bearer " + KEY, b"Bearer [redacted]"),
    ],
)
def test_what_looks_like_a_key(text: bytes, shown: bytes) -> None:
    assert without_keys(text) == shown
    assert may_hold_keys(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"task-oriented-and-long-winded",
        b"risk-",
        b"sk-short",
        b"AIzawa",
        b"the bearer of news",
        b"sk- x",
        "口座 sk-…".encode(),
        b"\xff\xfesk-",
    ],
)
def test_what_only_resembles_one(text: bytes) -> None:
    assert without_keys(text) == text


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([KEY, GOOGLE, b"Bearer " + b"t0k3n" * 5]))
def test_no_key_survives_between_other_bytes(before: bytes, after: bytes, key: bytes) -> None:
    assert may_hold_keys(before + b" " + key + b" " + after)
    assert key not in without_keys(before + b" " + key + b" " + after)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from([b"", b"sk-", b"AIza", b"Bearer "]))
def test_what_is_left_out_of_the_search_would_not_be_changed(data: bytes, mark: bytes) -> None:
    data = data + mark + data + b"0123456789abcdef" * (len(data) % 3)
    assert may_hold_keys(data) or without_keys(data) == data


def test_every_part_of_a_record_is_looked_through(make_record: Callable[..., Record]) -> None:
    record = make_record(
        path="/v1/x?q=" + KEY.decode(),
        request_headers=[(b"x-custom", b"Bearer " + KEY)],
        request_body=b'{"a":"' + KEY + b'"}',
        response_headers=[(b"x-echo", KEY)],
        response_body=[b"no such key: " + KEY[:20], KEY[20:]],
    )

    redact(record)

    assert record.path == "/v1/x?q=[redacted]"
    assert record.request_headers == [(b"x-custom", b"Bearer [redacted]")]
    assert record.request_body == b'{"a":"[redacted]"}'
    assert record.response_headers == [(b"x-echo", b"[redacted]")]
    assert record.response_body == [b"no such key: [redacted]"]


@pytest.mark.parametrize("part", ["path", "request_headers", "request_body", "response_headers", "response_body"])
@pytest.mark.parametrize("binary", [False, True])
def test_a_key_is_found_wherever_it_is(make_record: Callable[..., Record], part: str, binary: bool) -> None:
    body = b"\xff\xfe" if binary else b""
    holding: dict[str, object] = {
        "path": f"/v1/{KEY.decode()}",
        "request_headers": [(b"x-custom", KEY)],
        "request_body": body + KEY,
        "response_headers": [(b"x-echo", KEY)],
        "response_body": [body + KEY],
    }
    record = make_record(**({"request_body": body, "response_body": []} | {part: holding[part]}))

    redact(record)

    assert KEY.decode() not in str(record)
    assert "[redacted]" in str(record)


def test_headers_that_were_looked_through_are_taken_as_they_are(make_record: Callable[..., Record]) -> None:
    shown = without_secrets([(b"authorization", KEY), (b"x-custom", b"a " + KEY), (b"accept", b"*/*")])
    record = make_record(request_headers=shown)

    redact(record)

    assert type(shown) is Shown
    assert record.request_headers is shown
    assert shown == [(b"authorization", b"[redacted]"), (b"x-custom", b"a [redacted]"), (b"accept", b"*/*")]


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
@pytest.mark.parametrize("case", [bytes.lower, bytes.upper, bytes.title])
def test_no_provider_credential_survives(make_record: Callable[..., Record], provider, case: Callable[[bytes], bytes]) -> None:
    secret = "A1b2-C3d4_E5f6.G7h8"
    name, value = provider.credential(secret).split(b":", 1)
    head = (
        b"POST /v1/models/gemini:generateContent?alt=sse&key=" + secret.encode() + b"&x=1 HTTP/1.1\r\nhost: api.example.com\r\n"
        + case(name) + b":" + value + b"content-length: 12\r\naccept: */*\r\n\r\n"
    )  # fmt: skip
    record = make_record(sent_head=head, response_headers=[(case(name), value.strip())], request_headers=[(case(name), value.strip())])

    redact(record)
    again = record.sent_head
    redact(record)

    assert secret not in str(record)
    assert record.sent_head == again
    assert record.sent_head.startswith(
        b"POST /v1/models/gemini:generateContent?alt=sse&key=[redacted]&x=1 HTTP/1.1\r\nhost: api.example.com"
    )
    assert record.sent_head.endswith(b"\r\ncontent-length: 12\r\naccept: */*\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"", b"GET", b"GET /v1/x", b"GET /v1/x?token=a b HTTP/1.1", b"x-custom: Bearer " + KEY, b": nothing", b"cookie:a=" + KEY,
        b"\xff\xfe: " + KEY,
    ],
)  # fmt: skip
def test_lines_of_a_head(line: bytes) -> None:
    shown = head_without_secrets(line + b"\r\n\r\n")

    assert KEY not in shown
    assert shown.endswith(b"\r\n\r\n")
    assert head_without_secrets(line + b"\r\n\r\n") == shown


@pytest.mark.parametrize("end", [b"12", b"12\r\nx-api-key: hunter2", b"x\r\nx-api-key: hunter2", b"", b"12\r\ncontent-length: 3"])
def test_a_head_is_the_same_whether_it_was_seen_or_not(end: bytes) -> None:
    head = b"POST /v1/x?key=hunter2 HTTP/1.1\r\nauthorization: Bearer hunter2\r\ncontent-length: " + end + b"\r\n\r\n"
    first = head_without_secrets(head)

    assert b"hunter2" not in first and head_without_secrets(head) == first
    assert first.split(b"\r\n")[0] == b"POST /v1/x?key=[redacted] HTTP/1.1" and first.endswith(b"\r\n\r\n")
    assert [line.partition(b":")[0] for line in first.split(b"\r\n")[1:]] == [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]


def test_what_was_seen_is_forgotten_when_it_is_much() -> None:
    for number in range(5000):
        head_without_secrets(b"GET /%d HTTP/1.1\r\nx-api-key: a\r\ncontent-length: %d\r\n\r\n" % (number, number))
        assert head_without_secrets(b"GET / HTTP/1.1\r\nx-number: %d\r\nx-api-key: %d\r\n\r\n" % (number, number)).count(b"[redacted]") == 1
    assert max(len(redaction._heads), len(redaction._lines)) < 5000


@pytest.mark.parametrize("path", ["/v1/models", "/v1/x?beta=true", "/v1/x?key=hunter2", "/v1/" + KEY.decode(), "/v1/" + "x" * 5000])
def test_a_path_is_the_same_whether_it_was_seen_or_not(make_record: Callable[..., Record], path: str) -> None:
    shown = without_keys(without_parameters(path).encode()).decode()
    for _ in range(3):
        record = make_record(path=path)
        redact(record)
        assert record.path == shown
    assert (path in redaction._paths) == (shown == path and len(path) < 2000)


def test_paths_are_forgotten_when_they_are_many(make_record: Callable[..., Record]) -> None:
    for number in range(5000):
        redact(make_record(path=f"/v1/files/{number}"))
    assert len(redaction._paths) < 5000


def test_headers_are_packed_once() -> None:
    headers = without_secrets([(b"accept", b"*/*"), (b"cookie", b"hunter2")])
    assert msgspec.msgpack.decode(headers.packed()) == [[b"accept", b"*/*"], [b"cookie", b"[redacted]"]]
    assert headers.packed() is headers.packed()


@pytest.mark.parametrize("layer", ["ruled_body", "sent_body", "came_body"])
def test_every_layer_is_looked_through(make_record: Callable[..., Record], layer: str) -> None:
    body = b"a key: " + KEY
    record = make_record(**{layer: [body[:10], body[10:]] if layer == "came_body" else body})

    redact(record)

    shown = getattr(record, layer)
    assert shown == ([b"a key: [redacted]"] if layer == "came_body" else b"a key: [redacted]")
