"""The tunnel: a WebSocket to a provider. After the protocol switch bytes pass both ways untouched; the server's messages are metered."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from penstock.kit.errors import PenstockError
from penstock.kit.walker import Signal
from penstock.relay.exchange import Exchange
from penstock.relay.frames import CLOSE, POLICY, TEXT, Frames, frame
from penstock.relay.guard import Guard
from penstock.relay.headers import PROTOCOL_KEY
from penstock.relay.outcome import CLIENT_GONE, COMPLETE, OUT_OF_FUNDS, STOPPED, UPSTREAM_DIED
from penstock.relay.tape import Tape
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask, Cut

if TYPE_CHECKING:
    from penstock.relay.call import Answer
    from penstock.upstream.client.connection import UpstreamError

_PASSED = frozenset((b"sec-websocket-key", b"sec-websocket-version"))
"""Extensions are not offered to the provider: a compressed message could not be metered."""


def refuse_upgrade(exchange: Exchange) -> None:
    """Raise 426 for a WebSocket on a path that is not served over one: Codex then falls back to POST at once."""
    if exchange.upgrade and exchange.target.path == "/v1/responses":
        raise PenstockError("upgrade_required", "Responses are not served over WebSocket here; send a POST.")


def session_ask(exchange: Exchange) -> Ask:
    """The facts of a realtime session: its model is in the query. Raises PenstockError 400 for several."""
    models = parse_qs(exchange.target.query.decode("ascii")).get("model", [])
    if len(models) > 1:
        raise PenstockError("invalid_request", "The query names several models; give one.", param="model")
    return Ask(model=models[0] if models else None, stream=True)


def upgrade_lines(exchange: Exchange, *, own_key: bool) -> bytes:
    """The header lines that ask the provider to switch protocols. A key among the subprotocols goes on only if it is the client's own."""
    lines = [b"connection: Upgrade\r\nupgrade: websocket\r\n"]
    for name, value in exchange.headers:
        if name in _PASSED:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif name == b"sec-websocket-protocol":
            offered = [item.strip() for item in value.split(b",") if own_key or not item.strip().startswith(PROTOCOL_KEY)]
            if offered:
                lines.append(b"sec-websocket-protocol: %b\r\n" % b", ".join(offered))
    return b"".join(lines)


class Tunnel:
    """Two connections joined. `ended` happens with an outcome when either side closes."""

    refused = False

    def __init__(self, exchange: Exchange, answer: Answer, ask: Ask, guard: Guard | None = None) -> None:
        connection, head = answer.connection, answer.head
        assert connection is not None  # noqa: S101  the provider has just switched protocols on it
        assert head is not None  # noqa: S101
        self._edge = exchange.edge
        self._exchange = exchange
        self._connection = connection
        self._meter = exchange.wire.meter(ask)
        self._ask = ask
        self._guard = guard
        self._dry = False
        """The funds have ended; the session does after the message that is being passed on."""
        self._waiting = False
        """More funds are asked for, and both sides wait."""
        self._slow = False
        self._frames = Frames()
        self.ended = Signal()
        self.tape: Tape | None = None
        self._edge.tunnel = self
        lines = [
            b"%b: %b\r\n" % pair
            for pair in head.headers
            if pair[0].startswith(b"sec-websocket-") and pair[0] != b"sec-websocket-extensions"
        ]
        exchange.started, exchange.status = True, 101
        exchange.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-request-id: %b\r\n%b\r\n"
            % (exchange.id.encode(), b"".join(lines))
        )
        connection.switch(self)

    # from the provider

    def body(self, data: bytes) -> None:
        """Bytes from the provider."""
        self._exchange.write(data)
        for message in self._frames.feed(data):
            if any(mark in message for mark in self._meter.marks):
                self._meter.event(message)
                self._check()
            else:
                self._meter.skip(len(message), 1)
        if self._dry:
            self._end_early()

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        """Never: a tunnel has no chunks."""

    def end(self) -> None:
        """The provider has closed."""
        self.ended.set(COMPLETE)

    def broken(self, error: UpstreamError) -> None:
        """The provider's side was cut."""
        self.ended.set(UPSTREAM_DIED)

    def pause_writing(self) -> None:
        """The provider is slow."""
        self._edge.hold_reading("tunnel")

    def resume_writing(self) -> None:
        """The provider has caught up."""
        self._edge.go_on_reading("tunnel")

    # from the client

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._connection.transport.is_closing():
            self._connection.transport.write(data)

    def client_gone(self) -> None:
        """The client has closed."""
        self._connection.abort()
        self.ended.set(CLIENT_GONE)

    def client_slow(self) -> None:
        """The client is slow."""
        self._slow = True
        self._connection.pause()

    def client_ready(self) -> None:
        """The client has caught up."""
        self._slow = False
        if not self._waiting:
            self._connection.resume()

    def stop(self) -> None:
        """The gateway stops: both sides are closed."""
        self._connection.abort()
        self.ended.set(STOPPED)

    # funds

    def _check(self) -> None:
        """Ask the guard whether the funds reach further."""
        guard = self._guard
        if guard is None or self._waiting or guard.room(self.so_far()):
            return
        self._dry = not guard.wait(self._answered)
        if not self._dry:
            self._waiting = True
            self._connection.pause()
            self._edge.hold_reading("funds")

    def _answered(self) -> None:
        """More funds were asked for, and there is an answer."""
        self._waiting = False
        if self.ended.done:
            return
        self._check()
        if self._dry:
            self._end_early()
        if not self._waiting and not self.ended.done:
            self._edge.go_on_reading("funds")
            if not self._slow:
                self._connection.resume()

    def _end_early(self) -> None:
        """Tell the client why, and close; in the middle of a message nothing can be said yet."""
        if self._guard is None or self.ended.done or not self._frames.between:
            return
        exchange, error = self._exchange, self._guard.refusal
        text = exchange.wire.cut_short(error, Cut(self._ask, b"", exchange.id, b"", b"", self.so_far()))
        exchange.write(frame(TEXT, text) + frame(CLOSE, POLICY.to_bytes(2, "big") + error.code.encode()))
        self._connection.abort()
        self.ended.set(OUT_OF_FUNDS)

    # for the walk

    def usage(self) -> tuple[Usage, bool]:
        """The sum of what the session's answers have used."""
        return self._meter.usage()

    def so_far(self) -> Usage:
        """As `usage`, while the session runs."""
        return self._meter.usage()[0]

    def came(self) -> Tape | None:
        """Nothing: a session is not recorded."""
        return None

    def beginning(self, limit_bytes: int) -> bytes:
        """Nothing: a session is no error."""
        return b""

    def glimpse(self, limit_bytes: int) -> tuple[bytes, bytes]:
        """Nothing: a session has many answers."""
        return b"", b""

    def leave(self) -> None:
        """Never: a session ends when its client leaves."""

    def finish(self, outcome: str, lines: list[bytes]) -> None:
        """Close the client's side."""
        self._exchange.cut()
