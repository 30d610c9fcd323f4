"""Pools: the connections that channels share, kept for as long as any of them goes the same way."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.client.pool import Limits, Origin, Pool, Proxy


class Way(NamedTuple):
    """How connections are made; channels for which all of it is the same share a pool."""

    origin: Origin
    limits: Limits
    proxy: str | None = None
    """The URL of an HTTP proxy, with its password."""
    allow_private: bool = True


class Pools:
    """The pools of one process. One that no channel uses any more ends with its last exchange."""

    def __init__(self, settings: Settings, pulse: Pulse) -> None:
        self._settings = settings
        self._pulse = pulse
        self._pools: dict[Way, Pool] = {}
        self._left: list[Pool] = []

    def get(self, way: Way) -> Pool:
        """The pool of this way, made when it is first asked for. Raises ValueError."""
        pool = self._pools.get(way)
        if pool is None:
            tls = tls_context(self._settings) if way.origin.secure else None
            proxy = None if way.proxy is None else Proxy.of(way.proxy)
            pool = self._pools[way] = Pool(way.origin, way.limits, self._pulse, tls, proxy=proxy, allow_private=way.allow_private)
        return pool

    def keep(self, used: Iterable[Pool]) -> None:
        """Let go of all pools but these."""
        kept = set(map(id, used))
        for way, pool in list(self._pools.items()):
            if id(pool) not in kept:
                self._left.append(self._pools.pop(way))
                pool.close_idle()
        self._left = [pool for pool in self._left if pool.busy]

    def all(self) -> list[Pool]:
        """Every pool, those that were left and have exchanges still among them."""
        return [*self._pools.values(), *self._left]

    def close(self) -> None:
        """Close every connection."""
        for pool in self.all():
            pool.close()
        self._pools.clear()
        self._left.clear()


def limits_of(settings: Settings, timeouts: Mapping[str, float]) -> Limits:
    """The limits of the settings, with a channel's own timeouts."""
    limits = Limits(
        connect_s=settings.connect_s,
        first_byte_s=settings.first_byte_s,
        idle_s=settings.idle_s,
        total_s=settings.total_s,
        keep_alive_s=settings.upstream_keep_alive_s,
        head_bytes=settings.upstream_head_limit,
        connections=settings.upstream_connections,
    )
    own: dict[str, Any] = dict(timeouts)
    return limits._replace(**own)


def tls_context(settings: Settings) -> ssl.SSLContext:
    """TLS as clients should do it: certificates checked against the system's authorities, or those in `ca_file`. Raises ValueError."""
    return _context(settings.ca_file)


@cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    # Reading the authorities takes tens of milliseconds, and all channels trust the same ones.
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as failure:  # ssl.SSLError is one
        raise ValueError(f"ca_file: {ca_file} cannot be used: {failure.strerror or failure}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
