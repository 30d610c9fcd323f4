"""Heads of answers: read strictly, and how the body will end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.client.framing import Chunked, FramingError, Length, UntilClose
from penstock.upstream.client.head import parse_head

OK = "HTTP/1.1 200 OK"


def head(first: str, *lines: str, to_head: bool = False):
    return parse_head("\r\n".join((first, *lines, "", "")).encode("latin-1"), to_head=to_head)


def framing(first: str, *lines: str, to_head: bool = False):
    """The kind of framing, or the stated length, and whether the connection stays."""
    found = head(first, *lines, to_head=to_head)
    kind = found.framing
    return kind.left if isinstance(kind, Length) else type(kind), found.keep_alive


def test_status_headers_and_types():
    found = head(
        OK, "Content-Type: Text/Event-Stream; charset=UTF-8", "X-Odd: \xff", "x-odd: two", "Content-Encoding: gzip", "Content-Length: 3"
    )
    assert found.status == 200
    assert found.headers[:3] == [(b"content-type", b"Text/Event-Stream; charset=UTF-8"), (b"x-odd", b"\xff"), (b"x-odd", b"two")]
    assert (found.content_type, found.content_encoding) == (b"text/event-stream; charset=utf-8", b"gzip")
    assert (found.get(b"x-odd"), found.get(b"x-none")) == (b"\xff", None)


@pytest.mark.parametrize(
    ("first", "lines", "expected"),
    [
        (OK, ["content-length: 5"], (5, True)),
        (OK, ["Content-Length:5"], (5, True)),
        (OK, ["content-length: \t 5 \t"], (5, True)),
        (OK, ["content-length: 005"], (5, True)),
        (OK, ["content-length: 5", "connection: close"], (5, False)),
        (OK, ["content-length: 5", "connection: keep-alive, x-odd"], (5, True)),
        (OK, ["transfer-encoding: chunked"], (Chunked, True)),
        (OK, ["Transfer-Encoding:  CHUNKED "], (Chunked, True)),
        (OK, ["transfer-encoding: chunked", "connection: close"], (Chunked, False)),
        (OK, [], (UntilClose, False)),
        (OK, ["connection: keep-alive"], (UntilClose, False)),
        ("HTTP/1.0 200 OK", [], (UntilClose, False)),
        ("HTTP/1.0 200 OK", ["content-length: 5"], (5, False)),
        ("HTTP/1.0 200 OK", ["content-length: 5", "connection: keep-alive"], (5, True)),
        ("HTTP/1.1 200", ["content-length: 5"], (5, True)),
        ("HTTP/1.1 200 ", ["content-length: 5"], (5, True)),
        ("HTTP/1.1 599 Odd", ["content-length: 5"], (5, True)),
        ("HTTP/1.1 999 Odd", ["content-length: 5"], (5, True)),
        (OK, ["content-length: 5", "connection: upgrade", "upgrade: h2c"], (5, True)),
        (OK, [f"content-length: {2**62}"], (2**62, True)),
    ],
)
def test_how_the_body_ends(first, lines, expected):
    assert framing(first, *lines) == expected


def test_no_body():
    nothing = type(None)
    assert framing(OK, "content-length: 0")[0] is nothing
    for status in (204, 304):
        for line in ("content-length: 5", "transfer-encoding: chunked", "x-odd: x"):
            assert framing(f"HTTP/1.1 {status} x", line) == (nothing, True)
    for line in ("content-length: 5", "transfer-encoding: chunked"):
        assert framing(OK, line, to_head=True) == (nothing, True)
    assert framing("HTTP/1.1 404 x", to_head=True)[0] is nothing
    assert framing("HTTP/1.1 100 Continue")[0] is nothing
    assert framing("HTTP/1.1 103 Early Hints", "link: x")[0] is nothing
    assert framing("HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: websocket") == (nothing, False)


@pytest.mark.parametrize(
    "lines",
    [
        ["content-length: 5", "content-length: 6"],
        ["content-length: 5", "content-length: 5"],
        ["content-length: 0", "content-length: 0"],
        ["content-length: 5, 5"],
        ["content-length: +5"],
        ["content-length: -5"],
        ["content-length: 0x5"],
        ["content-length: 5_0"],
        ["content-length: 5 5"],
        ["content-length: five"],
        ["content-length: \xb2"],
        ["content-length:"],
        ["content-length: 99999999999999999999999999"],
        ["content-length: 5", "transfer-encoding: chunked"],
        ["transfer-encoding: chunked", "content-length: 5"],
        ["transfer-encoding: gzip"],
        ["transfer-encoding: identity"],
        ["transfer-encoding: xchunked"],
        ["transfer-encoding: chunked, chunked"],
        ["transfer-encoding: gzip, chunked"],
        ["transfer-encoding: chunked", "transfer-encoding: chunked"],
        ["transfer-encoding: chunked", "transfer-encoding: gzip"],
        ["transfer-encoding: gzip", "transfer-encoding: chunked"],
        ["transfer-encoding: \x0bchunked"],
        ["transfer-encoding:"],
        ["content-length : 5"],
        ["content-length\t: 5"],
        [" content-length: 5"],
        ["x-odd: a\r\n folded"],
        ["x-odd: a\r\n\tfolded"],
        ["x-odd: a\nx-even: b"],
        ["x-odd: a\n\nbody"],
        ["x-odd: a\rx-even: b"],
        ["x-odd: a\x00b"],
        ["x-odd: a\x01b"],
        ["x-odd: a\x7fb"],
        ["x-\xe9: a"],
        ["x odd: a"],
        [": a"],
        ["no colon"],
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_headers_that_must_not_be_believed(lines, version):
    with pytest.raises(FramingError):
        head(f"HTTP/{version} 200 OK", *lines)


@pytest.mark.parametrize("first", ["HTTP/1.0 200 OK"])
def test_http_1_0_has_no_transfer_encoding(first):
    with pytest.raises(FramingError):
        head(first, "transfer-encoding: chunked", "connection: keep-alive")


@pytest.mark.parametrize(
    "first",
    [
        "", "\r\nHTTP/1.1 200 OK", "HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/2 200", "HTTP/0.9 200 OK", "HTTP/11 200 OK",
        "http/1.1 200 OK", "RTSP/1.0 200 OK", "ICE/1.0 200 OK", "ICY 200 OK", "SSH-2.0-OpenSSH_9.6", "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 099 OK", "HTTP/1.1 000 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 OK 200",
        "HTTP/1.1 2x0 OK", "HTTP/1.1", "HTTP/1.1\t200 OK", " HTTP/1.1 200 OK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\nK",
        "HTTP/1.1 200 O\rK", "HTTP/1.1 101 Switching Protocols", "GET / HTTP/1.1",
    ],
)  # fmt: skip
def test_first_lines_that_are_not_http(first):
    with pytest.raises(FramingError):
        head(first, "content-length: 5")


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    for begin in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx: "):
        try:
            found = parse_head(begin + data + b"\r\n\r\n", to_head=False)
        except FramingError:
            continue
        assert 100 <= found.status <= 999
        for name, value in found.headers:
            assert name == name.lower()
            assert not {*b"\r\n\0"} & {*name, *value}


@given(
    st.lists(
        st.tuples(
            st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,10}", fullmatch=True), st.from_regex(rb"[!-~\x80-\xff]{1,20}", fullmatch=True)
        )
    )
)
def test_valid_headers_come_out_in_order(pairs):
    pairs = [(b"x-" + name, value) for name, value in pairs]
    data = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in pairs) + b"\r\n"
    assert parse_head(data, to_head=False).headers == [(name.lower(), value) for name, value in pairs]


@pytest.mark.parametrize(("version", "line", "kept"), [
    (b"1.1", b"", True), (b"1.1", b"connection: Close\r\n", False), (b"1.1", b"connection: keep-alive\r\n", True), (b"1.0", b"", False),
])  # fmt: skip
def test_an_empty_answer_lets_the_connection_be_kept(version, line, kept):
    head = parse_head(b"HTTP/%b 200 OK\r\n%bcontent-length: 0\r\n\r\n" % (version, line), to_head=False)
    assert (head.framing, head.keep_alive) == (None, kept)
