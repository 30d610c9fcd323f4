"""Channels from settings: one per provider whose credential is configured, or the two best known with the client's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import SecretStr

from penstock.channels.pools import Pools, Way, limits_of
from penstock.settings import Settings
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.channel import Channel, Terms
from penstock.upstream.errands import ERRANDS
from penstock.upstream.names import EVERY, Names
from penstock.upstream.providers import PROVIDERS, Provider, workers_ai

SHARES = 840
"""What a weight of 1 counts: it can be divided among 1 to 8 credentials without a rest."""
BY_KEY = ("openai", "anthropic", "gemini", "openrouter", "deepseek", "mistral", "groq", "xai", "together", "fireworks")
"""Providers with a setting `NAME_api_key`, the preferred first. Some have one `NAME_base_url`, too."""
TRANSPARENT = ("openai", "anthropic")
"""Those that are reached with clients' own credentials when none is configured."""
DEMO_MODELS = Names([("demo*", None)])
WORKERS_MODELS = Names([("@cf/*", None), ("@hf/*", None)])
WORKERS = "workers-ai"
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Configured(NamedTuple):
    """A provider as the settings have it. `secret` None: without a credential of ours."""

    provider: Provider
    base_url: str
    secret: str | None
    names: Names = EVERY
    options: Mapping[str, Any] = NOTHING


def configured(settings: Settings) -> list[Configured]:
    """The real providers that the settings give access to."""
    found = []
    for name in BY_KEY:
        provider = PROVIDERS.get(name)
        if provider is None:
            continue
        given: SecretStr | None = getattr(settings, f"{name}_api_key")
        url = getattr(settings, f"{name}_base_url", None) or provider.base_url
        if given:
            found.append(Configured(provider, url, given.get_secret_value()))
        elif settings.transparent and name in TRANSPARENT:
            found.append(Configured(provider, url, None))
    if settings.cloudflare_api_token:
        url = workers_ai.base_url(settings.cloudflare_account_id, settings.cloudflare_base_url)
        options = {name: getattr(settings, name) for name in ("default_image_model", "default_image_size", "max_image_count")}
        token = settings.cloudflare_api_token.get_secret_value()
        found.append(Configured(PROVIDERS[WORKERS], url, token, WORKERS_MODELS, options))
    return found


def channels_from(settings: Settings, pools: Pools, demo_port: int | None) -> tuple[Channel, ...]:
    """The channels of the settings, the preferred ones first.

    With nothing configured, OpenAI and Anthropic are reached with each client's own credential. The demo provider stands
    in for every provider that has no credential; beside real ones it serves models whose names begin with `demo`, and the
    wires that no real one speaks. Raises ValueError for a base URL, a credential or a CA file that is not one.
    """
    limits = limits_of(settings, {})
    channels: list[Channel] = []

    def add(name: str, found: Configured, wires: tuple[str, ...] | None = None) -> None:
        pool = pools.get(Way(Channel.origin(found.base_url), limits))
        terms = Terms(
            priority=-len(channels), weight=SHARES, wires=wires, options=found.options, listed=wires is None,
            on_disconnect=settings.on_disconnect,
        )  # fmt: skip
        channels.append(Channel(name, found.provider, found.base_url, pool, secret=found.secret, names=found.names, terms=terms))

    real = configured(settings)
    demo = Configured(PROVIDERS["demo"], f"http://127.0.0.1:{demo_port}/v1", "demo")
    spoken = {wire for found in real if found.secret is not None for wire in found.provider.wires}
    if demo_port is not None:
        add("demo", demo._replace(names=DEMO_MODELS) if spoken else demo)
    for found in real:
        add(found.provider.name, found)
    unspoken = tuple(wire for wire in demo.provider.wires if wire not in spoken and not _is_bridged(wire, spoken))
    if demo_port is not None and spoken and unspoken:
        # Never a wire that a real provider can be asked on: when that fails, an answer that is made up must not take its place.
        add("demo-else", demo, wires=unspoken)
    return tuple(channels)


def _is_bridged(wire: str, spoken: Iterable[str]) -> bool:
    return any((wire, target) in BRIDGES or (wire, target) in ERRANDS for target in spoken)
