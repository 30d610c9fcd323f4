"""A wiretap: a TCP relay in front of a server on loopback, which changes nothing and remembers every request that passes."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

_BOUNDARY = re.compile(rb'boundary="?([^";]+)')


@dataclass
class Heard:
    """A request as it passed. Header names are in lower case."""

    method: str = ""
    target: str = ""
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> bytes | None:
        """The only value of a header; None when it is absent. A repeated one fails the test."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    def unbounded(self) -> tuple[bytes | None, bytes]:
        """The content type and the body, with the boundary of a form, which is different each time, replaced."""
        kind = self.header("content-type")
        found = _BOUNDARY.search(kind or b"")
        if kind is None or found is None:
            return kind, self.body
        return kind.replace(found[1], b"boundary"), self.body.replace(found[1], b"boundary")


class _Ear:
    """What llhttp calls for the requests of one connection."""

    def __init__(self, heard: list[Heard]) -> None:
        self._heard = heard
        self._parser = httptools.HttpRequestParser(self)
        self._now = Heard()
        self._deaf = False

    def hear(self, data: bytes) -> None:
        if not self._deaf:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade:
                self._deaf = True

    def on_message_begin(self) -> None:
        self._now = Heard()

    def on_url(self, url: bytes) -> None:
        self._now.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._now.headers.append((name.lower().decode(), value))

    def on_body(self, body: bytes) -> None:
        self._now.body += body

    def on_message_complete(self) -> None:
        self._now.method = self._parser.get_method().decode()
        self._heard.append(self._now)


class Wiretap:
    """`await Wiretap(port).start()`; then `url` leads to the server at `port`, and `heard` has the requests in order."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.heard: list[Heard] = []

    async def start(self) -> Wiretap:
        """Listen."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return self

    @property
    def url(self) -> str:
        """The base address, without a path."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Listen no more, and hang up on everybody."""
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        pumps = _pump(reader, far_writer, _Ear(self.heard).hear), _pump(far_reader, writer, lambda _: None)
        self._lines |= {asyncio.ensure_future(pump) for pump in pumps}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Callable[[bytes], None]) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            hear(data)
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()
