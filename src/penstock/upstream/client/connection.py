"""One connection to a provider: writes a request, reads the answer, hands its bytes to a receiver as they arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from penstock.kit.walker import Signal
from penstock.upstream.client.framing import Chunked, FramingError, Length, Sink, UntilClose
from penstock.upstream.client.head import Head, parse_head

if TYPE_CHECKING:
    from penstock.kit.errors import PenstockError
    from penstock.upstream.client.pool import Pool


class UpstreamError(Exception):
    """The provider's side failed. `kind` is refused, full, broken, invalid or timeout.

    `reused`: a kept connection died before a byte of the answer came, which is what a keep-alive race looks like. `refusal`: why we
    would not connect at all.
    """

    def __init__(self, kind: str, message: str, *, reused: bool = False, refusal: PenstockError | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.reused = reused
        self.refusal = refusal


class Receiver(Sink, Protocol):
    """Who receives the answer's body and its end."""

    def end(self) -> None:
        """The body is whole."""

    def broken(self, error: UpstreamError) -> None:
        """The body breaks off."""


class Connection(asyncio.Protocol):
    """A connection of a pool. It serves one request at a time; when its answer is whole it goes back by itself."""

    __slots__ = (
        "_buffer", "_fault", "_framing", "_head", "_receiver", "_reusable", "_room", "_to_head", "answered", "began_tick",
        "busy", "loop_paused", "lost", "pool", "stamp", "transport", "tunnel", "upload", "uses",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._room = 0
        """Bytes that heads may still take, interim ones included."""
        self._buffer = b""
        self._head: Signal | None = None
        self._framing: Length | Chunked | UntilClose | None = None
        self._receiver: Receiver | None = None
        self._to_head = False
        self._reusable = False
        self.busy = False
        self.answered = False
        """A byte of the answer has come."""
        self.loop_paused = False
        self.lost = False
        self._fault: Exception | None = None
        """Why it was lost; None when the provider closed in good order."""
        self.uses = 0
        self.stamp = self.began_tick = 0
        self.upload: asyncio.BaseProtocol | None = None
        """Who is told to pause and resume while it writes a long request body."""
        self.tunnel: Receiver | None = None
        """After a protocol switch: who gets everything that arrives."""

    @property
    def waiting(self) -> bool:
        """The head of the answer has not come."""
        return self._head is not None

    @property
    def awaited(self) -> Signal | None:
        """What gives the head of the answer; None when it has come, or nothing was asked."""
        return self._head

    def ask(self, request: bytes, *, to_head: bool = False) -> Signal:
        """Write a request (or its beginning) and give what can be awaited for the `Head`.

        The signal fails with UpstreamError.
        """
        self.busy = True
        self.answered = False
        self._to_head = to_head
        pool = self.pool
        self._room = pool.head_bytes
        self.uses += 1
        self.stamp = self.began_tick = pool.pulse.tick
        head = Signal()
        if self.lost:
            head.fail(UpstreamError("broken", "the connection was closed before the request was sent", reused=self.uses > 1))
            return head
        self._head = head
        self.transport.write(request)
        return head

    def deliver(self, receiver: Receiver) -> None:
        """Send the body of the answer whose head was awaited to `receiver`, from now on."""
        framing, data = self._framing, self._buffer
        self._receiver = receiver
        if self.loop_paused:
            self.resume()
        if type(framing) is Length and framing.left == len(data):
            # The whole answer came at once, as most do.
            receiver.body(data)
            self._finish(b"")
            return
        if framing is None:
            self._finish(data)
        elif data:
            self._buffer = b""
            self._feed(data, receiver)
        if self.lost and self._receiver is receiver:
            self._receiver = None
            self._close_body(receiver)

    def redirect(self, receiver: Receiver) -> Receiver | None:
        """Send the rest of the body to another receiver; the one before, or None if the body is over."""
        before = self._receiver
        if before is not None:
            self._receiver = receiver
        return before

    def switch(self, tunnel: Receiver) -> None:
        """After the provider has switched protocols: everything goes to `tunnel` from now on, until `tunnel.end()`."""
        self.tunnel = tunnel
        self.upload = cast("asyncio.BaseProtocol", tunnel)
        if self._buffer:
            data, self._buffer = self._buffer, b""
            tunnel.body(data)
        if self.lost:
            tunnel.end()
        self.resume()

    def pause(self) -> None:
        """Stop reading: whoever takes the bytes is slow."""
        if not self.loop_paused and not self.transport.is_closing():
            self.loop_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.loop_paused:
            self.loop_paused = False
            self.stamp = self.pool.pulse.tick
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def abort(self) -> None:
        """Close at once; nobody wants the rest of the answer."""
        self._receiver = self._head = self.tunnel = None
        self.transport.abort()
        self.pool.forget(self)

    def fail(self, error: UpstreamError) -> None:
        """End what is running with an error, and close."""
        head, receiver = self._head, self._receiver
        self.abort()
        if head is not None:
            head.fail(error)
        elif receiver is not None:
            receiver.broken(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)  # requests leave at once, however many sockets are ready
        self.stamp = self.pool.pulse.tick

    def data_received(self, data: bytes) -> None:
        """Bytes of the head or the body."""
        self.stamp = self.pool.pulse.tick
        receiver = self._receiver
        if receiver is not None:
            self._feed(data, receiver)
        elif self._head is not None:
            self.answered = True
            self._read_head(self._buffer + data if self._buffer else data)
        elif self.tunnel is not None:
            self.tunnel.body(data)
        elif self.busy:
            self._buffer += data
            self.pause()
        else:
            # Bytes nobody asked for: the connection can't be trusted with another request.
            self.abort()

    def eof_received(self) -> bool:
        """The provider closed its side; the transport closes with it."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection ends whatever is running on it."""
        self.pool.forget(self)
        self.lost = True
        self._fault = exc
        head, receiver, tunnel = self._head, self._receiver, self.tunnel
        self._head = self._receiver = self.tunnel = None
        if head is not None:
            how = f"connection lost: {exc}" if exc else "the connection was closed before an answer came"
            head.fail(UpstreamError("broken", how, reused=self.uses > 1 and not self.answered))
        elif receiver is not None:
            self._close_body(receiver)
        elif tunnel is not None:
            tunnel.end()

    def pause_writing(self) -> None:
        """The provider takes the request body slowly."""
        if self.upload is not None:
            self.upload.pause_writing()

    def resume_writing(self) -> None:
        """The provider takes more of the request body."""
        if self.upload is not None:
            self.upload.resume_writing()

    # reading

    def _read_head(self, data: bytes) -> None:
        while True:
            end = data.find(b"\r\n\r\n") + 4
            size = end if end >= 4 else len(data)
            if size > self._room:
                self.fail(UpstreamError("invalid", "the head of the answer is too long"))
                return
            if end < 4:
                self._buffer = data
                return
            try:
                head = parse_head(data[:end], to_head=self._to_head)
            except FramingError as exc:
                self.fail(UpstreamError("invalid", str(exc)))
                return
            data = data[end:]
            if head.status >= 200 or head.status == 101:
                break
            # 100 Continue, 102, 103: not the answer yet (RFC 9110 section 15.2).
            self._room -= size
        self._buffer = data
        self._framing = head.framing
        self._reusable = head.keep_alive
        waiting, self._head = self._head, None
        if waiting is not None:
            waiting.set(head)
        # By now the answer may be over, and this connection asked for another one.
        if self.busy and not self.waiting and self._receiver is None and self.tunnel is None:
            self.pause()

    def _feed(self, data: bytes, receiver: Receiver) -> None:
        framing = self._framing
        assert framing is not None  # noqa: S101  without a body there is no receiver by now
        try:
            rest = framing.feed(data, receiver)
        except FramingError as exc:
            self.fail(UpstreamError("invalid", str(exc)))
            return
        if rest is not None:
            self._finish(rest)

    def _finish(self, rest: bytes) -> None:
        receiver, self._receiver = self._receiver, None
        self._buffer = b""
        # What a provider that answered early has not taken of the request would stand before the next one.
        if self._reusable and not rest and self.upload is None and not self.transport.get_write_buffer_size():
            if self.loop_paused:
                # Whoever was slow to take this answer is not to slow down the next one.
                self.resume()
            self.busy = False
            self.pool.give_back(self)
        else:
            self.transport.abort()
            self.pool.forget(self)
        if receiver is not None:
            receiver.end()

    def _close_body(self, receiver: Receiver) -> None:
        try:
            if self._fault is not None or self._framing is None:
                raise FramingError(f"connection lost: {self._fault}")
            self._framing.close()
        except FramingError as error:
            receiver.broken(UpstreamError("broken", str(error)))
        else:
            receiver.end()


__all__ = ["Connection", "Head", "Receiver", "UpstreamError"]
