"""Within: a request that the gateway makes of itself goes through an edge as a client's does, without a socket in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import httptools
import uvicorn
from uvicorn.server import ServerState

from penstock.kit.errors import PenstockError
from penstock.relay.edge import Edge
from penstock.relay.paths import find_target

if TYPE_CHECKING:
    from penstock.relay.plane import Plane


class Reply(NamedTuple):
    """What a client would have got. `cut`: the body was longer than was wanted; `whole`: the answer came to its end."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    cut: bool
    whole: bool


class Within:
    """Sends requests to the relay of this process. `config` is how uvicorn is run."""

    def __init__(self, plane: Plane, config: uvicorn.Config) -> None:
        self._plane = plane
        self._config = config
        self._state = ServerState()

    async def send(self, request: bytes, address: str, limit_bytes: int) -> Reply:
        """The answer to one whole HTTP/1.1 request, as to a client at this address; of its body the first `limit_bytes`.

        One who is cancelled meanwhile is a client that leaves. Raises PenstockError `invalid_request` for what is not the relay's:
        the control plane is not to be reached from within.
        """
        line = request.partition(b"\r\n")[0].split(b" ")
        if len(line) != 3 or find_target(line[0], line[1]).wire is None:
            raise PenstockError("invalid_request", "This request is not one for a provider.")
        if not self._config.loaded:
            self._config.load()
        loop = asyncio.get_running_loop()
        self._state.connections = cast(Any, self._plane.connections)  # those of the server: whoever stops the gateway ends these too
        edge = Edge(self._config, self._state, {"plane": self._plane}, loop)
        transport = _Transport(edge, loop, address, limit_bytes)
        edge.connection_made(transport)
        try:
            if not transport.is_closing():
                edge.data_received(request)
            await transport.ended.wait()
            return transport.reply()
        finally:
            transport.abort()


class _Transport(asyncio.Transport):
    """The edge's end of the connection. What is written to it is read as an answer at once."""

    def __init__(self, edge: Edge, loop: asyncio.AbstractEventLoop, address: str, limit_bytes: int) -> None:
        super().__init__({"peername": (address, 0)})
        self.ended = asyncio.Event()
        """The answer is whole, or will never be."""
        self._edge = edge
        self._loop = loop
        self._limit = limit_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._cut = self._whole = self._closing = False

    def reply(self) -> Reply:
        """What was answered. Raises PenstockError `upstream_broken` when nothing was."""
        if not self._headers:
            raise PenstockError("upstream_broken", "The request was not answered.")
        return Reply(self._parser.get_status_code(), self._headers, bytes(self._body), self._cut, self._whole)

    # what httptools reads

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        room = self._limit - len(self._body)
        self._cut = self._cut or len(body) > room
        self._body += body[:room]

    def on_message_complete(self) -> None:
        self._whole = True
        self.ended.set()

    # what the edge asks of a transport

    def write(self, data: Any) -> None:
        if not self._closing and not self._whole:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:  # nothing that a client could read either
                self.close()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.ended.set()
            self._loop.call_soon(self._edge.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.close()

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def pause_reading(self) -> None:
        """The whole request has been read."""

    def resume_reading(self) -> None:
        """As above."""
