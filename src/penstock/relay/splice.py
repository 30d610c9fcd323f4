"""The splice: an answer's bytes on their way from a connection to the client, without waking the walk.

Two kinds. `Plain` is for everything that is not an event stream: it is gathered while it is small and passed through, the last
piece held back, when it is not. `Events` is for SSE: bytes leave as they arrive, event by event only where something is to be learned.
Both keep back what tells the client that the answer is complete; `finish` writes it, after the charge is durable.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Protocol

from penstock.kit.errors import PenstockError
from penstock.kit.walker import Signal
from penstock.relay.compression import expand
from penstock.relay.exchange import stopping
from penstock.relay.headers import answer_lines
from penstock.relay.outcome import COMPLETE, STOPPED, UPSTREAM_DIED, UPSTREAM_TIMEOUT
from penstock.relay.tape import Tape
from penstock.upstream.complaints import EMPTY, emptiness
from penstock.upstream.usage import Usage

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.upstream.channel import Channel
    from penstock.upstream.client.connection import Connection, UpstreamError
    from penstock.upstream.client.head import Head
    from penstock.upstream.wires.wire import Ask

GATHERED_LIMIT = 1024 * 1024
"""A plain answer up to this size leaves in one piece once it is paid for."""
TAIL_LIMIT = 64 * 1024
"""How much of the end of a longer answer is kept to read its usage from."""
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER for zero seconds: closing the socket resets the connection."""


class Splice(Protocol):
    """What the walk knows of either kind."""

    ended: Signal
    """Happens with an outcome."""
    tape: Tape | None
    """What the client got."""

    def came(self) -> Tape | None:
        """What the provider sent, where that is something else and is to be recorded."""

    @property
    def refused(self) -> bool:
        """The provider says that all is well, and the client is told that it is not: nothing of the answer can be used."""

    def usage(self) -> tuple[Usage, bool]:
        """The usage read from the answer, and whether it is estimated."""

    def so_far(self) -> Usage:
        """A cheap estimate of the usage while the answer runs; it changes nothing."""

    def leave(self) -> None:
        """The client has left and the rest is only metered: write nothing more."""

    def beginning(self, limit_bytes: int) -> bytes:
        """The beginning of the provider's answer, as far as it is kept: of an error that is the whole."""

    def glimpse(self, limit_bytes: int) -> tuple[bytes, bytes]:
        """The beginning and the end of the provider's answer, as far as they are kept: there it says its id, its model, why it ended."""

    def finish(self, outcome: str, lines: list[bytes]) -> None:
        """Write what was held back: the end of the answer, or the error that ends it. `lines` go into a head not yet written."""


