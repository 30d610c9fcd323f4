"""The head of a response: status, headers, and how its body will end (RFC 9112 section 6.3)."""

from __future__ import annotations

import httptools

from penstock.upstream.client.framing import Chunked, FramingError, Length, UntilClose

_UNCHANGED = frozenset((b"", b"identity", b"none"))
"""The last is no encoding at all, but is used to keep proxies from compressing event streams."""
BODILESS = frozenset((204, 304))
_READ = frozenset((b"content-length", b"transfer-encoding", b"content-type", b"content-encoding"))


class Head:
    """A response head. `headers` have lower-case names, in order. `framing` None: there is no body.

    `content_type` is in lower case and empty if none was sent; so is `content_encoding`, or if it changes nothing.
    """

    __slots__ = ("content_encoding", "content_type", "framing", "headers", "keep_alive", "status")

    def __init__(
        self, status: int, headers: list[tuple[bytes, bytes]], framing: Length | Chunked | UntilClose | None, keep_alive: bool,
        content_type: bytes, content_encoding: bytes,
    ) -> None:  # fmt: skip
        self.status = status
        self.headers = headers
        self.framing = framing
        self.keep_alive = keep_alive
        self.content_type = content_type
        self.content_encoding = content_encoding

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
    if not data.startswith(b"HTTP/1.") or data.find(b"\0") >= 0:
        # The parser would also take RTSP, HTTP/2.0, an empty line before the status, and NUL in the reason.
        raise FramingError("the answer is not HTTP/1.1")
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
    if status < 100:
        raise FramingError("the status is not a number from 100 to 999")
    headers = collector.headers
    framing: Length | Chunked | UntilClose | None = None
    length = content_type = content_encoding = b""
    chunked = False
    for name, value in headers:
        if name not in _READ:
            continue
        if name == b"content-length":
            if length or not value.rstrip(b" \t").isdigit():
                raise FramingError("the content-length is not one number")
            length = value
        elif name == b"transfer-encoding":
            if chunked or value.strip(b" \t").lower() != b"chunked":
                raise FramingError("the transfer-encoding is not chunked")
            chunked = True
        elif name == b"content-type":
            content_type = value.lower()
        elif name == b"content-encoding" and value.strip(b" \t").lower() not in _UNCHANGED:
            content_encoding = value
    if chunked and (length or parser.get_http_version() == "1.0"):
        raise FramingError("a transfer-encoding with a content-length, or in HTTP/1.0")
    if not (to_head or status < 200 or status in BODILESS):
        if chunked:
            framing = Chunked()
        elif not length:
            framing, keep_alive = UntilClose(), False
        elif size := int(length):
            framing = Length(size)
        else:
            # After a message without a body llhttp has forgotten that the connection may be kept.
            keep_alive = parser.get_http_version() == "1.1" and not any(
                name == b"connection" and b"close" in value.lower() for name, value in headers
            )
    return Head(status, headers, framing, keep_alive, content_type, content_encoding)
