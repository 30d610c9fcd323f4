"""The public list of prices: which models can be asked for here, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from penstock.catalog.cards import write_cards
from penstock.catalog.prices import Price
from penstock.catalog.snapshot import DEMO_PROVIDER, Snapshot, is_glob
from penstock.kit.money import PER_MILLION, round_half_up


class Entry(msgspec.Struct, frozen=True):
    """One model: its public name, and its rates in dollars, multiplied. `free`: the operator gives it away."""

    model: str
    provider: str
    free: bool
    multiplier_micro: int
    rates: dict[str, dict[str, Any]]
    """By service tier and name, see `cards`."""
    context_tokens: int | None


class Listing(NamedTuple):
    """All entries, by model, and the time between the changes of price around it, in milliseconds, None for none."""

    entries: tuple[Entry, ...]
    since_ms: int | None
    until_ms: int | None


class Sold(Protocol):
    """What there is to be had: see `channels.roster`."""

    @property
    def models(self) -> Mapping[str, object]:
        """By public name."""

    def sellers(self, model: str) -> Sequence[tuple[str, str]]:
        """Whose it is: providers, and their names of the model, who is asked first before the others."""


def list_models(sold: Sold, snapshot: Snapshot, tier_micro: int, at_ms: int) -> Listing:
    """What is served and priced at a time, multiplied by the models' multipliers and a membership's. Takes tens of milliseconds."""
    entries: list[Entry] = []
    prices: list[Price] = []
    named = {name for name in (*snapshot.named, *snapshot.multipliers) if not is_glob(name)}
    for public in sorted(named.union(sold.models)):
        for provider, served in sold.sellers(public):
            price = snapshot.find(provider, served, at_ms).price
            if price is not None:
                price = price.times(round_half_up(snapshot.multiplier(public) * tier_micro, PER_MILLION))
                rates = {} if price.free else write_cards(price)
                entries.append(Entry(public, provider, price.free, price.multiplier_micro, rates, _context(provider, served)))
                prices.append(price)
                break
    since = max((price.effective_at_ms for price in prices if price.effective_at_ms is not None), default=None)
    until = min((price.expires_at_ms for price in prices if price.expires_at_ms is not None), default=None)
    return Listing(tuple(entries), since, until)


def official_models(provider: str) -> list[str]:
    """The models that the price data has of a provider, by names that requests may use."""
    from penstock.catalog import official  # noqa: PLC0415  slow, and not needed by whoever only has a demo

    return [name for name in official.listed(provider) if not name.endswith("-")]  # those only begin the names of models


def _context(provider: str, model: str) -> int | None:
    if provider == DEMO_PROVIDER:
        return None
    from penstock.catalog import official  # noqa: PLC0415  as above

    return official.context_tokens(provider, model)
