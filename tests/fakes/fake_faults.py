"""Everything a provider can do wrong on the wire, by name, ready for `provider.script(*FAULT)` and parametrised tests.

The groups say what a client can know: nothing was answered, the head is not HTTP, the body breaks off, or all is odd but valid.
"""

from __future__ import annotations

from fake_answers import (
    DONE,
    answer,
    chat_answer,
    chat_chunk,
    chat_events,
    chat_usage,
    chunk,
    chunked,
    event,
    gzipped,
    head,
    stream,
    stream_head,
)
from fake_provider import Step, close, close_on_next, dribble, flood, hang, reset

PLAIN = answer(chat_answer())
"""A good plain answer."""
STREAM = stream(*chat_events())
"""A good chat stream."""

_EVENTS = chat_events()
_COUNTING = [chat_chunk({"content": "x"}, usage={"prompt_tokens": 19, "completion_tokens": count}) for count in range(1, 11)]
_ERROR = event({"error": {"message": "The server had an error", "type": "server_error", "param": None, "code": None}})
_HALF = b"".join(map(chunk, _EVENTS[:5]))

NO_ANSWER: dict[str, tuple[Step, ...]] = {
    "closes before the head": (close,),
    "resets before the head": (reset,),
    "closes in the status line": (b"HTTP/1.1 20", close),
    "closes in a header": (b"HTTP/1.1 200 OK\r\ncontent-ty", close),
    "resets in a header": (b"HTTP/1.1 200 OK\r\ncontent-ty", reset),
    "closes after 100 continue": (b"HTTP/1.1 100 Continue\r\n\r\n", close),
}
"""The connection ends before a whole head has come: the client has seen nothing."""

NO_READING: dict[str, tuple[Step, ...]] = {"resets on connect": (reset,), "closes on connect": (close,)}
"""For `greet`: the request is not even read."""

NEVER: dict[str, tuple[Step, ...]] = {
    "never answers": (hang,),
    "stalls in the head": (b"HTTP/1.1 200 OK\r\ncontent-ty", hang),
    "stalls after 100 continue": (b"HTTP/1.1 100 Continue\r\n\r\n", hang),
}
"""The head never comes, and the connection stays open."""

NOT_HTTP: dict[str, tuple[Step, ...]] = {
    "is not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", close),
    "two different lengths": (head(200, "content-length: 5", "content-length: 6") + b"hello!", close),
    "length and chunked": (head(200, "content-length: 5", "transfer-encoding: chunked") + chunked(b"hello"), close),
    "negative length": (head(200, "content-length: -5") + b"hello", close),
    "length with a sign": (head(200, "content-length: +5") + b"hello", close),
    "length is not a number": (head(200, "content-length: five") + b"hello", close),
    "space before the colon": (head(200, "content-length : 5") + b"hello", close),
    "NUL in a header": (head(200, "x-odd: a\0b", "content-length: 5") + b"hello", close),
    "status is not a number": (b"HTTP/1.1 OK 200\r\n\r\n", close),
}
"""A head that must not be believed."""

BROKEN_BODY: dict[str, tuple[Step, ...]] = {
    "closes in the body": (PLAIN[:-20], close),
    "resets in the body": (PLAIN[:-20], reset),
    "closes before the body": (PLAIN[: PLAIN.index(b"\r\n\r\n") + 4], close),
    "length is too long": (head(200, "content-length: 5000") + PLAIN[PLAIN.index(b"\r\n\r\n") + 4 :], close),
    "closes in a chunk": (head(200, "transfer-encoding: chunked") + b"ff\r\n{", close),
    "closes before the last chunk": (head(200, "transfer-encoding: chunked") + chunk(b'{"id":'), close),
    "chunk size is not a number": (head(200, "transfer-encoding: chunked") + chunk(b'{"id":') + b"zz\r\n", close),
    "chunk is longer than it says": (head(200, "transfer-encoding: chunked") + b"2\r\nabcdef\r\n0\r\n\r\n", close),
}
"""The head is good, a plain body is not."""

BROKEN_STREAM: dict[str, tuple[Step, ...]] = {
    "closes between events": (stream_head() + _HALF, close),
    "resets between events": (stream_head() + _HALF, reset),
    "closes in an event": (stream_head() + _HALF + chunk(_EVENTS[6][:40]), close),
    "closes in a chunk of an event": (stream_head() + _HALF + chunk(_EVENTS[6])[:40], close),
    "closes after the head": (stream_head(), close),
    "bad chunk size": (stream_head() + _HALF + b"zz\r\n", close),
}
"""A chat stream that begins well and ends without being finished."""

STALLED_STREAM: dict[str, tuple[Step, ...]] = {
    "stalls between events": (stream_head() + _HALF, hang),
    "stalls in an event": (stream_head() + _HALF + chunk(_EVENTS[6][:40]), hang),
    "stalls after the head": (stream_head(), hang),
}
"""A chat stream that stops and never goes on."""

