"""The edge: uvicorn's HTTP protocol, with the relay's requests taken below ASGI.

This is the only file that knows uvicorn's internals; tests/relay/test_edge.py fails loudly on a uvicorn it does not know.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.kit.errors import PenstockError
from penstock.kit.walker import Walker
from penstock.relay.events import Events
from penstock.relay.exchange import ClientGone, Exchange, Stopping
from penstock.relay.paths import Target, find_target
from penstock.relay.preflight import answer_preflight
from penstock.relay.upload import Upload
from penstock.relay.walk import ended, walk
from penstock.upstream.wires import WIRES

if TYPE_CHECKING:
    from penstock.relay.plane import Plane
    from penstock.relay.tunnel import Tunnel

HELD_AT_ONCE = 64 * 1024
"""Longer bodies are waited for inside the walk, after the key was checked."""
LINGER_BYTES = 4 * 1024 * 1024
"""How much of a refused body is read and thrown away so that the client gets to read the refusal."""


class Edge(HttpToolsProtocol):
    """One client connection. One exchange is walked at a time; pipelined ones wait in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plane: Plane = self.app_state["plane"]
        self.active: Exchange | None = None
        self.tunnel: Tunnel | None = None
        self._queue: deque[Exchange] = deque()
        self._reading: Exchange | None = None
        """The relay's exchange whose body is coming in; None: uvicorn reads this request."""
        self._parts: list[bytes] = []
        self._body_size = self._raw_size = 0
        self._in_head = False
        self._in_body = False
        self._deaf = False
        """Nothing more is read from this connection."""
        self._refusal: PenstockError | None = None
        self._holds: set[str] = set()
        self.plane.connections = self.connections
        self._stamp = self._head_tick = self.plane.pulse.tick
        self._paused_tick = -1

    # bytes from the client

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects."""
        super().connection_made(transport)
        limit = self.plane.settings.connection_limit
        if len(self.connections) > limit:
            self._stop_parsing(PenstockError("overloaded", f"All {limit} connections are in use.", retry_after_s=1))

    def data_received(self, data: bytes) -> None:
        """Parse; everything else happens in the parser's callbacks."""
        if self.tunnel is not None:
            self.tunnel.from_client(data)
            return
        self._stamp = self.plane.pulse.tick
        if self._deaf:
            self._linger(len(data))
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._raw_size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data, upgrade)
        except httptools.HttpParserError:
            self._stop_parsing(self._refusal or PenstockError("invalid_request", "The request is not valid HTTP/1.1."))
            return
        if (self._in_head or self._in_body) and self._raw_size - self._body_size > self.plane.settings.header_limit + 65536:
            what = "headers" if self._in_head else "chunk framing"
            self._stop_parsing(PenstockError("headers_too_large", f"The request's {what} are longer than the limit."))

    def on_message_begin(self) -> None:
        """A request starts. uvicorn's own state is made only when the request turns out to be its own."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._head_tick = self._stamp
        self._raw_size = self._body_size = 0

    def on_url(self, url: bytes) -> None:
        """Part of the URL."""
        self.url += url
        if len(self.url) > self.plane.settings.url_limit:
            self._give_up("url_too_long", f"The URL is longer than {self.plane.settings.url_limit} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers are not wanted and dropped."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            if b"\n" in value or b"\r" in value:
                self._give_up("invalid_request", "A header is folded over several lines; write it on one.")
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: relay or control plane?"""
        self._in_head = False
        self._in_body = True
        target = find_target(self.parser.get_method(), self.url)
        if target.refused:
            self._give_up("invalid_request", "The URL has characters or dot segments that are not allowed.")
        if target.wire is None:
            self._to_asgi()
        else:
            self._to_relay(target)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_size += len(body)
        exchange = self._reading
        if exchange is None:
            if self.cycle is not None:
                super().on_body(body)
        elif exchange.upload is not None:
            exchange.upload.feed(body)
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        exchange, self._reading = self._reading, None
        if exchange is None:
            if self.cycle is not None:
                super().on_message_complete()
        elif exchange.upload is not None:
            exchange.upload.end()
        else:
            parts = self._parts
            exchange.body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self._begin(exchange)

    # to one of the two planes

    def _to_asgi(self) -> None:
        self._reading = None
        if self.active is not None or self._queue:
            # Answers must leave in order and uvicorn would answer at once: the client has to ask again on a new connection.
            (self._queue[-1] if self._queue else self.active).close = True  # type: ignore[union-attr]
            self._deaf = True
            self.cycle = None  # type: ignore[assignment]
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _to_relay(self, target: Target) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            self._deaf = True
            return
        wire = target.wire
        assert wire is not None  # noqa: S101  the caller looked
        exchange = self._reading = Exchange(self, target, wire, self.headers)
        exchange.http10 = self.parser.get_http_version() != "1.1"
        exchange.close = exchange.http10 or not self.parser.should_keep_alive()
        if target.method == b"OPTIONS":
            return
        length, settings = exchange.sifted.length, self.plane.settings
        if self.parser.should_upgrade():
            exchange.close = exchange.upgrade = True
        if length is not None and length > settings.body_limit:
            self._give_up("body_too_large", f"The body is larger than the limit of {settings.body_limit} bytes.")
        if length is None or length > HELD_AT_ONCE or not (length == 0 or _is_json(exchange.sifted.content_type)):
            exchange.upload = Upload(self, settings.body_limit, chunked=length is None)
            self._begin(exchange)
        elif self.expect_100_continue:
            self.send_continue()

    def send_continue(self) -> None:
        """Ask the client for the body that it holds back."""
        if self.expect_100_continue:
            self.expect_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, exchange: Exchange) -> None:
        if self.active is not None:
            self._queue.append(exchange)
            self.hold_reading("pipeline")
            return
        self.active = exchange
        if exchange.target.method == b"OPTIONS":
            answer_preflight(exchange)
            return
        exchange.walker = walker = Walker(walk(exchange, self.plane), lambda error: ended(exchange, self.plane, error))
        walker.start()

    def finished(self, exchange: Exchange) -> None:
        """An exchange has been answered: go on with the next one."""
        self.server_state.total_requests += 1
        self.active = None
        self._stamp = self.plane.pulse.tick
        if exchange.gone or self.transport.is_closing():
            return
        if exchange.close:
            self._close()
        elif self._queue:
            self._begin(self._queue.popleft())
        elif self._holds:
            self.go_on_reading("pipeline")

    # errors and the end

    def _give_up(self, code: str, message: str) -> None:
        """Stop the parser from inside one of its callbacks."""
        self._refusal = PenstockError(code, message)
        raise self._refusal

    def _stop_parsing(self, error: PenstockError) -> None:
        self._deaf = True
        reading, self._reading = self._reading, None
        if self.active is not None and reading is not self.active:
            # The answer to an earlier request is on its way; it is the last one.
            (self._queue[-1] if self._queue else self.active).close = True
            return
        if reading is not None and reading.walker is not None:
            reading.close = True
            reading.walker.interrupt(error)
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()
            return
        target = Target(b"GET", "/", b"", WIRES["passthrough"])
        exchange = reading or Exchange(self, target, WIRES["passthrough"], [])
        exchange.close = True
        self.plane.metrics.refused(error.code)
        exchange.refuse(error)

    def _linger(self, size: int) -> None:
        self._raw_size += size
        if self._raw_size > LINGER_BYTES:
            self.transport.abort()

    def _close(self) -> None:
        self._queue.clear()
        if self._in_body or self._deaf:
            # Closing now, with unread bytes in the socket, would make the kernel take back the answer.
            self._deaf = True
            self._in_body = False
            self._raw_size = 0
            self._holds.clear()
            self.flow.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: whatever waits for it is told."""
        super().connection_lost(exc)
        if self.tunnel is not None:
            self.tunnel.client_gone()
        self._queue.clear()
        exchange = self.active
        if exchange is not None:
            exchange.gone = True
            if exchange.walker is not None:
                exchange.walker.interrupt(ClientGone())

    def shutdown(self) -> None:
        """uvicorn stops: finish what runs, take nothing new."""
        if self.tunnel is not None:
            self.tunnel.stop()
        elif self.active is not None:
            self.active.close = True
        else:
            super().shutdown()

    # flow

    def hold_reading(self, why: str) -> None:
        """Stop reading from the client until every reason is gone."""
        if not self._holds:
            self.flow.pause_reading()
        self._holds.add(why)

    def go_on_reading(self, why: str) -> None:
        """One reason not to read is gone."""
        if why in self._holds:
            self._holds.discard(why)
            self._stamp = self.plane.pulse.tick
            if not self._holds and not self.transport.is_closing():
                self.flow.resume_reading()

    def pause_writing(self) -> None:
        """The client reads slowly: so does whoever forwards to it."""
        super().pause_writing()
        self._paused_tick = self.plane.pulse.tick
        if self.tunnel is not None:
            self.tunnel.client_slow()
        elif self.active is not None and self.active.receiver is not None:
            self.active.receiver.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._paused_tick = -1
        if self.tunnel is not None:
            self.tunnel.client_ready()
        elif self.active is not None and self.active.receiver is not None:
            self.active.receiver.resume()

    def sweep(self, tick: int) -> None:
        """End what the client has let time out; called once per tick."""
        limits = self.plane.limits
        quiet = tick - self._stamp
        if self._paused_tick >= 0:
            if tick - self._paused_tick > limits.client_stall:
                self.transport.abort()
        elif self.tunnel is not None or self._holds:
            return
        elif self._deaf:
            if self.active is None and quiet > limits.linger:
                self.transport.abort()
        elif self._in_body and self._reading is not None:
            if quiet > limits.client_body:
                self._stop_parsing(PenstockError("request_timeout", "The body did not arrive in time."))
        elif self._in_head:
            if quiet > limits.client_head or tick - self._head_tick > limits.client_head:
                self._stop_parsing(PenstockError("request_timeout", "The headers did not arrive in time."))
        elif self.active is None and (self.cycle is None or self.cycle.response_complete) and quiet > limits.keep_alive:
            self.transport.close()

    # protocol switches

    def _upgraded(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        if self.active is not None or self._queue:
            # The exchange decides: it becomes a tunnel or is answered and closed.
            self._deaf = self.tunnel is None
            early = data[upgrade.args[0] :]
            if early and self.tunnel is not None:
                self.tunnel.from_client(early)
        elif self.cycle is not None and not self.cycle.response_complete:
            self._unsupported_upgrade_warning()


def _is_json(content_type: bytes) -> bool:
    return not content_type or b"json" in content_type.lower()


def sweep(plane: Plane) -> None:
    """Once per tick: end what clients have let time out, and keep silent streams alive."""
    tick, every = plane.pulse.tick, plane.limits.comment_every
    for connection in list(plane.connections):
        if isinstance(connection, Edge):
            connection.sweep(tick)
            exchange = connection.active
            if exchange is not None and type(exchange.receiver) is Events:
                exchange.receiver.keep_alive(tick, every)


def interrupt_all(plane: Plane) -> int:
    """The time to finish is over: interrupt every exchange that still runs; how many there were."""
    running = [connection for connection in list(plane.connections) if isinstance(connection, Edge) and connection.active]
    for connection in running:
        exchange = connection.active
        if connection.tunnel is not None:
            connection.tunnel.stop()
        elif exchange is not None and exchange.walker is not None:
            exchange.close = True
            exchange.walker.interrupt(Stopping())
    return len(running)


__all__ = ["Edge", "interrupt_all", "sweep"]
