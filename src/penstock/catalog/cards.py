"""Cards of rates as people write and read them: dollars in exact decimal text, by service tier and name of the rate.

    {"standard": {"input_mtok": "2.5", "output_mtok": [{"above_tokens": 0, "dollars": "10"}, {"above_tokens": 200000, "dollars": "15"}]}}

A rate is a text, or a list of steps by context length: above so many tokens that were read, all is charged at that step. Names
are those of `prices.RATES`; what one is for is said by its last word: a million tokens or characters, a thousand, an hour, one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from penstock.catalog.prices import RATES, STANDARD, UNITS, Card, Price, Steps
from penstock.kit.errors import PenstockError
from penstock.kit.money import NANO_PER_DOLLAR, PER_MILLION

NAMES = tuple(sorted({name for chain in RATES.values() for name in chain}))
"""Every name that a rate can have."""

TIERS_LIMIT = 16
STEPS_LIMIT = 16
TOKENS_LIMIT = 1_000_000_000
_DOLLARS = re.compile(r"\d{1,9}(\.\d{1,15})?", re.ASCII)
_TIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
_MEAN_STANDARD = ("default", "auto")

Written = str | list[dict[str, Any]]
"""A rate as it is written: one text, or steps."""


def read_cards(written: Mapping[str, Any]) -> dict[str, Card]:
    """The cards by service tier. Raises PenstockError `invalid_request` that names what is wrong."""
    if STANDARD not in written:
        raise _wrong("rates", f"Give the rates of the service tier '{STANDARD}'.")
    if len(written) > TIERS_LIMIT:
        raise _wrong("rates", f"There can be {TIERS_LIMIT} service tiers at most.")
    return {tier: _read_card(tier, card) for tier, card in written.items()}


def write_cards(price: Price) -> dict[str, dict[str, Written]]:
    """The rates of a price as they are written, multiplied; rates that nothing is charged at are left out."""
    times = Fraction(price.multiplier_micro, PER_MILLION * price.per)
    return {
        tier: {
            name: _write_steps([(max(band.above, 0), as_dollars(rate * times, name)) for band, rate in steps])
            for name, steps in _by_name(bands)
        }
        for tier, bands in price.tiers().items()
    }


def as_dollars(nano_per_unit: Fraction, name: str) -> str:
    """A rate in dollars for as many units as its name says, in exact decimal text. Raises ValueError where it has no end."""
    dollars = nano_per_unit * UNITS[name.rpartition("_")[2]] / NANO_PER_DOLLAR
    twos, rest = _divide_out(dollars.denominator, 2)
    fives, rest = _divide_out(rest, 5)
    if rest != 1:
        raise ValueError(f"{dollars} has no end as a decimal")
    places = max(twos, fives)
    digits = f"{dollars.numerator * 10**places // dollars.denominator:0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def _divide_out(number: int, prime: int) -> tuple[int, int]:
    times = 0
    while number % prime == 0:
        number, times = number // prime, times + 1
    return times, number


def _by_name(bands: Any) -> Iterator[tuple[str, list[tuple[Any, int]]]]:
    places = {name: place for place, name in reversed(list(enumerate(bands[0].names))) if name is not None}
    for name in sorted(places):
        yield name, [(band, band.rates[places[name]]) for band in bands]


def _write_steps(steps: list[tuple[int, str]]) -> Written:
    kept = [step for place, step in enumerate(steps) if not place or step[1] != steps[place - 1][1]]
    return kept[0][1] if len(kept) == 1 else [{"above_tokens": above, "dollars": dollars} for above, dollars in kept]


def _read_card(tier: str, written: Any) -> Card:
    where = f"rates.{tier}"
    if not _TIER.fullmatch(tier) or tier in _MEAN_STANDARD:
        raise _wrong("rates", f"'{tier[:40]}' is not the name of a service tier; '{STANDARD}' is that of what names none.")
    if not isinstance(written, Mapping) or not written:
        raise _wrong(where, "Give at least one rate, by its name.")
    unknown = next((name for name in written if name not in NAMES), None)
    if unknown is not None:
        raise _wrong(where, f"There is no rate '{str(unknown)[:40]}'; there are {', '.join(NAMES)}.")
    return {name: _read_steps(f"{where}.{name}", rate) for name, rate in written.items()}


def _read_steps(where: str, written: Any) -> Steps:
    if not isinstance(written, list):
        return ((-1, _read_dollars(where, written)),)
    if not 1 <= len(written) <= STEPS_LIMIT or not all(
        isinstance(step, Mapping) and step.keys() == {"above_tokens", "dollars"} for step in written
    ):
        raise _wrong(where, f"A rate by context length is a list of 1 to {STEPS_LIMIT} steps, each with above_tokens and dollars.")
    bounds = [step["above_tokens"] for step in written]
    if not all(type(bound) is int and bound <= TOKENS_LIMIT for bound in bounds) or bounds[0] != 0 or sorted(set(bounds)) != bounds:
        raise _wrong(where, "The steps' above_tokens are whole numbers that begin with 0 and ascend.")
    return tuple((bound or -1, _read_dollars(where, step["dollars"])) for bound, step in zip(bounds, written, strict=True))


def _read_dollars(where: str, written: Any) -> Decimal:
    if not isinstance(written, str) or not _DOLLARS.fullmatch(written):
        raise _wrong(where, 'Write dollars as decimal text, such as "2.5": up to 9 digits before the point and 15 after it.')
    return Decimal(written)


def _wrong(param: str, message: str) -> PenstockError:
    return PenstockError("invalid_request", message, param=param)
