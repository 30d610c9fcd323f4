"""One HTTP/1.1 connection to the demo provider: requests in, in order, answers out."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

import httptools

from penstock.upstream.demo.answer import Answer, RefusedError, Session, Stream, Switch, dialect_lines, head
from penstock.upstream.demo.delivery import Delivery, Envelope, bare, chunk
from penstock.upstream.demo.manners import PLAIN, Manners
from penstock.upstream.demo.refusals import refused
from penstock.upstream.demo.request import Request
from penstock.upstream.demo.router import answer_to
from penstock.upstream.demo.stock import Stock

_BODY_LIMIT = 256 * 1024 * 1024
_HEAD_LIMIT = 64 * 1024
_WAITING_LIMIT = 32
"""Pipelined requests that may wait for their turn before the connection is not read any more."""


class Connection(asyncio.Protocol):
    """Parses requests, answers them one after another, and hands over to a session after a switch."""

    transport: asyncio.Transport

    def __init__(self, stock: Stock, connections: set[Connection], body_limit: int = _BODY_LIMIT) -> None:
        self._body_limit = body_limit
        self.paused = False
        self._stock = stock
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._delivery: Delivery | None = None
        self._session: Session | None = None
        self._keep_alive = True
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self.transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._connections.discard(self)
        self._waiting.clear()
        if self._delivery:
            self._delivery.stop()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.paused = True

    def resume_writing(self) -> None:
        """The client caught up."""
        self.paused = False
        if self._delivery:
            self._delivery.resume()
        else:
            self._next()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of the session that took over."""
        if self._session:
            self._session.received(data)
            return
        if not self._keep_alive:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._keep_alive = False
            rest = data[exc.args[0] :]
            if self._session and rest:
                self._session.received(rest)
        except httptools.HttpParserCallbackError as exc:
            if not isinstance(exc.__context__, RefusedError):
                raise
            self._turn_away(exc.__context__)
        except httptools.HttpParserError:
            self._turn_away(RefusedError(400, "This is not valid HTTP."))

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._target, self._headers, self._head_size = b"", {}, 0
        self._body, self._body_size = [], 0

    def on_url(self, url: bytes) -> None:
        """httptools: a piece of the target."""
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header."""
        self._headers[name.lower()] = value
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """httptools: the head is complete."""
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and not self._waiting and not self._delivery:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """httptools: a piece of the body."""
        self._body_size += len(data)
        if self._body_size > self._body_limit:
            raise RefusedError(413, f"The body is larger than {self._body_limit} bytes.")
        self._body.append(data)

    def on_message_complete(self) -> None:
        """httptools: the request is whole."""
        parser = self._parser
        request = Request(parser.get_method().decode(), self._target, self._headers, b"".join(self._body), self._stock)
        request.version = parser.get_http_version()
        request.keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        self._body = []
        self._waiting.append(request)
        if len(self._waiting) >= _WAITING_LIMIT:
            self.transport.pause_reading()
        self._next()

    def delivered(self) -> None:
        """The answer that was being sent is out."""
        self._delivery = None
        if self._session:
            self._session.delivered()
        elif not self._keep_alive:
            self.transport.close()
        else:
            self._next()

    def deliver(self, answer: Answer | Stream, manners: Manners, envelope: Envelope) -> None:
        """Send an answer with manners; only one is on its way at a time."""
        self._delivery = Delivery(self, answer, manners, envelope)
        self._delivery.start()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _HEAD_LIMIT:
            raise RefusedError(431, f"The head is larger than {_HEAD_LIMIT} bytes.")

    def _turn_away(self, refusal: RefusedError) -> None:
        """Answer what cannot be read, and close."""
        self._keep_alive = False
        if self.transport.is_closing():
            return
        if not self._delivery:
            request = Request("GET", self._target or b"/", self._headers, b"", self._stock)
            answer = refused(request, refusal)
            self.transport.write(head(answer.status, answer.kind, len(answer.body), b"connection: close\r\n") + answer.body)
        self.transport.close()

    def _next(self) -> None:
        while self._waiting and not self._delivery and not self.paused and not self.transport.is_closing():
            request = self._waiting.popleft()
            if len(self._waiting) == _WAITING_LIMIT // 2:
                self.transport.resume_reading()
            self._answer(request)

    def _answer(self, request: Request) -> None:
        answer = answer_to(request)
        lines = dialect_lines(request.dialect, request.digest)
        if isinstance(answer, Switch):
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n" + answer.headers + lines + b"\r\n")
            self._session = answer.opened(self)
            return
        if not request.keep_alive:
            lines += b"connection: close\r\n"
            self._keep_alive = False
        if isinstance(answer, Answer):
            top = head(answer.status, answer.kind, len(answer.body), answer.headers + lines)
            if request.manners is PLAIN and request.method != "HEAD" and request.keep_alive:
                self.transport.write(top + answer.body)
                return
            if request.method == "HEAD":
                answer.body = b""
            self.deliver(answer, request.manners, Envelope(top, bare, b""))
        elif request.version == "1.0":
            self._keep_alive = False
            top = head(200, answer.kind, None, lines).replace(b"transfer-encoding: chunked\r\n", b"")
            self.deliver(answer, request.manners, Envelope(top, bare, b""))
        else:
            self.deliver(answer, request.manners, Envelope(head(200, answer.kind, None, lines), chunk, b"0\r\n\r\n"))
