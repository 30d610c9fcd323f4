"""A request body on its way through: handed on as it arrives, with back-pressure to the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.kit.walker import Signal
from penstock.relay.tape import Tape

if TYPE_CHECKING:
    from penstock.relay.edge import Edge
    from penstock.relay.forms import Field
    from penstock.upstream.client.connection import Connection

WAITING_LIMIT = 256 * 1024


class Upload(asyncio.BaseProtocol):
    """The body of one request: gathered until a connection takes it, then forwarded.

    `chunked`: the client did not say how long it is, so it goes on in chunks. `expected`: the client waits to be asked for it.
    `prefix(limit)` waits for the first bytes, in which the `model` of a form is looked for.
    """

    def __init__(self, edge: Edge, limit_bytes: int, *, chunked: bool, expected: bool = False) -> None:
        self._edge = edge
        self._limit = limit_bytes
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._arrived = Signal()
        self._wanted = 1
        self._pause_at = WAITING_LIMIT
        self._connection: Connection | None = None
        self._expected = expected
        self.chunked = chunked
        self.size = 0
        self.grown = 0
        """How many bytes more are sent than came."""
        self.done = False
        self.stopped = False
        """Nobody wants the rest."""
        self.tape: Tape | None = None
        self.naming: Field | None = None
        """Where, in what waits, the model is named."""

    def invite(self) -> None:
        """Ask the client for the body, if it holds that back (RFC 9110 section 10.1.1)."""
        if self._expected and not self.size:
            self._edge.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def record(self, limit_bytes: int) -> None:
        """Keep the beginning for the record, what has come already included."""
        self.tape = tape = Tape(limit_bytes)
        for data in self._waiting:
            tape.add(data)

    def feed(self, data: bytes) -> bool:
        """Take more of the body from the client; False when that is more than the limit."""
        self.size += len(data)
        if self.size > self._limit:
            return False
        if self.stopped:
            return True
        if self.tape is not None:
            self.tape.add(data)
        if self._connection is not None:
            self._write(self._connection, data)
            return True
        self._waiting.append(data)
        self._waiting_size += len(data)
        if self._waiting_size >= self._pause_at:
            self._edge.hold_reading("upload")
        if self._waiting_size >= self._wanted:
            self._arrived.set()
        return True

    def end(self) -> None:
        """The whole body has come."""
        self.done = True
        self._arrived.set()
        if self._connection is not None:
            self._finish(self._connection)

    async def prefix(self, wanted_bytes: int) -> bytes:
        """The first bytes of the body: at least `wanted_bytes`, or all there is."""
        while self._waiting_size < wanted_bytes and not self.done:
            self._arrived = Signal()
            self._wanted = wanted_bytes
            self._pause_at = max(WAITING_LIMIT, wanted_bytes)
            self._edge.go_on_reading("upload")
            await self._arrived
        return b"".join(self._waiting)

    def rename(self, model: str) -> None:
        """Name another model, where one is named; the length that is sent on changes with it."""
        if self.naming is not None:
            waiting = self.naming.replaced(self.waiting(), model)
            self.grown += len(waiting) - self._waiting_size
            self._waiting = [waiting]
            self._waiting_size = len(waiting)

    def waiting(self) -> bytes:
        """What has come and is not handed on yet."""
        return b"".join(self._waiting)

    async def whole(self) -> bytes:
        """All of the body, for a body that was only waited for so that its key could be checked first."""
        self._pause_at = self._wanted = self._limit + 1
        self._edge.go_on_reading("upload")
        if not self.done:
            self._arrived = Signal()
            await self._arrived
        return b"".join(self._waiting)

    def forward(self, connection: Connection) -> None:
        """Hand on what waits, and everything that comes, to a connection."""
        self._connection = connection
        connection.upload = self
        waiting, self._waiting = self._waiting, []
        self._edge.go_on_reading("upload")
        for data in waiting:
            self._write(connection, data)
        if self.done:
            self._finish(connection)

    def stop(self) -> None:
        """The provider has answered. What still comes is thrown away, and the client is told to stop by closing after the answer.

        A connection to which only a part of the body was written still has this `upload`, and is not used again.
        """
        self.stopped = True
        self._connection = None
        self._waiting.clear()
        if not self.done and self._edge.active is not None:
            self._edge.active.close = True
            self._edge.go_on_reading("upload")

    def cut(self) -> bool:
        """The client will not send the rest: close the connection it was forwarded to. False if the provider has answered already."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        return not self.stopped

    def pause_writing(self) -> None:
        """The provider is slow: stop reading from the client."""
        if not self.stopped:
            self._edge.hold_reading("upload")

    def resume_writing(self) -> None:
        """The provider takes more."""
        self._edge.go_on_reading("upload")

    def _write(self, connection: Connection, data: bytes) -> None:
        if not connection.transport.is_closing():
            connection.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
            connection.stamp = connection.pool.pulse.tick

    def _finish(self, connection: Connection) -> None:
        if self.chunked and not connection.transport.is_closing():
            connection.transport.write(b"0\r\n\r\n")
        connection.upload = None
        self._connection = None
        self._edge.go_on_reading("upload")
