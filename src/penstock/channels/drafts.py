"""Drafts: what a channel is to be, as it is asked for, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from penstock.infra.outbound import is_private_host
from penstock.kit.errors import PenstockError
from penstock.kit.money import PER_MILLION
from penstock.upstream.client.origin import Origin
from penstock.upstream.client.proxy import Proxy
from penstock.upstream.providers import PROVIDERS, Provider
from penstock.upstream.wires import WIRES

MODELS_LIMIT = 5000
MODEL_LIMIT = 256
NAME_LIMIT = 100
URL_LIMIT = 2000
WEIGHT_LIMIT = 1000
PRIORITY_LIMIT = 1000
HEADERS_LIMIT = 50
VALUE_LIMIT = 4096
NUMBER_LIMIT = 2**53
TAGS_LIMIT = 50
SECRET_LIMIT = 8192
TIMEOUTS = {"connect_s": 300.0, "first_byte_s": 86_400.0, "idle_s": 86_400.0, "total_s": 86_400.0}
"""The most that each may be."""
COST_LIMIT_MICRO = 1000 * PER_MILLION
ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings", "/models")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9])?")
_TAG = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_OURS = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "content-type",
     "content-encoding", "accept-encoding", "host", "expect")
)  # fmt: skip
"""Headers that frame a message or belong to one connection."""
_CREDENTIALS = frozenset(("authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"))


@dataclass(frozen=True, slots=True)
class Draft:
    """What a channel is to be. `models` are pairs of a public name or glob and the provider's name, None where it is the same.

    `allow_private` and `discover` None: as suits the provider and the models.
    """

    name: str
    provider: str
    base_url: str = ""
    """Empty: the provider's own."""
    models: Sequence[tuple[str, str | None]] = (("*", None),)
    wires: Sequence[str] | None = None
    priority: int = 0
    weight: int = 1
    proxy: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    on_disconnect: str | None = None
    tags: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    cost_micro: int = PER_MILLION
    allow_private: bool | None = None
    enabled: bool = True
    discover: bool | None = None


def wrong(message: str, param: str) -> PenstockError:
    """The refusal of a field."""
    return PenstockError("invalid_request", message, param=param)


def provider_of(name: str) -> Provider:
    """The provider of this name. Raises PenstockError."""
    provider = PROVIDERS.get(name)
    if provider is None:
        raise wrong(f"There is no provider '{name[:100]}'. There are: {', '.join(sorted(PROVIDERS))}.", "provider")
    return provider


def check_draft(draft: Draft) -> Provider:
    """The provider of a draft that can be. Raises PenstockError `invalid_request` or `private_address`, with the field it is about."""
    if len(draft.name) > NAME_LIMIT or not _NAME.fullmatch(draft.name):
        raise wrong(f"A name has at most {NAME_LIMIT} letters, digits, blanks and . _ - between letters and digits.", "name")
    provider = provider_of(draft.provider)
    check_base_url(settled_url(draft, provider), provider, allow_private=allows_private(draft, provider))
    _check_models(draft.models)
    _check_wires(draft.wires, provider)
    _check_numbers(draft)
    if draft.proxy is not None:
        check_proxy(draft.proxy)
    check_headers(draft.headers)
    if draft.on_disconnect not in (None, "cancel", "drain"):
        raise wrong("on_disconnect is `cancel`, `drain` or null.", "on_disconnect")
    if len(draft.tags) > TAGS_LIMIT or not all(_TAG.fullmatch(tag) for tag in draft.tags):
        raise wrong(f"There are at most {TAGS_LIMIT} tags, each of up to 64 letters, digits and . _ : -", "tags")
    _check_options(draft.options, provider)
    return provider


def settled_url(draft: Draft, provider: Provider) -> str:
    """The base URL of a draft, or its provider's own. One that needs no version is taken with it, too."""
    url = draft.base_url.strip() or provider.base_url
    if not provider.base_has_version:
        url = url.rstrip("/").removesuffix("/v1")
    return url


def allows_private(draft: Draft, provider: Provider) -> bool:
    """Whether it may be in a private network: as the draft says, or if its provider usually is."""
    return provider.local if draft.allow_private is None else draft.allow_private


def discovers(draft: Draft) -> bool:
    """Whether its provider is asked what models it has: as the draft says, or if a glob stands for them."""
    if draft.discover is not None:
        return draft.discover
    return any("*" in public or "?" in public for public, _ in draft.models)


def check_base_url(url: str, provider: Provider, *, allow_private: bool) -> None:
    """Raises PenstockError for what is no base URL, or leads into a private network without leave."""
    if not url:
        raise wrong(f"Channels of {provider.title or provider.name} need a base URL: there is no usual one.", "base_url")
    if len(url) > URL_LIMIT or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong(f"A base URL has at most {URL_LIMIT} printable characters of ASCII and no blanks.", "base_url")
    parts = _split(url)
    if parts is None or not _HOST.fullmatch(parts.hostname or ""):
        raise wrong("It must be a URL such as https://api.example.com/v1.", "base_url")
    if "?" in url or "#" in url or "@" in parts.netloc:
        raise wrong("A base URL has no user, query or fragment. A credential belongs to `credentials`.", "base_url")
    path = parts.path.rstrip("/")
    for endpoint in ENDPOINTS:
        if path.endswith(endpoint):
            raise wrong(f"A base URL ends before the path of a call: leave `{endpoint}` out.", "base_url")
    if not allow_private and is_private_host(parts.hostname or ""):
        raise PenstockError(
            "private_address",
            f"{parts.hostname} is in a private network. If that is meant, set allow_private for this channel (--allow-private).",
            param="base_url",
        )


