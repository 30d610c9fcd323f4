"""Dialling: how a connection to an origin is made, directly or through a proxy, with or without the guard against private networks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from penstock.infra.outbound import is_private_host, private_address, resolve
from penstock.upstream.client.connection import Connection
from penstock.upstream.client.origin import Origin
from penstock.upstream.client.proxy import Proxy, open_tunnel

LookUp = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host that may be connected to."""


@dataclass(frozen=True, slots=True)
class Dial:
    """How to reach an origin.

    Behind a proxy it is the proxy that looks names up, and its network that is reached: only what says by itself that it is private
    is refused here. The proxy's own address is the operator's and may be anywhere.
    """

    origin: Origin
    tls: ssl.SSLContext | None
    proxy: Proxy | None = None
    allow_private: bool = True
    look_up: LookUp = resolve

    async def connect(self, factory: Callable[[], Connection]) -> Connection:
        """A connection that is ready to be asked. Raises UpstreamError, OSError, and PenstockError `private_address`."""
        if self.proxy is not None:
            return await self._through(self.proxy, factory)
        if self.allow_private:
            return await self._direct(self.origin.host, factory)
        failure: OSError | None = None
        for address in await self.look_up(self.origin.host, self.origin.port):
            try:
                return await self._direct(address, factory)
            except OSError as exc:
                failure = failure or exc
        raise failure or OSError("it has no address")

    async def _direct(self, host: str, factory: Callable[[], Connection]) -> Connection:
        loop = asyncio.get_running_loop()
        name = self.origin.host if self.tls else None
        _, connection = await loop.create_connection(factory, host, self.origin.port, ssl=self.tls, server_hostname=name)
        return connection

    async def _through(self, proxy: Proxy, factory: Callable[[], Connection]) -> Connection:
        if not self.allow_private and is_private_host(self.origin.host):
            raise private_address(self.origin.host)
        transport, connection = await open_tunnel(proxy, self.origin, factory)
        if self.tls is None:
            connection.connection_made(transport)
            return connection
        try:
            secured = await asyncio.get_running_loop().start_tls(transport, connection, self.tls, server_hostname=self.origin.host)
        except BaseException:
            transport.abort()
            raise
        if secured is None:
            raise ConnectionResetError("the tunnel was closed")
        connection.connection_made(secured)
        return connection