ODD_PLAIN: dict[str, tuple[Step, ...]] = {
    "100 before the answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,),
    "103 before the answer": (b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n" + PLAIN,),
    "several 1xx": (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + PLAIN,),
    "the same length twice, closing": (PLAIN.replace(b"content-length", b"connection: close\r\ncontent-length", 1), close),
    "one byte at a time": (dribble(PLAIN),),
    "chunk extensions": (head(200, "transfer-encoding: chunked") + b'5;a=b;c="d"\r\nhello\r\n0;last\r\n\r\n',),
    "trailers": (head(200, "transfer-encoding: chunked", "trailer: x-sum") + chunked(b"hello", trailers="x-sum: 1\r\n"),),
    "HTTP/1.0 without a length": (b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\nhello", close),
    "no length, closing": (head(200, "connection: close") + b"hello", close),
    "empty reason": (PLAIN.replace(b"200 Some Reason", b"200 ", 1),),
    "gzip": (gzipped(PLAIN[PLAIN.index(b"\r\n\r\n") + 4 :]),),
    "empty body": (head(200, "content-length: 0"),),
    "HTML instead of JSON": (answer(b"<html><h1>502 Bad Gateway</h1></html>", 502, kind="text/html"),),
}
"""Answers that are unusual and valid: they are to be passed on."""

NO_BODY: dict[str, tuple[Step, ...]] = {
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n",),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",),
    "204 with chunked": (b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",),
    "304 with a length": (b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\ncontent-length: 500\r\n\r\n',),
}
"""Statuses that have no body whatever their headers say; the connection stays usable. HEAD is like them."""

ODD_STREAM: dict[str, tuple[Step, ...]] = {
    "one byte at a time": (dribble(STREAM),),
    "one byte per chunk": (stream_head() + chunked(*(bytes([byte]) for byte in b"".join(_EVENTS))),),
    "all in one chunk": (stream_head() + chunked(b"".join(_EVENTS)),),
    "CRLF line ends": (stream(*(one.replace(b"\n", b"\r\n") for one in _EVENTS)),),
    "comments and pings": (stream(b": OPENROUTER PROCESSING\n\n", *(b": ping\n\n" + one for one in _EVENTS)),),
    "gzip": (gzipped(b"".join(_EVENTS), "text/event-stream"),),
    "usage twice": (stream(*chat_events(usages=2)),),
    "usage missing": (stream(*chat_events(usages=0)),),
    "usage in every event": (stream(*_COUNTING, DONE),),
    "usage after [DONE]": (stream(*chat_events(usages=0), chat_usage()),),
    "no [DONE]": (stream(*_EVENTS[:-1]),),
    "[DONE] twice": (stream(*_EVENTS, DONE),),
    "no blank line at the end": (stream(*_EVENTS[:-1], b"data: [DONE]\n"),),
    "several data lines": (stream(b'data: {"id":"x","choices":\ndata: []}\n\n', *_EVENTS),),
    "id, retry and unknown fields": (stream(b"id: 7\nretry: 10\nodd: x\n\n", *_EVENTS),),
    "not JSON": (stream(event("this is not JSON {"), *_EVENTS),),
    "not UTF-8": (stream(b"data: \xff\xfe\xfd\n\n", *_EVENTS),),
    "byte order mark": (stream(b"\xef\xbb\xbf" + _EVENTS[0], *_EVENTS[1:]),),
    "an error event": (stream(*_EVENTS[:4], _ERROR),),
    "empty": (stream(),),
    "HTTP/1.0 without a length": (b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + b"".join(_EVENTS), close),
}
"""Chat streams that end in good order but are not what a strict provider sends: their bytes are to be passed on."""

RACE: tuple[Step, ...] = (PLAIN, close_on_next)
"""Answers, keeps the connection, and closes it in the moment when the next request arrives on it."""


def huge_head(size: int) -> bytes:
    """An answer whose head has about `size` bytes."""
    lines = [f"x-filler-{number}: {'x' * 1000}" for number in range(size // 1000)]
    return head(200, "content-length: 2", *lines) + b"{}"


def long_header(size: int) -> bytes:
    """An answer with one header of `size` bytes."""
    return head(200, "content-length: 2", "x-long: " + "x" * size) + b"{}"


def big_event(size: int) -> bytes:
    """A chat stream with one event of about `size` bytes."""
    return stream(chat_chunk({"content": "x" * size}), *_EVENTS[1:])


def endless(piece: bytes = b": nothing\n\n", count: int = 1_000_000) -> tuple[Step, ...]:
    """A stream that goes on for `count` pieces, as fast as the client reads."""
    return (stream_head(), flood(chunk(piece), count), b"0\r\n\r\n")


def split_at(at: int) -> tuple[Step, ...]:
    """The good chat stream with its content cut into two chunks at byte `at`."""
    content = b"".join(_EVENTS)
    return (stream_head() + chunk(content[:at]) if at else stream_head(), chunk(content[at:]) + b"0\r\n\r\n")


def rate_limited(retry_after: str = "1") -> bytes:
    """429 with `retry-after`: seconds or a date."""
    error = {"error": {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}
    return answer(error, 429, f"retry-after: {retry_after}")
