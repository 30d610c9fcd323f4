"""Starts and stops the demo provider."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import uvloop

from penstock.upstream.demo.connection import Connection
from penstock.upstream.demo.stock import Stock

_BACKLOG = 4096


class DemoServer:
    """A demo provider that listens. `port` is the one it was given by the system when 0 was asked for."""

    def __init__(self, server: asyncio.Server, connections: set[Connection]) -> None:
        self._server = server
        self._connections = connections
        self.host, self.port = server.sockets[0].getsockname()[:2]

    @property
    def url(self) -> str:
        """Where it is, without a path: what ANTHROPIC_BASE_URL wants; OPENAI_BASE_URL wants `/v1` after it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def open_connections(self) -> int:
        """Clients that are connected now."""
        return len(self._connections)

    async def close(self) -> None:
        """Stop listening and drop everybody who is connected."""
        self._server.close()
        for connection in list(self._connections):
            connection.transport.abort()
        await self._server.wait_closed()


async def start(host: str = "127.0.0.1", port: int = 0) -> DemoServer:
    """Start a demo provider on the running loop. Raises `OSError` when the address is taken."""
    stock = Stock()
    connections: set[Connection] = set()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stock, connections), host, port, backlog=_BACKLOG)
    return DemoServer(server, connections)


def run(host: str = "127.0.0.1", port: int = 9100, announce: Callable[[str], None] = print) -> None:
    """Serve until SIGINT or SIGTERM. `announce` is told the URL once it is served."""

    async def serve() -> None:
        demo = await start(host, port)
        stopped = asyncio.Event()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
        announce(f"demo provider on {demo.url}")
        await stopped.wait()
        await demo.close()

    uvloop.run(serve())
