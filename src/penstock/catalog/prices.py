"""Prices: what usage of a model costs, in exact integers, and the lines that explain it.

A rate is an integer of nano-dollars per `Price.per` units. `per` is one million unless some rate of the price is finer
than that or does not divide (an hour has 3600 seconds): then it is the smallest multiple of one million that makes all
rates of the price integers, so that nothing is lost. A cost is the sum of quantity x rate, times the operator's
multiplier, divided by `per` and rounded once, half up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from math import gcd, lcm
from typing import Any, NamedTuple

import msgspec
from mypy_extensions import mypyc_attr

from penstock.kit.money import MAX_NANO, NANO_PER_DOLLAR, PER_MILLION
from penstock.upstream.usage import Usage

RATES: dict[str, tuple[str, ...]] = {
    "input_tokens": ("input_mtok",),
    "cache_read_tokens": ("cache_read_mtok", "input_mtok"),
    "cache_write_5m_tokens": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "cache_write_1h_tokens": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "output_tokens": ("output_mtok",),
    "reasoning_tokens": ("output_reasoning_mtok", "output_mtok"),
    "input_audio_tokens": ("input_audio_mtok", "input_mtok"),
    "cache_audio_read_tokens": ("cache_audio_read_mtok", "cache_read_mtok", "input_audio_mtok", "input_mtok"),
    "output_audio_tokens": ("output_audio_mtok", "output_mtok"),
    "input_image_tokens": ("input_image_mtok", "input_mtok"),
    "output_image_tokens": ("output_image_mtok", "output_mtok"),
    "images": ("images_count",),
    "characters": ("input_mchars",),
    "audio_seconds": ("audio_hours",),
    "web_searches": ("web_searches_kcount",),
    "calls": ("requests_kcount",),
}
"""For every quantity of `Usage` the rates it may be charged at: the first that the price has is used.

