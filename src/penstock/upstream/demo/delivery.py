"""How an answer reaches the client: whole or at a pace, to the end or to the fault that was asked for."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

import msgspec

from penstock.upstream.demo.answer import Answer, Stream
from penstock.upstream.demo.manners import Manners

_BATCH = 32 * 1024
"""Bytes that are gathered before they are written, when there is no pace to keep."""


class Line(Protocol):
    """The connection that is delivered on."""

    transport: asyncio.Transport
    paused: bool

    def delivered(self) -> None:
        """The answer is out, and the connection may be used again."""


class Envelope(msgspec.Struct, gc=False):
    """What surrounds the bytes of an answer: its head, the wrapping of each event, what ends it."""

    head: bytes
    wrap: Callable[[bytes], bytes]
    end: bytes


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def bare(data: bytes) -> bytes:
    """No wrapping at all."""
    return data


def reset(transport: asyncio.Transport) -> None:
    """Close with RST, so that the client sees a reset instead of an end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Delivery:
    """One answer on its way. Calls `line.delivered()` when it is out; a fault never does."""

    def __init__(self, line: Line, answer: Answer | Stream, manners: Manners, envelope: Envelope) -> None:
        self._line = line
        self._answer = answer
        self._manners = manners
        self._envelope = envelope
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deltas: Iterator[bytes] | None = None
        self._closing: Iterable[bytes] = ()
        self._due = 0.0
        self._late = False

    def start(self) -> None:
        """Send, after the time to the first byte that was asked for."""
        if self._manners.fate == "hang":
            return
        if self._manners.first_byte_s:
            self._timer = self._loop.call_later(self._manners.first_byte_s, self._send)
        else:
            self._send()

    def stop(self) -> None:
        """The client is gone."""
        if self._timer:
            self._timer.cancel()
        self._deltas = None

    def resume(self) -> None:
        """The client reads again."""
        if self._deltas is None:
            return
        if not self._manners.gap_s:
            self._pour()
        elif self._late:
            self._late = False
            self._tick()

    def _send(self) -> None:
        self._timer = None
        if self._manners.fate == "reset":
            reset(self._line.transport)
        elif isinstance(self._answer, Answer):
            self._whole(self._answer.body)
        else:
            self._begin(self._answer)

    def _whole(self, body: bytes) -> None:
        fate, transport = self._manners.fate, self._line.transport
        if fate in ("cut", "stall"):
            transport.write(self._envelope.head + body[: len(body) // 2])
            if fate == "cut":
                transport.close()
            return
        transport.write(self._envelope.head + body)
        self._line.delivered()

    def _begin(self, stream: Stream) -> None:
        opening = [self._envelope.head, *map(self._envelope.wrap, stream.opening)]
        self._line.transport.write(b"".join(opening))
        self._closing = [stream.error] if self._manners.fate == "error" and stream.error else stream.closing
        faulty = self._manners.fate in ("cut", "stall", "error")
        self._deltas = islice(stream.deltas, max(1, stream.count // 2)) if faulty else iter(stream.deltas)
        if self._manners.gap_s:
            self._due = self._loop.time()
            self._tick()
        else:
            self._pour()

    def _pour(self) -> None:
        if self._deltas is None:
            return
        write, wrap, batch, size = self._line.transport.write, self._envelope.wrap, [], 0
        for delta in self._deltas:
            batch.append(wrapped := wrap(delta))
            size += len(wrapped)
            if size >= _BATCH:
                write(b"".join(batch))
                if self._line.paused:
                    return
                batch, size = [], 0
        if batch:
            write(b"".join(batch))
        self._finish()

    def _tick(self) -> None:
        self._timer = None
        if self._line.paused:
            self._late = True
            return
        delta = next(self._deltas, None) if self._deltas is not None else None
        if delta is None:
            self._finish()
            return
        self._line.transport.write(self._envelope.wrap(delta))
        self._due += self._manners.gap_s
        self._timer = self._loop.call_at(self._due, self._tick)

    def _finish(self) -> None:
        self._deltas = None
        fate, transport = self._manners.fate, self._line.transport
        if fate == "cut":
            transport.close()
        if fate in ("cut", "stall"):
            return
        transport.write(b"".join([*map(self._envelope.wrap, self._closing), self._envelope.end]))
        self._line.delivered()
