"""The roster: every model that can be asked for by name, who sells it, over which wires, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

import msgspec

from penstock.kit.globs import matches
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.channel import Channel
from penstock.upstream.demo.models import MODELS as DEMO_MODELS
from penstock.upstream.errands import ERRANDS
from penstock.upstream.names import Names
from penstock.upstream.offers import Offer

_KINDS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), frozenset(wires))
    for pattern, wires in (
        (r"embed|bge-|e5-|gte-", ("embeddings", "gemini_embed", "workers_embeddings")),
        (r"moderation|guard", ("moderations", "chat")),
        (r"dall-e|gpt-image|imagen|flux|stable-diffusion|sdxl", ("images", "workers_images", "replicate", "flux")),
        (r"whisper|transcribe", ("transcriptions",)),
        (r"\btts|-tts|speech", ("speech", "azure_speech")),
        (r"realtime", ("realtime",)),
        (r"davinci|babbage|-instruct$", ("completions", "chat")),
        (r"claude-[12]([.-]|$)|claude-instant", ("complete", "messages", "count_tokens")),
    )
)
"""What a model is for, by its name, where nobody says. Every other one talks."""
_TALK = frozenset(("chat", "responses", "messages", "count_tokens", "gemini", "gemini_count", "workers_chat"))
_LEAST = Offer("")


class Seller(NamedTuple):
    """Whose price a model has: the provider as prices know it, and the provider's name of the model."""

    provider: str
    served: str


class Listed(msgspec.Struct, frozen=True):
    """A model by its public name. `wires` are those that clients can ask for it on; `offer` what its first seller says of it."""

    model: str
    sellers: tuple[Seller, ...]
    wires: frozenset[str]
    offer: Offer
    owner: str


class Roster:
    """What a set of channels serves. `official` gives the models that the price data knows of a provider, for those that list none.

    Making it takes a millisecond for some hundred models; channels that serve the same are looked at once.
    """

    def __init__(self, channels: Iterable[Channel], rewrites: Mapping[str, str], official: Callable[[str], Iterable[str]]) -> None:
        self._rewrites = rewrites
        found: dict[str, Listed] = {}
        self._takers: dict[Seller, Names] = {}
        seen: set[tuple[object, ...]] = set()
        for channel in channels:
            if not channel.terms.listed:
                continue
            if not channel.names.exact:
                self._takers.setdefault(Seller(channel.provider.price_name, ""), channel.names)
            group = (id(channel.names), channel.provider.name, channel.wires, id(channel.offers))
            if group in seen:
                continue
            seen.add(group)
            for public, offer in _offered(channel, official):
                _add(found, public, channel, offer)
        for public, target in rewrites.items():
            if (listed := found.get(target)) is not None:
                found[public] = msgspec.structs.replace(listed, model=public)
        self.models: Mapping[str, Listed] = dict(sorted(found.items()))

    def sellers(self, model: str) -> tuple[Seller, ...]:
        """Who sells a model, first who is asked first; those that take any name sell one that nobody lists."""
        listed = self.models.get(model)
        if listed is not None:
            return listed.sellers
        name = self._rewrites.get(model, model)
        taken = ((seller.provider, names.served(name)) for seller, names in self._takers.items())
        return tuple(Seller(provider, served) for provider, served in taken if served is not None)


def _offered(channel: Channel, official: Callable[[str], Iterable[str]]) -> Iterator[tuple[str, Offer]]:
    """Public names, with what the provider says of the model."""
    offers = channel.offers
    for public, served in channel.names.exact.items():
        yield public, (offers or {}).get(served) or msgspec.structs.replace(_LEAST, name=served)
    if not channel.names.globs:
        return
    if offers is None:
        known: Iterable[str] = DEMO_MODELS if channel.provider.name == "demo" else official(channel.provider.price_name)
        offers = {name: msgspec.structs.replace(_LEAST, name=name, title=DEMO_MODELS.get(name, "")) for name in known}
    for name, offer in offers.items():
        if offer.wires == ():
            continue  # the provider has it, but nobody can ask for it here
        for glob, pattern in channel.names.globs:
            shown = name if pattern is None else _public(glob, pattern, name)
            if shown is not None and matches((glob,), shown):
                yield shown, offer
                break


def _public(glob: str, pattern: str, name: str) -> str | None:
    """The public name of a provider's model, where a glob is mapped to a pattern of the provider's."""
    begin, star, end = pattern.partition("*")
    if not star or len(name) < len(begin) + len(end) or not (name.startswith(begin) and name.endswith(end)):
        return None
    return glob.replace("*", name[len(begin) : len(name) - len(end)], 1)


def _add(found: dict[str, Listed], public: str, channel: Channel, offer: Offer) -> None:
    seller = Seller(channel.provider.price_name, offer.name)
    wires = reach(channel.wires, offer.wires if offer.wires is not None else _guessed(offer.name))
    before = found.get(public)
    if before is None:
        found[public] = Listed(public, (seller,), wires, offer, offer.owner or channel.provider.name)
    elif seller not in before.sellers or not wires <= before.wires:
        sellers = before.sellers if seller in before.sellers else (*before.sellers, seller)
        found[public] = msgspec.structs.replace(before, sellers=sellers, wires=before.wires | wires)


@cache
def _guessed(name: str) -> tuple[str, ...]:
    return tuple(next((wires for pattern, wires in _KINDS if pattern.search(name)), _TALK))


@cache
def reach(spoken: tuple[str, ...], served: tuple[str, ...]) -> frozenset[str]:
    """The wires that clients can use for a model which is served over some of those that a channel speaks."""
    direct = frozenset(spoken) & frozenset(served)
    over = (source for source, target in (*BRIDGES, *ERRANDS) if target in direct)
    return direct.union(over)