The names are those of genai-prices, `images_count` is ours. None of them there: the quantity costs nothing, and its line says so.
"""

UNITS = {"mtok": 1_000_000, "mchars": 1_000_000, "kcount": 1_000, "hours": 3_600, "count": 1}
"""How many units a rate is for, by the last word of its name (hours are counted in seconds)."""

STANDARD = "standard"
"""The name of the service tier that is charged when an answer names none, or one without rates of its own."""

_SAME_AS_STANDARD = (STANDARD, "default", "auto")
_QUICK_QUANTITY = 2**26
_QUICK_RATE = 2**21
_DIGEST_LENGTH = 16

COST_LIMIT_NANO = 10**15
"""No request costs more than a million dollars: a provider that says so is wrong, and sums of costs stay within 64 bits."""

Steps = tuple[tuple[int, Decimal], ...]
"""Dollars by context length: (tokens above which it holds, dollars), ascending. The first holds from the start, whatever its number."""

Card = Mapping[str, Steps]
"""The rates of one service tier, by name."""


@mypyc_attr(native_class=False)
class Line(msgspec.Struct, frozen=True):
    """One component of a cost: `quantity` x `rate_nano` / `per` x millionths of the multiplier, in whole nano-dollars (see `Price.lines`).

    `component` is a field of `Usage`; `rate` names the rate that was used (`input_mtok` for cached tokens means that the
    price has none for them), None if the price has none at all. `tier` is the service tier whose rates were used;
    `unpriced_tier` is the tier that served the answer when the price data has no rates for it. The rate is that for
    contexts of more than `above_tokens` tokens.
    """

    component: str
    quantity: int
    rate: str | None
    rate_nano: int
    per: int
    amount_nano: int
    tier: str
    unpriced_tier: str | None
    above_tokens: int
    multiplier_micro: int


@dataclass(frozen=True)
class Band:
    """The rates that hold for contexts of more than `above` tokens, in the order of `RATES`. `chat` holds the first five again."""

    above: int
    rates: tuple[int, ...]
    names: tuple[str | None, ...]
    chat: tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Price:
    """What one model costs from `effective_at_ms` to `expires_at_ms` (None: no dated change on that side).

    `bands` holds the rates by service tier, and within it by ascending context length, before the multiplier. `version` identifies
    them by a digest; equal rates of the same model have the same version, see `Catalog.recall`. `free`: the operator gives the
    model away on purpose. `quick` says that tokens of text can be added up without looking at anything else. A sum of quantity
    x rate becomes a cost as (sum x `up` + `half`) // `whole`.
    """

    version: str
    per: int
    bands: Mapping[str | None, tuple[Band, ...]]
    standard: tuple[Band, ...]
    multiplier_micro: int
    free: bool
    quick: bool
    up: int
    half: int
    whole: int
    effective_at_ms: int | None = None
    expires_at_ms: int | None = None

    def times(self, multiplier_micro: int) -> Price:
        """The same rates, multiplied by this instead of what they were multiplied by. Raises ValueError for a negative one."""
        if multiplier_micro == self.multiplier_micro:
            return self
        return _assemble(
            self.version, self.per, self.tiers(), _About(multiplier_micro, self.free, self.effective_at_ms, self.expires_at_ms)
        )

    def during(self, other: Price) -> Price:
        """The same price for the time of another."""
        return replace(self, effective_at_ms=other.effective_at_ms, expires_at_ms=other.expires_at_ms)

    def tiers(self) -> dict[str, tuple[Band, ...]]:
        """The bands by service tier, each under its own name only."""
        return {tier: bands for tier, bands in self.bands.items() if tier == STANDARD or (tier and bands is not self.standard)}

    def cost(self, usage: Usage) -> int:
        """The cost in nano-dollars. Never raises, never negative, at most `COST_LIMIT_NANO`.

        Negative quantities count as none, quantities beyond 64 bits as the largest that fits.
        """
        plain = usage.input_tokens
        read = usage.cache_read_tokens
        brief = usage.cache_write_5m_tokens
        long = usage.cache_write_1h_tokens
        output = usage.output_tokens
        rare = (
            usage.input_audio_tokens
            | usage.cache_audio_read_tokens
            | usage.output_audio_tokens
            | usage.input_image_tokens
            | usage.output_image_tokens
            | usage.images
            | usage.characters
            | usage.audio_seconds
            | usage.web_searches
        )
        # The bits of a negative or huge number show in the disjunction of them all: one comparison checks five.
        if rare or not self.quick or not 0 <= (plain | read | brief | long | output) < _QUICK_QUANTITY:
            return self._whole_cost(usage)
        bands = self.bands.get(usage.service_tier, self.standard)
        band = bands[0] if len(bands) == 1 else _band(bands, plain + read + brief + long)
        plain_rate, read_rate, brief_rate, long_rate, output_rate = band.chat
        numerator = plain * plain_rate + read * read_rate + brief * brief_rate + long * long_rate + output * output_rate
        return (numerator * self.up + self.half) // self.whole

    def at_most(self, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens of text cost without cache or tiers, in nano-dollars: to hold funds before the usage is known."""
        input_rate, _, _, _, output_rate = self.standard[0].chat
        return min((input_tokens * input_rate + output_tokens * output_rate) * self.up // self.whole + 1, COST_LIMIT_NANO)

    def lines(self, usage: Usage) -> list[Line]:
        """The cost explained: one line per quantity that is not zero (`calls` only if they have a rate).

        Each amount is what the running total grows by when the line is added, the total being rounded half up. So the
        sum of the lines is the cost, and each is its exact amount rounded up or down. Reasoning is a line of its own,
        not contained in that of `output_tokens`.
        """
        band, quantities = self._measure(usage)
        unpriced = None if usage.service_tier in self.bands else usage.service_tier
        tier = STANDARD if unpriced is not None or usage.service_tier in _SAME_AS_STANDARD else usage.service_tier or STANDARD
        found: list[Line] = []
        numerator = total = 0
        for component, quantity, rate, name in zip(RATES, quantities, band.rates, band.names, strict=True):
            if not quantity or (component == "calls" and name is None):
                continue
            numerator += quantity * rate
            before, total = total, self._rounded(numerator)
            amount_nano, above = total - before, max(band.above, 0)
            found.append(Line(component, quantity, name, rate, self.per, amount_nano, tier, unpriced, above, self.multiplier_micro))
        return found

    def _whole_cost(self, usage: Usage) -> int:
        band, quantities = self._measure(usage)
        return self._rounded(sum(quantity * rate for quantity, rate in zip(quantities, band.rates, strict=True)))

    def _rounded(self, numerator: int) -> int:
        return min((numerator * self.up + self.half) // self.whole, COST_LIMIT_NANO)

    def _measure(self, usage: Usage) -> tuple[Band, list[int]]:
        """The band that applies, and the quantities in the order of `RATES`, within bounds and none inside another."""
        bounded = Usage(**{name: min(max(getattr(usage, name), 0), MAX_NANO) for name in RATES})
        bounded.reasoning_tokens = min(bounded.reasoning_tokens, bounded.output_tokens)
        bands = self.bands.get(usage.service_tier, self.standard)
        band = _band(bands, bounded.context_tokens())
        bounded.output_tokens -= bounded.reasoning_tokens
        return band, [getattr(bounded, name) for name in RATES]


def build_price(name: str, cards: Mapping[str, Card], effective_at_ms: int | None = None, expires_at_ms: int | None = None) -> Price:
    """A price from dollars: one card per service tier, of which `STANDARD` must be there. Its version is the name and a digest."""
    dollars = {tier: _exact_bands(card) for tier, card in cards.items()}
    per = lcm(PER_MILLION, *(rate.denominator for bands in dollars.values() for _, rates, _ in bands for rate in rates))
    tiers = {tier: tuple(_band_of(above, rates, names, per) for above, rates, names in bands) for tier, bands in dollars.items()}
    return _assemble(f"{name} {_digest(per, tiers)}", per, tiers, _About(PER_MILLION, False, effective_at_ms, expires_at_ms))


def free_price(name: str, effective_at_ms: int | None = None) -> Price:
    """The price of a model that the operator gives away: every quantity at a rate of zero."""
    zero = build_price(name, {STANDARD: flat(**dict.fromkeys((chain[-1] for chain in RATES.values()), "0"))}, effective_at_ms)
    return replace(zero, free=True)


def pack(price: Price) -> dict[str, Any]:
    """A price without its multiplier as JSON, exact: `unpack` makes an equal one of it, whatever names of rates come later."""
    return {
        "per": price.per,
        "free": price.free,
        "effective_at_ms": price.effective_at_ms,
        "expires_at_ms": price.expires_at_ms,
        "tiers": _packed(price.tiers()),
    }


def unpack(version: str, packed: Mapping[str, Any]) -> Price:
    """The price of this version, of what `pack` has made."""
    tiers = {tier: tuple(map(_unpacked, bands)) for tier, bands in packed["tiers"].items()}
    about = _About(PER_MILLION, packed["free"], packed["effective_at_ms"], packed["expires_at_ms"])
    return _assemble(version, packed["per"], tiers, about)


def flat(**dollars: str) -> Card:
    """A card without context lengths, of decimal strings."""
    return {name: ((-1, Decimal(text)),) for name, text in dollars.items()}


class _About(NamedTuple):
    multiplier_micro: int
    free: bool
    effective_at_ms: int | None
    expires_at_ms: int | None


def _assemble(version: str, per: int, tiers: Mapping[str, tuple[Band, ...]], about: _About) -> Price:
    if about.multiplier_micro < 0:
        raise ValueError("a multiplier is not negative")
    standard = tiers[STANDARD]
    bands: dict[str | None, tuple[Band, ...]] = {None: standard, **dict.fromkeys(_SAME_AS_STANDARD, standard)}
    bands.update(tiers)
    shared = gcd(about.multiplier_micro, PER_MILLION)
    up, half = 2 * about.multiplier_micro // shared, per * (PER_MILLION // shared)
    quick = all(_quick(band, up, half) for every in tiers.values() for band in every)
    return Price(
        version,
        per,
        bands,
        standard,
        about.multiplier_micro,
        about.free,
        quick,
        up,
        half,
        2 * half,
        about.effective_at_ms,
        about.expires_at_ms,
    )


def _digest(per: int, tiers: Mapping[str, tuple[Band, ...]]) -> str:
    canonical = json.dumps([per, _packed(tiers)], sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()[:_DIGEST_LENGTH]


def _packed(tiers: Mapping[str, tuple[Band, ...]]) -> dict[str, list[dict[str, Any]]]:
    return {
        tier: [{"above": band.above, "rates": dict(zip(RATES, zip(band.names, band.rates, strict=True), strict=True))} for band in bands]
        for tier, bands in tiers.items()
    }


def _unpacked(packed: Mapping[str, Any]) -> Band:
    names, rates = zip(*(packed["rates"].get(component, (None, 0)) for component in RATES), strict=True)
    return Band(packed["above"], rates, names, rates[:5])


def _exact_bands(card: Card) -> list[tuple[int, list[Fraction], list[str | None]]]:
    """Cut at every context length that some rate changes at: (above, nano-dollars per unit, names of the rates)."""
    cuts = sorted({above for steps in card.values() for above, _ in steps[1:]})
    names = [next((name for name in chain if name in card), None) for chain in RATES.values()]
    return [(above, [_nano_per_unit(card, name, above) for name in names], names) for above in (-1, *cuts)]


def _nano_per_unit(card: Card, name: str | None, above: int) -> Fraction:
    if name is None:
        return Fraction(0)
    (_, dollars), *later = card[name]
    for start, stepped in later:
        if start <= above:
            dollars = stepped
    return Fraction(dollars) * NANO_PER_DOLLAR / UNITS[name.rpartition("_")[2]]


def _band_of(above: int, nano_per_unit: Iterable[Fraction], names: Iterable[str | None], per: int) -> Band:
    rates = tuple(int(rate * per) for rate in nano_per_unit)
    return Band(above, rates, tuple(names), (rates[0], rates[1], rates[2], rates[3], rates[4]))


def _quick(band: Band, up: int, half: int) -> bool:
    """Whether five quantities below `_QUICK_QUANTITY` cannot pass `COST_LIMIT_NANO`, reasoning is plain output and calls are free."""
    rate = dict(zip(RATES, band.rates, strict=True))
    return rate["reasoning_tokens"] == rate["output_tokens"] and not rate["calls"] and max(band.chat) * up <= 2 * _QUICK_RATE * half


def _band(bands: tuple[Band, ...], context_tokens: int) -> Band:
    """The last band that begins below the context: it holds for the whole request, not only for what is above."""
    for band in reversed(bands):
        if context_tokens > band.above:
            return band
    return bands[0]
