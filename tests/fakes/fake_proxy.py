"""An HTTP proxy on loopback that opens tunnels, or does what its script says, and remembers what it was asked.

async with FakeProxy(credentials="user:secret", names={"api.example": provider.port}) as proxy:
    ... connect through proxy.url ...
    assert proxy.asked == ["api.example:443"]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class FakeProxy:
    """The server. `names` are the ports of 127.0.0.1 at which a host is; `answer` is what it says instead of opening a tunnel."""

    credentials: str = ""
    names: dict[str, int] = field(default_factory=dict)
    answer: bytes | None = None
    """b"" says nothing at all."""
    asked: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    open: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Its URL, credentials included."""
        return f"http://{self.credentials}{'@' if self.credentials else ''}127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        try:
            await self._tunnel(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            self.open -= 1
            self._tasks.discard(task)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(target)
        if self.answer is not None:
            writer.write(self.answer)
            await reader.read()
            return
        expected = b"proxy-authorization: Basic " + base64.b64encode(self.credentials.encode())
        if self.credentials and expected not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n")
            return
        assert method == "CONNECT", head
        host, _, port = target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.names.get(host, int(port)))
        except ConnectionError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
