"""A provider on loopback that does exactly what its script says, byte by byte, and remembers what it was sent.

    async with FakeProvider() as provider:
        provider.script(b"HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\n\\r\\nhel", reset)
        ... call provider.url ...
        assert provider.requests[0].header("authorization") == b"Bearer sk-test"

A script is the steps that answer one request: bytes are sent as they are, anything else is a coroutine function that is
given the `Line`. Scripts are used up in order, whichever connection asks; after the last one, `always` answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_PATIENCE_S = 10
"""How long a test waits for something that is about to happen, before it fails."""


@dataclass
class Received:
    """One request as it came. `complete` is False while its body arrives, and for ever if it never did."""

    line: int
    """The number of the connection it came on, from 0."""
    raw_head: bytes
    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    """Names as they were written."""
    body: bytes = b""
    """The content: chunked framing is undone."""
    raw_body: bytes = b""
    complete: bool = False

    def header(self, name: str) -> bytes | None:
        """The only value of a header, whatever its case; None when it is absent. A repeated one fails the test."""
        values = [value for key, value in self.headers if key.lower() == name.lower().encode()]
        assert len(values) <= 1, values
        return values[0] if values else None

    def names(self) -> list[str]:
        """The header names in lower case, in order."""
        return [key.lower().decode() for key, _ in self.headers]


class Line:
    """The provider's end of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.ended = False
        """Closed, reset or given up by this side."""

    async def send(self, data: bytes) -> None:
        """Send bytes and wait until the system has taken them."""
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """Close in good order: what was sent arrives, then the end."""
        self.ended = True
        self.writer.close()

    def reset(self) -> None:
        """Close with RST; what was sent may be lost."""
        self.ended = True
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has closed the connection; what it still sends is thrown away."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.ended = True

    async def head(self) -> Received | None:
        """Read the head of the next request; None when the client closes instead."""
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = raw[:-4].split(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ", 2)
        pairs = (line.partition(b":") for line in lines)
        return Received(self.number, raw, method, target, [(name, value.strip()) for name, _, value in pairs])

    async def body(self, received: Received) -> None:
        """Read the body of a request whose head was read."""
        if (received.header("transfer-encoding") or b"").lower() == b"chunked":
            await self._chunked(received)
        else:
            left = int(received.header("content-length") or 0)
            while left and (data := await self.reader.read(min(left, 65536))):
                received.body += data
                left -= len(data)
            received.raw_body = received.body
            if left:
                return
        received.complete = True

    async def _chunked(self, received: Received) -> None:
        while True:
            size_line = await self.reader.readuntil(b"\r\n")
            size = int(size_line.partition(b";")[0], 16)
            data = await self.reader.readexactly(size + 2) if size else b""
            received.body += data[:-2]
            received.raw_body += size_line + data
            if not size:
                break
        while (trailer := await self.reader.readuntil(b"\r\n")) != b"\r\n":
            received.raw_body += trailer
        received.raw_body += b"\r\n"


Step = bytes | Callable[[Line], Awaitable[None]]


async def close(line: Line) -> None:
    """Step: close in good order."""
    line.close()


async def reset(line: Line) -> None:
    """Step: close with RST."""
    line.reset()


async def hang(line: Line) -> None:
    """Step: do nothing until the client gives up."""
    await line.gone()


async def close_on_next(line: Line) -> None:
    """Step: wait for the first byte of the next request on this connection, then close it unanswered (the keep-alive race)."""
    await line.reader.read(1)
    line.close()


async def reset_on_next(line: Line) -> None:
    """Step: as `close_on_next`, with RST."""
    await line.reader.read(1)
    line.reset()


def pause(seconds: float) -> Step:
    """Step: wait."""

    async def step(_: Line) -> None:
        await asyncio.sleep(seconds)

    return step


def hold(event: asyncio.Event) -> Step:
    """Step: wait until the test sets `event`."""

    async def step(_: Line) -> None:
        await event.wait()

    return step


def dribble(data: bytes, size: int = 1) -> Step:
    """Step: send `data` in pieces of `size` bytes, each in a packet of its own."""

    async def step(line: Line) -> None:
        line.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), size):
            await line.send(data[at : at + size])
            await asyncio.sleep(0)

    return step


def flood(piece: bytes, count: int) -> Step:
    """Step: send the same piece so many times, waiting for the client as TCP does."""

    async def step(line: Line) -> None:
        for _ in range(count):
            await line.send(piece)

    return step


@dataclass
class _Script:
    steps: tuple[Step, ...]
    early: bool = False
    """Answer as soon as the head has come, and read the body afterwards."""


_OK = _Script((b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"ok":true}',))


@dataclass
class FakeProvider:
    """The server. `tls` makes it speak TLS; `opened` counts connections ever made, `open` those that are there now."""

    tls: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    opened: int = 0
    open: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._scripts: deque[_Script] = deque()
        self._always = _OK
        self._greeting: tuple[Step, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None

    def script(self, *steps: Step, early: bool = False) -> FakeProvider:
        """Answer one request with these steps. `early` answers before the body is read."""
        self._scripts.append(_Script(steps, early))
        return self

    def always(self, *steps: Step, early: bool = False) -> FakeProvider:
        """Answer every request that has no script of its own with these steps; at first it is a small JSON object."""
        self._always = _Script(steps, early)
        return self

    def greet(self, *steps: Step) -> FakeProvider:
        """Do this on every new connection before anything is read from it."""
        self._greeting = steps
        return self

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port` or its TLS counterpart."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> FakeProvider:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls, limit=2**20, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something about the provider is true, e.g. `lambda: provider.open == 0`. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_S), self._changed:
            await self._changed.wait_for(true)

    async def until_requests(self, count: int) -> None:
        """Wait until so many requests have come whole."""
        await self.until(lambda: sum(received.complete for received in self.requests) >= count)

    async def until_closed(self) -> None:
        """Wait until no connection is open."""
        await self.until(lambda: self.open == 0)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = Line(self.opened, reader, writer)
        self.opened += 1
        self.open += 1
        try:
            await self._tell()
            await self._play(line, self._greeting)
            while not line.ended and (received := await line.head()) is not None:
                await self._answer(line, received)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            self.open -= 1
            self._tasks.discard(task)
            await self._tell()

    async def _answer(self, line: Line, received: Received) -> None:
        self.requests.append(received)
        await self._tell()
        script = self._scripts.popleft() if self._scripts else self._always
        if script.early:
            await self._play(line, script.steps)
        if not line.ended:
            await line.body(received)
            await self._tell()
        if not script.early:
            await self._play(line, script.steps)

    async def _play(self, line: Line, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if line.ended:
                return
            await (line.send(step) if isinstance(step, bytes) else step(line))


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections for as long as the block lasts: it is taken, and nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port of 127.0.0.1 on which connecting never ends: its queue is full, so Linux drops what knocks."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
