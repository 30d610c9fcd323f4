"""What a handler returns (an answer, a stream, a switch of protocols, a refusal), and its HTTP head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"

encode = msgspec.json.Encoder().encode

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {529: b"Overloaded"}
_DIALECT_LINES = {
    "openai": (
        b"openai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\n"
        b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n"
        b"x-request-id: req_"
    ),
    "anthropic": (
        b"anthropic-organization-id: demo\r\nanthropic-ratelimit-requests-limit: 10000\r\nanthropic-ratelimit-requests-remaining: 9999\r\n"
        b"request-id: req_"
    ),
}


class Answer(msgspec.Struct, gc=False):
    """A whole answer. `headers` are further lines, each ending in CRLF."""

    body: bytes
    status: int = 200
    kind: bytes = JSON
    headers: bytes = b""


class Stream(msgspec.Struct, gc=False):
    """A streamed answer: what is paced, and what goes before and after it at once.

    `error` is the event that tells of a failure in the middle of the stream, in the wire's own grammar.
    """

    opening: Iterable[bytes]
    deltas: Iterable[bytes]
    count: int
    """How many deltas there are."""
    closing: Iterable[bytes]
    error: bytes = b""
    kind: bytes = SSE


class Session(Protocol):
    """What talks on a connection after it has left HTTP."""

    def received(self, data: bytes) -> None:
        """Bytes from the client."""

    def delivered(self) -> None:
        """The stream that was being sent has been sent."""


class Switch(msgspec.Struct, gc=False):
    """101: the connection leaves HTTP. `opened` is given the connection and returns who talks from now on."""

    headers: bytes
    opened: Callable[[Any], Session]


class RefusedError(Exception):
    """An error of the provider, to be written in the dialect of the request."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None, headers: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers


def json_answer(value: object) -> Answer:
    """`value` as a JSON answer."""
    return Answer(encode(value))


def data_event(value: object) -> bytes:
    """One SSE event without a name, as chat completions sends them."""
    return b"data: %b\n\n" % encode(value)


def named_event(value: dict[str, Any]) -> bytes:
    """One SSE event that is named by its own `type`, as responses and messages send them."""
    return b"event: %b\ndata: %b\n\n" % (value["type"].encode(), encode(value))


def head(status: int, kind: bytes, length: int | None, more: bytes) -> bytes:
    """The head of an answer; `length` None means chunked. `more` are whole header lines."""
    framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n%b\r\n%b\r\n" % (status, _REASONS.get(status, b"Unknown"), kind, framing, more)


def dialect_lines(dialect: str, digest: str) -> bytes:
    """The header lines that every answer of a provider of this dialect carries."""
    return _DIALECT_LINES[dialect] + digest.encode() + b"\r\n"