class Plain:
    """An answer that is not an event stream."""

    __slots__ = (
        "_ask", "_channel", "_connection", "_error", "_exchange", "_gather_limit", "_gathered", "_head", "_held", "_held_framed",
        "_refused", "_size", "_sized", "_streams", "_tail", "_tail_size", "_wire", "ended", "tape",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, ask: Ask, head: Head, connection: Connection, record_limit: int, channel: Channel | None = None
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._ask = ask
        self._channel = channel
        self._wire = exchange.wire
        self._refused: PenstockError | None = None
        """It says that all is well, and is no answer."""
        self._head = head
        self._connection = connection
        self._gathered: list[bytes] = []
        # Sound and files are heard and saved as they arrive; only JSON is of no use before it is whole.
        self._gather_limit = GATHERED_LIMIT if b"json" in head.content_type or head.status >= 400 else 0
        self._size = 0
        self._streams = False
        self._held = b""
        self._held_framed = self._sized = False
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._error: UpstreamError | None = None
        self.ended = Signal()
        self.tape = Tape(record_limit) if record_limit else None

    # from the connection

    def body(self, data: bytes) -> None:
        """A piece of the body."""
        self._size += len(data)
        if not self._streams:
            self._gathered.append(data)
            if self._size > self._gather_limit:
                self._stream()
            return
        self._pass(data)

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        """Whole chunks."""
        for part in parts:
            self.body(part)

    def end(self) -> None:
        """The body is whole. Of an error it is seen to that the operator's credential is not repeated in it."""
        if self._head.status >= 400 and self._channel is not None and self._gathered:
            self._gathered = [self._channel.without_secret(b"".join(self._gathered))]
        self.ended.set(COMPLETE)

    def broken(self, error: UpstreamError) -> None:
        """The body breaks off."""
        self._error = error
        self.ended.set(UPSTREAM_TIMEOUT if error.kind == "timeout" else UPSTREAM_DIED)

    @property
    def refused(self) -> bool:
        """It was no answer: what is known when its usage has been read."""
        return self._refused is not None

    # to the client

    def pause(self) -> None:
        """The client is slow. Once the answer is whole, its connection is somebody else's."""
        if not self.ended.done:
            self._connection.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if not self.ended.done:
            self._connection.resume()

    def leave(self) -> None:
        """The client has left, and the rest is only metered."""
        self.resume()

    def _stream(self) -> None:
        """It is long: begin the answer and pass on what comes from here, always one piece behind."""
        self._streams = True
        sized = self._sized = any(name == b"content-length" for name, _ in self._head.headers)
        lines = answer_lines(self._head.headers, length=sized)
        exchange = self._exchange
        framing = b"" if sized else b"transfer-encoding: chunked\r\n"
        if not sized and exchange.http10:
            exchange.close, framing = True, b""
        self._held_framed = bool(framing)
        exchange.receiver = self
        exchange.write(exchange.head(self._head.status, lines, framing))
        gathered, self._gathered = self._gathered, []
        for piece in gathered:
            self._pass(piece)

    def _pass(self, data: bytes) -> None:
        if self.tape is not None:
            self.tape.add(data)
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) > TAIL_LIMIT:
            self._tail_size -= len(self._tail.popleft())
        held, self._held = self._held, data
        if held:
            self._exchange.write(self._framed(held))

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._held_framed else data

    def usage(self) -> tuple[Usage, bool]:
        """Read from the whole answer, or from the end of a long one. An error or a redirect has consumed nothing."""
        if self._head.status >= 300:
            return Usage(calls=0), False
        if self._streams:
            usage, estimated = self._wire.read(b"".join(self._tail), self._ask)
            return usage, estimated or self._error is not None or not self.ended.done
        body = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
        self._gathered = [body]
        encoding = self._head.content_encoding
        if encoding:
            body = expand(body, encoding, GATHERED_LIMIT * 16) or body
        usage, estimated = self._wire.read(body, self._ask)
        if (estimated or not usage.calls) and self._exchange.target.method == b"POST" and self._head.status == 200 and self.ended.done:
            return self._of_nothing(body, usage, estimated)
        return usage, estimated

    def _of_nothing(self, body: bytes, usage: Usage, estimated: bool) -> tuple[Usage, bool]:
        """The usage of an answer that states none: none where there is no answer, which is the provider's failure."""
        if self._channel is not None:
            body = self._channel.without_secret(body)  # what it says is told
        why = emptiness(body) if self._error is None and self._wire.name != "passthrough" else None
        if why is None:
            return usage, estimated
        if not body or why != EMPTY:
            self._refused = PenstockError("upstream_invalid", f"The provider's answer cannot be used: {why}.")
        return Usage(calls=0), False

    def came(self) -> Tape | None:
        """It goes on as it came."""
        return None

    def beginning(self, limit_bytes: int) -> bytes:
        """What was gathered."""
        return b"".join(self._gathered)[:limit_bytes]

    def glimpse(self, limit_bytes: int) -> tuple[bytes, bytes]:
        """Of what was gathered, or the end of what was not."""
        if self._head.content_encoding:
            return b"", b""
        if self._streams:
            return b"", self._tail[-1][-limit_bytes:] if self._tail else b""
        body = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
        return (body[:limit_bytes], body[-limit_bytes:]) if len(body) > 2 * limit_bytes else (body, body)

    def so_far(self) -> Usage:
        """By its size, once some of it has reached the client; before that, nothing has been used that anybody has got."""
        if not self._streams:
            return Usage(calls=0)
        meter = self._wire.meter(self._ask)
        meter.skip(self._size, 1)
        return meter.usage()[0]

    def finish(self, outcome: str, lines: list[bytes]) -> None:
        """Write the whole answer, or the last piece of it; a broken one is an error, or is cut where it has begun."""
        exchange = self._exchange
        if outcome != COMPLETE:
            if self._streams and not self._held_framed and not self._sized and not exchange.gone:
                _reset(exchange)
            if self._streams or exchange.gone:
                exchange.cut()
            else:
                exchange.refuse(stopping() if outcome == STOPPED else refusal(self._error))
            return
        if self._streams:
            end = b"0\r\n\r\n" if self._held_framed else b""
            exchange.write((self._framed(self._held) if self._held else b"") + end)
        elif self._refused is not None:
            exchange.refuse(self._refused)
            return
        else:
            self._whole(lines)
        exchange.finish()

    def _whole(self, lines: list[bytes]) -> None:
        exchange, head = self._exchange, self._head
        body = b"".join(self._gathered)
        if self.tape is not None:
            self.tape.add(body)
        # HEAD, 204 and 304 have a length in their head at most, and no body.
        bodiless = not body and (exchange.target.method == b"HEAD" or head.status in (204, 304))
        head_lines = answer_lines(head.headers, length=bodiless and head.status != 204)
        framing = b"" if bodiless else b"content-length: %d\r\n" % len(body)
        exchange.write(exchange.head(head.status, head_lines + lines if lines else head_lines, framing) + body)


def _reset(exchange: Exchange) -> None:
    """Close the client's connection with RST: to HTTP/1.0 the end of a connection in good order is the end of the answer."""
    transport = exchange.edge.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


def refusal(error: UpstreamError | None) -> PenstockError:
    """A failure of the provider as the caller is told of it."""
    if error is None:
        return PenstockError("upstream_broken", "The provider's answer broke off.")
    if error.kind == "full":
        return PenstockError("overloaded", f"Too many requests at once: {error}.", retry_after_s=1)
    if error.kind == "timeout":
        return PenstockError("upstream_timeout", f"The provider timed out: {error}.")
    code = {"refused": "upstream_refused", "invalid": "upstream_invalid"}.get(error.kind, "upstream_broken")
    return PenstockError(code, f"The provider failed: {error}.")
