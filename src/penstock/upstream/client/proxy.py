"""Proxies: connections through an HTTP proxy that is asked to CONNECT (RFC 9110 section 9.3.6), to any origin."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote, urlsplit

from penstock.upstream.client.connection import Connection, UpstreamError
from penstock.upstream.client.framing import FramingError
from penstock.upstream.client.head import parse_head
from penstock.upstream.client.origin import Origin

HEAD_LIMIT = 16 * 1024
"""Bytes of what a proxy may answer before the tunnel is open."""
_REFUSALS = {
    400: "does not understand what it is asked",
    403: "does not let us reach it",
    405: "is not one that opens tunnels",
    407: "wants other credentials",
    502: "cannot reach it",
    503: "cannot reach it",
    504: "could not reach it in time",
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. It never shows its credentials."""

    host: str
    port: int
    _credentials: bytes = field(default=b"", repr=False)
    """The header line that carries them."""

    @classmethod
    def of(cls, url: str) -> Proxy:
        """The proxy at `http://host:port` or `http://user:password@host:port`. Raises ValueError, which does not repeat the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("a proxy is http://host:port; this is no URL") from None
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("a proxy is http://host:port, or http://user:password@host:port, and nothing more")
        line = b""
        if parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
            line = b"proxy-authorization: Basic %b\r\n" % base64.b64encode(f"{user}:{password}".encode())
        return cls(parts.hostname, port or 80, line)

    def request(self, origin: Origin) -> bytes:
        """What opens a tunnel to an origin."""
        to = origin.whole_authority
        return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (to, to, self._credentials)


class _Knock(asyncio.Protocol):
    """Asks for a tunnel, and hands nothing on before it is open."""

    def __init__(self, request: bytes, proxy: Proxy) -> None:
        self._request = request
        self._proxy = proxy
        self._data = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n") + 4
        if self.opened.done() or len(self._data) > HEAD_LIMIT:
            self._fail("answers with more than it was asked for")
        elif end >= 4:
            self._read(self._data[:end], self._data[end:])

    def _read(self, head: bytes, rest: bytes) -> None:
        try:
            status = parse_head(head, to_head=True).status
        except FramingError:
            self._fail("does not answer in HTTP")
            return
        if not 200 <= status < 300:
            self._fail(f"{_REFUSALS.get(status, 'refuses')} ({status})")
        elif rest:
            self._fail("answers with more than it was asked for")
        else:
            self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("closed the connection")

    def _fail(self, how: str) -> None:
        self._transport.abort()
        if not self.opened.done():
            self.opened.set_exception(UpstreamError("refused", f"the proxy {self._proxy.host}:{self._proxy.port} {how}"))


async def open_tunnel(proxy: Proxy, origin: Origin, factory: Callable[[], Connection]) -> tuple[asyncio.Transport, Connection]:
    """A transport that reaches the origin through the proxy, and the connection that it belongs to; TLS is not begun.

    Raises UpstreamError and OSError.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, knock = await loop.create_connection(lambda: _Knock(proxy.request(origin), proxy), proxy.host, proxy.port)
    except OSError as exc:
        raise UpstreamError("refused", f"no connection to the proxy {proxy.host}:{proxy.port}: {exc.strerror or exc}") from None
    try:
        await knock.opened
    except BaseException:
        transport.abort()
        raise
    connection = factory()
    transport.set_protocol(connection)
    return transport, connection