def check_proxy(url: str) -> None:
    """Raises PenstockError for what is no HTTP proxy, such as http://user:password@proxy.example.com:3128."""
    if len(url) > URL_LIMIT or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong(f"A proxy's URL has at most {URL_LIMIT} printable characters of ASCII and no blanks.", "proxy")
    try:
        found = Proxy.of(url)
    except ValueError as refused:
        raise wrong(f"{str(refused).capitalize()}. It is asked to CONNECT.", "proxy") from None
    if not _HOST.fullmatch(found.host) or _split(url) is None:
        raise wrong("The proxy's host or port cannot be one.", "proxy")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises PenstockError for headers that cannot be sent, or are not for a channel to set."""
    if len(headers) > HEADERS_LIMIT:
        raise wrong(f"There are at most {HEADERS_LIMIT} headers.", "headers")
    if len({name.lower() for name in headers}) != len(headers):
        raise wrong("Each header is given once; small and capital letters are the same.", "headers")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise wrong(f"'{name[:100]}' is no name of a header.", "headers")
        if name.lower() in _OURS:
            raise wrong(f"The header '{name}' belongs to the connection or the body; a channel cannot set it.", "headers")
        if name.lower() in _CREDENTIALS:
            raise wrong(f"The header '{name}' carries a credential: set it as the channel's credential.", "headers")
        if len(value) > VALUE_LIMIT or not _VALUE.fullmatch(value):
            raise wrong(f"The value of '{name}' is empty, begins or ends with a blank, or is not printable ASCII.", "headers")


def check_secret(provider: Provider, secret: str) -> str:
    """The secret without blanks around it. Raises PenstockError for one that cannot be sent."""
    secret = secret.strip()
    if len(secret) > SECRET_LIMIT:
        raise wrong(f"A secret has at most {SECRET_LIMIT} characters.", "secret")
    try:
        provider.credential(secret)
    except ValueError as refused:
        raise wrong(f"The secret cannot be used: {refused}.", "secret") from None
    return secret


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None where there is nothing to connect to."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            return None
        Origin.of(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    except ValueError:
        return None
    return parts


def _check_models(models: Sequence[tuple[str, str | None]]) -> None:
    if not 1 <= len(models) <= MODELS_LIMIT:
        raise wrong(f"A channel has 1 to {MODELS_LIMIT} models; `*` stands for all.", "models")
    if len({public for public, _ in models}) != len(models):
        raise wrong("Each model is given once.", "models")
    for pair in models:
        for name in pair:
            if name is not None and (not 1 <= len(name) <= MODEL_LIMIT or not name.isprintable() or name.strip() != name):
                raise wrong(f"A model's name has 1 to {MODEL_LIMIT} printable characters and no blanks around it.", "models")
        public, served = pair
        if served is not None and ("?" in served or served.count("*") > public.count("*") or ("*" in served and public.count("*") != 1)):
            raise wrong(f"'{served}' can have a * only where '{public}' has exactly one: it stands for the same.", "models")


def _check_wires(wires: Sequence[str] | None, provider: Provider) -> None:
    if wires is None:
        return
    unknown = [wire for wire in wires if wire not in WIRES and wire not in provider.wires]
    if unknown:
        raise wrong(f"There is no wire '{unknown[0][:100]}'. There are: {', '.join(sorted({*WIRES, *provider.wires}))}.", "wires")
    if not wires or len(set(wires)) != len(wires):
        raise wrong("Wires are given once each, at least one, or null for those of the provider.", "wires")


def _check_numbers(draft: Draft) -> None:
    if not 0 <= draft.weight <= WEIGHT_LIMIT:
        raise wrong(f"A weight is 0 to {WEIGHT_LIMIT}.", "weight")
    if not -PRIORITY_LIMIT <= draft.priority <= PRIORITY_LIMIT:
        raise wrong(f"A priority is -{PRIORITY_LIMIT} to {PRIORITY_LIMIT}.", "priority")
    if not 0 <= draft.cost_micro <= COST_LIMIT_MICRO:
        raise wrong(f"cost_micro is 0 to {COST_LIMIT_MICRO}.", "cost_micro")
    for name, limit_s in draft.timeouts.items():
        most_s = TIMEOUTS.get(name)
        if most_s is None:
            raise wrong(f"There is no timeout '{name[:100]}'. There are: {', '.join(TIMEOUTS)}.", "timeouts")
        if not 0.01 <= limit_s <= most_s:
            raise wrong(f"The timeout {name} is 0.01 to {most_s:g} seconds.", "timeouts")


def _check_options(options: Mapping[str, Any], provider: Provider) -> None:
    for name, value in options.items():
        if name not in provider.options:
            known = ", ".join(provider.options) or "none"
            raise wrong(f"{provider.title or provider.name} has no option '{name[:100]}'. It has: {known}.", "options")
        if isinstance(value, str):
            well = value.isprintable() and len(value) <= VALUE_LIMIT
        else:
            well = isinstance(value, int | float) and -NUMBER_LIMIT <= value <= NUMBER_LIMIT
        if not well:
            raise wrong(f"The option '{name}' is a text of one line, a number, or true or false.", "options")
