"""The edge: uvicorn's HTTP protocol, with the relay's requests taken below ASGI.

This file reads requests, `turns.py` has them answered one after the other. No other file knows uvicorn's internals;
tests/relay/test_edge.py fails loudly on a uvicorn that these two do not know.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import httptools
from mypy_extensions import mypyc_attr
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.kit.errors import PenstockError
from penstock.relay.exchange import ClientGone, Exchange
from penstock.relay.forms import is_json
from penstock.relay.headers import sift, without_upgrade
from penstock.relay.known import KnownHead, remember
from penstock.relay.paths import Target, find_target
from penstock.relay.turns import Turns
from penstock.relay.upload import Upload
from penstock.upstream.wires import WIRES

if TYPE_CHECKING:
    from penstock.relay.plane import Plane
    from penstock.relay.tunnel import Tunnel

STRANGERS = 4
"""A client whose heads differ each time is not remembered any more after so many."""
HELD_AT_ONCE = 64 * 1024
"""Longer bodies are waited for inside the walk, after the key was checked."""
_NEVER = frozenset((b"CONNECT", b"TRACE"))
"""Methods that are for proxies of another kind."""


class _Enough(Exception):
    """Leaves the parser: the rest of what came is not wanted."""


@mypyc_attr(native_class=False)
class Edge(Turns, HttpToolsProtocol):
    """One client connection."""

    # Beyond the attributes that uvicorn gives a connection, ours would make its dictionary too large to be fast.
    __slots__ = (
        "_advancing", "_begun_ns", "_body_size", "_deaf", "_declined", "_first_size", "_head_tick", "_holds", "_in_body", "_in_head",
        "_known", "_memorable", "_packet_size", "_parts", "_paused_tick", "_queue", "_raw_size", "_reading", "_refusal", "_stamp",
        "_strangers", "active", "plane", "tunnel",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url, self.headers = b"", []  # uvicorn says that they are, and leaves them None until a request comes
        self.plane: Plane = self.app_state["plane"]
        self.active: Exchange | None = None
        self.tunnel: Tunnel | None = None
        self._queue: deque[Exchange] = deque()
        self._reading: Exchange | None = None
        """The relay's exchange whose body is coming in; None: uvicorn reads this request."""
        self._parts: list[bytes] = []
        self._body_size = self._raw_size = 0
        """Bytes of the request's body, and all its bytes but those of the piece in which it began."""
        self._packet_size = self._first_size = 0
        self._in_head = False
        self._in_body = False
        self._deaf = False
        """What still comes is thrown away."""
        self._refusal: PenstockError | None = None
        self._known: KnownHead | None = None
        self._memorable: Exchange | None = None
        """The exchange whose whole request was read in one piece just now."""
        self._declined = False
        """The request being read offers another protocol."""
        self._strangers = 0
        self._holds: set[str] = set()
        self._advancing = False
        self.plane.connections = self.connections
        self._stamp = self._head_tick = self.plane.pulse.tick
        self._paused_tick = -1

    # bytes from the client

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects."""
        super().connection_made(transport)
        # What is written leaves at once: uvloop would write a buffer only after a round over all sockets, long where thousands are ready.
        transport.set_write_buffer_limits(high=0)
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
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        between = not (self._in_head or self._in_body)
        known = self._known
        if known is not None and between and not self._in_asgi:
            body = known.body(data)
            if body is not None and len(body) <= self.plane.settings.body_limit:
                self._begin_known(known, body)
                return
        while data:
            self._packet_size = len(data)
            self._raw_size += self._packet_size
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._declined:
                    data, between = self._to_read_again(data[upgrade.args[0] :]), False
                    continue
                # The exchange decides: it becomes a tunnel or is answered and closed.
                self._deaf = True
            except httptools.HttpParserError:
                if not self._deaf:
                    self._stop_parsing(self._refusal or PenstockError("invalid_request", "The request is not valid HTTP/1.1."))
            else:
                if self._memorable is not None:
                    self._memorise(data, alone=between)
                self._check_size()
            return

    def _check_size(self) -> None:
        """Bound what is no body: a head that does not end, chunks that are mostly framing."""
        limit = self.plane.settings.header_limit
        if self._in_head:
            if self._raw_size > limit:
                self._stop_parsing(PenstockError("headers_too_large", f"The headers are longer than {limit} bytes."))
        elif self._in_body and self._raw_size > limit + 65536 + self._body_size * 9:
            self._stop_parsing(PenstockError("headers_too_large", "The chunks of the body are mostly extensions."))

    def on_message_begin(self) -> None:
        """A request starts. uvicorn's own state is made only when the request turns out to be its own."""
        if self._deaf:
            raise _Enough
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._head_tick = self._stamp
        self._begun_ns = perf_counter_ns()
        self._raw_size = self._body_size = 0
        self._first_size = self._packet_size

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
        limit = self.plane.settings.header_limit
        if self._raw_size + self._first_size > limit and sum(len(name) + len(value) + 4 for name, value in self.headers) > limit:
            self._give_up("headers_too_large", f"The headers are longer than {limit} bytes.")
        target = find_target(self.parser.get_method(), self.url)
        if target.method in _NEVER:
            self._give_up("method_not_allowed", f"The method {target.method.decode()} is not allowed.")
        if self.parser.should_upgrade() and not self._offers_websocket(target.method):
            self._declined = True
            return
        if target.refused:
            self._give_up("invalid_request", "The URL has characters or dot segments that are not allowed.")
        if target.wire is None:
            if target.respelled:
                self.url = target.path.encode("ascii") + (b"?" + target.query if target.query else b"")
            self._to_asgi()
        else:
            self._to_relay(target)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._deaf:
            return
        self._body_size += len(body)
        exchange = self._reading
        if exchange is None:
            super().on_body(body)
        elif exchange.upload is not None:
            if not exchange.upload.feed(body):
                self._too_large()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._deaf or self._declined:
            return
        self._in_body = False
        exchange, self._reading = self._reading, None
        if exchange is None:
            super().on_message_complete()
        elif exchange.upload is not None:
            exchange.upload.end()
        else:
            parts = self._parts
            exchange.body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self._memorable = exchange if self._strangers < STRANGERS and not self.expect_100_continue else None
            self.begin(exchange)

    def _offers_websocket(self, method: bytes) -> bool:
        # With a body it is no such offer: llhttp would not read it, and a provider that was promised it would take what follows for it.
        bodied = any((name == b"content-length" and value != b"0") or name == b"transfer-encoding" for name, value in self.headers)
        return method == b"GET" and not bodied and any(name == b"upgrade" and value.lower() == b"websocket" for name, value in self.headers)

    def _to_read_again(self, rest: bytes) -> bytes:
        """A request that offered another protocol, such as HTTP/2, as if it had not, and what follows: llhttp leaves its body unread."""
        self._declined = False
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        return b"%b%b\r\n%b" % (line, without_upgrade(self.headers), rest)

    # to one of the two planes

    def _to_asgi(self) -> None:
        self._reading = None
        if self._in_asgi or self.active is not None or self._queue:
            self._leave_the_rest()
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _to_relay(self, target: Target) -> None:
        if self._in_asgi:
            self._leave_the_rest()
        exchange = self._reading = Exchange(self, target, self.headers, sift(self.headers, target.query))
        exchange.arrived_ns = self._begun_ns
        version = self.parser.get_http_version()
        exchange.http10 = version != "1.1"
        if exchange.http10 and version != "1.0":
            self._give_up("invalid_request", "The request is not HTTP/1.1.")
        exchange.close = exchange.http10 or not self.parser.should_keep_alive()
        if self.parser.should_upgrade():
            exchange.close = exchange.upgrade = True
        length, limit = exchange.sifted.length, self.plane.settings.body_limit
        if length is not None and length > limit:
            self._too_large()
        waits = self.expect_100_continue or not is_json(exchange.sifted.content_type)
        if length is None or length > HELD_AT_ONCE or (length and waits):
            exchange.upload = Upload(self, limit, chunked=length is None, expected=self.expect_100_continue and not exchange.http10)
            self.begin(exchange)

    def _leave_the_rest(self) -> None:
        """Answers must leave in order, and uvicorn answers at once: the client has to ask again on a new connection."""
        if self._in_asgi:
            self.cycle.keep_alive = False
            self._deaf = True
        else:
            self._close_after_last()
        raise _Enough

    def _begin_known(self, known: KnownHead, body: bytes) -> None:
        exchange = Exchange(self, known.target, known.headers, known.sifted)
        exchange.body = body
        self.begin(exchange)

    def _memorise(self, data: bytes, *, alone: bool) -> None:
        """Remember the head of a request that came in one piece; a client that sends another each time is left alone."""
        exchange, self._memorable = self._memorable, None
        if exchange is not None and alone and not exchange.close:
            self._strangers += self._known is not None
            self._known = remember(data, exchange)

    # errors and the end

    @property
    def _in_asgi(self) -> bool:
        """The control plane is answering."""
        return self.cycle is not None and not self.cycle.response_complete

    def _give_up(self, code: str, message: str) -> None:
        """Stop the parser from inside one of its callbacks."""
        self._refusal = PenstockError(code, message)
        raise self._refusal

    def _too_large(self) -> None:
        self._give_up("body_too_large", f"The body is larger than the limit of {self.plane.settings.body_limit} bytes.")

    def _stop_parsing(self, error: PenstockError) -> None:
        """What comes is not a request, or too much of one: answer what came before it, else refuse."""
        self._deaf = True
        reading, self._reading = self._reading, None
        if reading is not None and reading is self.active:
            reading.close = True
            if reading.walker is not None and reading.upload is not None and reading.upload.cut():
                reading.walker.interrupt(error)
        elif self.active is not None or self._queue:
            if reading is not None and self._queue and self._queue[-1] is reading:
                self._queue.pop()
            self._close_after_last()
        elif self._in_asgi:
            self.cycle.keep_alive = False
            if self.cycle.more_body:
                self.transport.close()
        else:
            exchange = reading or self._unread()
            exchange.close = True
            self.plane.metrics.refused(error.code)
            exchange.refuse(error)

    def _unread(self) -> Exchange:
        """The exchange of a request that was not understood, as far as its refusal depends on it."""
        shown = [pair for pair in self.headers or () if pair[0] in (b"origin", b"anthropic-version")]
        target = find_target(b"POST", self.url) if self.headers else None
        if target is None or target.wire is None:
            target = Target(b"GET", "/", b"", WIRES["passthrough"])
        return Exchange(self, target, shown, sift(shown, b""))

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
        elif self.active is None:
            self._advance()
        elif self.active.receiver is not None:
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
            over = quiet > limits.linger or tick - self._head_tick > limits.client_body
            if self.active is None and not self._in_asgi and over:
                self.transport.abort()
        elif self._in_body and (self._reading is not None or self._in_asgi):
            streams = self._reading is not None and self._reading.upload is not None
            late = not streams and tick - self._head_tick > limits.client_head + limits.client_body
            if quiet > limits.client_body or late:
                self._stop_parsing(PenstockError("request_timeout", "The body did not arrive in time."))
        elif self._in_head:
            if quiet > limits.client_head or tick - self._head_tick > limits.client_head:
                self._stop_parsing(PenstockError("request_timeout", "The headers did not arrive in time."))
        elif self.active is None and not self._in_asgi and quiet > limits.keep_alive:
            self.transport.close()
