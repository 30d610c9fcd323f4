"""Channels from settings: one per provider whose credential is configured, or all of them with the client's own."""

from __future__ import annotations

import ssl
from dataclasses import replace
from functools import cache
from pathlib import Path

from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.channel import Channel
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.providers import PROVIDERS, Provider


def channels_from(settings: Settings, pulse: Pulse, demo_port: int | None) -> tuple[Channel, ...]:
    """The channels of this process, the preferred ones first.

    With nothing configured, OpenAI and Anthropic are reached with each client's own credential. The demo provider stands
    in for every provider that has no credential; beside real ones it serves models whose names begin with `demo`, and the
    wires that no real one speaks. Raises ValueError for a base URL, a credential or a CA file that is not one.
    """
    limits = Limits(
        connect_s=settings.connect_s,
        first_byte_s=settings.first_byte_s,
        idle_s=settings.idle_s,
        total_s=settings.total_s,
        keep_alive_s=settings.upstream_keep_alive_s,
        head_bytes=settings.upstream_head_limit,
        connections=settings.upstream_connections,
    )
    configured = (
        ("openai", settings.openai_base_url, settings.openai_api_key),
        ("anthropic", settings.anthropic_base_url, settings.anthropic_api_key),
    )
    channels: list[Channel] = []

    def add(name: str, provider: Provider, url: str, secret: str | None, models: tuple[str, ...] = ("*",)) -> None:
        origin = Channel.origin(url)
        pool = Pool(origin, limits, pulse, tls_context(settings) if origin.secure else None)
        channel = Channel(name, provider, url, pool, secret=secret, models=models)
        channel.on_disconnect = settings.on_disconnect
        channels.append(channel)

    demo, demo_url = PROVIDERS["demo"], f"http://127.0.0.1:{demo_port}/v1"
    spoken = frozenset[str]().union(*(PROVIDERS[name].wires for name, _, secret in configured if secret))
    if demo_port is not None:
        add("demo", demo, demo_url, "demo", ("demo*",) if spoken else ("*",))
    for name, url, secret in configured:
        if secret:
            add(name, PROVIDERS[name], url, secret.get_secret_value())
        elif settings.transparent:
            add(name, PROVIDERS[name], url, None)
    if demo_port is not None and spoken and (unspoken := demo.wires - spoken):
        # Never a wire that a real provider speaks: when that fails, an answer that is made up must not take its place.
        add("demo-else", replace(demo, wires=unspoken), demo_url, "demo")
    return tuple(channels)


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
