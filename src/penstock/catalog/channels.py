"""Channels from settings: one per provider whose credential is configured, or all of them with the client's own."""

from __future__ import annotations

import ssl

from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.channel import Channel
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.providers import PROVIDERS


def channels_from(settings: Settings, pulse: Pulse, demo_port: int | None) -> tuple[Channel, ...]:
    """The channels of this process, the preferred ones first.

    With nothing configured, OpenAI and Anthropic are reached with each client's own credential. The demo provider stands
    in for every provider that has no credential; beside real ones it serves only models whose names begin with `demo`.
    Raises ValueError for a base URL that is not one.
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
    demo_url = f"http://127.0.0.1:{demo_port}/v1"

    def add(name: str, provider: str, url: str, secret: str | None, models: tuple[str, ...] = ("*",)) -> None:
        origin = Channel.origin(url)
        pool = Pool(origin, limits, pulse, tls_context(settings) if origin.secure else None)
        channels.append(Channel(name, PROVIDERS[provider], url, pool, secret=secret, models=models))

    if demo_port is not None:
        add("demo", "demo", demo_url, "demo", ("demo*",))
    for name, url, secret in configured:
        if secret is not None:
            add(name, name, url, secret.get_secret_value())
        elif settings.transparent:
            add(name, name, url, None)
    if demo_port is not None:
        add("demo-else", "demo", demo_url, "demo")
    return tuple(channels)


def tls_context(settings: Settings) -> ssl.SSLContext:
    """TLS as clients should do it: certificates checked against the system's authorities, or those in `ca_file`."""
    context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    context.set_alpn_protocols(["http/1.1"])
    return context
