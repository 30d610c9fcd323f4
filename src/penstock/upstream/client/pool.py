"""Keep-alive connections to one origin: taken, given back, counted, timed out."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import NamedTuple

from penstock.infra.outbound import resolve
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.upstream.client.connection import Connection, UpstreamError
from penstock.upstream.client.dial import Dial, LookUp
from penstock.upstream.client.origin import Origin
from penstock.upstream.client.proxy import Proxy


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
    """The connections to one origin, through a proxy if there is one; into private networks only if these are allowed."""

    def __init__(  # noqa: PLR0913  what a connection depends on
        self,
        origin: Origin,
        limits: Limits,
        pulse: Pulse,
        tls: ssl.SSLContext | None = None,
        *,
        proxy: Proxy | None = None,
        allow_private: bool = True,
        look_up: LookUp = resolve,
    ) -> None:
        self.origin = origin
        self.limits = limits
        self.head_bytes = limits.head_bytes
        self.pulse = pulse
        if origin.secure and tls is None:
            raise ValueError("an https origin needs a TLS context")
        self.proxy, self.allow_private = proxy, allow_private
        self._dial = Dial(origin, tls if origin.secure else None, proxy, allow_private, look_up)
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._connecting = 0
        self._first_byte_ticks = pulse.ticks(limits.first_byte_s)
        self._idle_ticks = pulse.ticks(limits.idle_s)
        self._total_ticks = pulse.ticks(limits.total_s)
        self._keep_alive_ticks = pulse.ticks(limits.keep_alive_s)
        self._left = False
        """It is offered no more: what is idle is closed, and with the last connection its sweeps end."""
        self._swept = True
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
        if not self._swept:
            self._swept = True
            self.pulse.add(self.sweep)
        self._connecting += 1
        try:
            async with asyncio.timeout(self.limits.connect_s):
                connection = await self._dial.connect(lambda: Connection(self))
        except TimeoutError:
            raise UpstreamError("timeout", f"no connection to {self._where} within {self.limits.connect_s:g} s") from None
        except PenstockError as refused:
            raise UpstreamError("refused", refused.message, refusal=refused) from refused
        except ssl.SSLError as exc:
            raise UpstreamError("refused", f"TLS with {self._where} failed: {exc.reason or exc}") from None
        except OSError as exc:
            raise UpstreamError("refused", f"no connection to {self._where}: {exc.strerror or exc}") from None
        finally:
            self._connecting -= 1
        if connection.lost:
            raise UpstreamError("broken", f"{self.origin.host} closed the connection at once")
        self._all.add(connection)
        return connection

    @property
    def _where(self) -> str:
        proxy = self._dial.proxy
        return self.origin.host if proxy is None else f"{self.origin.host} through the proxy {proxy.host}:{proxy.port}"

    def give_back(self, connection: Connection) -> None:
        """Take a connection back whose answer is whole. One that is closing will be forgotten, and not be taken before that."""
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
        if self._left:
            self.close_idle()
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

    def close_idle(self) -> None:
        """Let go of it: it is offered no more. What is idle is closed now, what is busy when it has ended, and then nothing sweeps here."""
        self._left = True
        idle = list(self._idle)
        self._idle.clear()
        for connection in idle:
            connection.abort()
        if not self._all and not self._connecting:
            self._swept = False
            self.pulse.remove(self.sweep)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()
        self._all.clear()
        self._swept = False
        self.pulse.remove(self.sweep)


__all__ = ["Limits", "Origin", "Pool", "Proxy"]
