"""The head of a response: status, headers, and how its body will end (RFC 9112 section 6.3)."""

from __future__ import annotations

from typing import NamedTuple

import httptools

from penstock.upstream.client.framing import Chunked, FramingError, Length, UntilClose

BODILESS = frozenset((204, 304))


class Head(NamedTuple):
    """A response head. `headers` have lower-case names, in order."""

    status: int
    headers: list[tuple[bytes, bytes]]
    framing: Length | Chunked | UntilClose | None
    """None: there is no body."""
    keep_alive: bool

    def get(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class _Collector:
    """What the parser calls back."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def parse_head(data: bytes, *, to_head: bool) -> Head:
    """Parse a whole head, empty line included. `to_head`: it answers a HEAD request, so no body follows.

    Raises FramingError for anything RFC 9112 forbids: what a lenient parser lets through is how responses are split.
    """
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    try:
        parser.feed_data(data)
        status = parser.get_status_code()
        keep_alive = parser.should_keep_alive()
    except httptools.HttpParserUpgrade:
        status, keep_alive = parser.get_status_code(), False
    except httptools.HttpParserError as exc:
        raise FramingError(f"the head is not valid HTTP: {exc}") from None
    headers = collector.headers
    framing: Length | Chunked | UntilClose | None = None
    if not (to_head or status < 200 or status in BODILESS):
        framing = _framing(headers)
        keep_alive = keep_alive and type(framing) is not UntilClose
    return Head(status, headers, framing, keep_alive)


def _framing(headers: list[tuple[bytes, bytes]]) -> Length | Chunked | UntilClose | None:
    length: bytes | None = None
    for name, value in headers:
        if name == b"transfer-encoding":
            if value.strip().lower() != b"chunked":
                raise FramingError("the transfer-encoding is not chunked")
            return Chunked()
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18 or (length is not None and value != length):
                raise FramingError("the content-length is not one number")
            length = value
    if length is None:
        return UntilClose()
    return Length(int(length)) if int(length) else None
