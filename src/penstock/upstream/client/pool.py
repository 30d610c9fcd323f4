"""Keep-alive connections to one origin: taken, given back, counted, timed out."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import NamedTuple
from urllib.parse import urlsplit

from penstock.kit.pulse import Pulse
from penstock.upstream.client.connection import Connection, UpstreamError


class Origin(NamedTuple):
    """Where connections go: scheme, host and port."""

    secure: bool
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a base URL. Raises ValueError for one that is not http(s) with a host, or is more than a base."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url!r}")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"a base URL has no user, query or fragment: {parts.scheme}://{parts.hostname}")
        parts.hostname.encode("idna")
        secure = parts.scheme == "https"
        return cls(secure, parts.hostname, parts.port or (443 if secure else 80))

    @property
    def authority(self) -> bytes:
        """The `host` header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.secure else 80
        return host.encode("idna" if not host.isascii() else "ascii") + (b"" if self.port == usual else b":%d" % self.port)


class Limits(NamedTuple):
    """Bounds of one pool, in seconds, bytes and connections."""

    connect_s: float = 10
    first_byte_s: float = 600
    idle_s: float = 300
    total_s: float = 3600
    keep_alive_s: float = 30
    head_bytes: int = 128 * 1024
    connections: int = 4096


class Pool:
    """The connections to one origin."""

    def __init__(self, origin: Origin, limits: Limits, pulse: Pulse, tls: ssl.SSLContext | None = None) -> None:
        self.origin = origin
        self.limits = limits
        self.pulse = pulse
        if origin.secure and tls is None:
            raise ValueError("an https origin needs a TLS context")
        self._tls = tls if origin.secure else None
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._connecting = 0
        self._first_byte_ticks = pulse.ticks(limits.first_byte_s)
        self._idle_ticks = pulse.ticks(limits.idle_s)
        self._total_ticks = pulse.ticks(limits.total_s)
        self._keep_alive_ticks = pulse.ticks(limits.keep_alive_s)
        pulse.add(self.sweep)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """Connections that serve a request, or are being made."""
        return len(self._all) - len(self._idle) + self._connecting

    def take(self) -> Connection | None:
        """An idle connection, the one used last, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
            self._all.discard(connection)
        return None

    async def connect(self) -> Connection:
        """A new connection. Raises UpstreamError: refused, timeout, or full."""
        if len(self._all) + self._connecting >= self.limits.connections:
            raise UpstreamError("full", f"all {self.limits.connections} connections to {self.origin.host} are in use")
        loop = asyncio.get_running_loop()
        self._connecting += 1
        try:
            async with asyncio.timeout(self.limits.connect_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(self),
                    self.origin.host,
                    self.origin.port,
                    ssl=self._tls,
                    server_hostname=self.origin.host if self._tls else None,
                )
        except TimeoutError:
            raise UpstreamError("timeout", f"no connection to {self.origin.host} within {self.limits.connect_s:g} s") from None
        except ssl.SSLError as exc:
            raise UpstreamError("refused", f"TLS with {self.origin.host} failed: {exc.reason or exc}") from None
        except OSError as exc:
            raise UpstreamError("refused", f"no connection to {self.origin.host}: {exc.strerror or exc}") from None
        finally:
            self._connecting -= 1
        if connection.lost:
            raise UpstreamError("broken", f"{self.origin.host} closed the connection at once")
        self._all.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Take a connection back whose answer is whole."""
        if connection.transport.is_closing():
            self._all.discard(connection)
        else:
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        self._all.discard(connection)
        if not connection.busy:
            try:
                self._idle.remove(connection)
            except ValueError:
                pass

    def sweep(self) -> None:
        """End what has timed out; called once per tick."""
        tick = self.pulse.tick
        while self._idle and tick - self._idle[0].stamp > self._keep_alive_ticks:
            old = self._idle.popleft()
            self._all.discard(old)
            old.transport.abort()
        late: list[tuple[Connection, str]] = []
        for connection in self._all:
            quiet = tick - connection.stamp
            if not connection.busy:
                if not connection.uses and quiet > self._keep_alive_ticks:
                    late.append((connection, "made, and never asked anything: whoever wanted it has gone"))
                continue
            if connection.tunnel is not None:
                continue
            if tick - connection.began_tick > self._total_ticks:
                late.append((connection, f"the answer took longer than {self.limits.total_s:g} s"))
            elif connection.loop_paused:
                continue
            elif connection.waiting:
                if quiet > self._first_byte_ticks:
                    late.append((connection, f"no answer within {self.limits.first_byte_s:g} s"))
            elif quiet > self._idle_ticks:
                late.append((connection, f"the provider was silent for {self.limits.idle_s:g} s in the middle of its answer"))
        for connection, why in late:
            connection.fail(UpstreamError("timeout", why))

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()
        self._all.clear()
