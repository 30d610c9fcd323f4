"""Jumps: whether a new price is so far from another that somebody should look at it first."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from penstock.catalog.cards import as_dollars
from penstock.catalog.prices import RATES, Band, Price


class Jump(NamedTuple):
    """The first rate that jumps: its name, the service tier, the context length above which it holds, and dollars before and after.

    Where a price has only a more general rate for what this one is for, that is meant.
    """

    rate: str
    tier: str
    above_tokens: int
    before: str
    after: str

    def __str__(self) -> str:
        where = f"{self.tier}, above {self.above_tokens:,} tokens" if self.above_tokens else self.tier
        return f"{self.rate} ({where}) from {self.before} to {self.after} dollars"


def find_jump(before: Price, after: Price, factor: int) -> Jump | None:
    """The first rate that grows or shrinks more than `factor`-fold, or becomes or was nothing. None if there is none.

    Multipliers do not count. A service tier that one of the two does not know is compared with the standard rates, which are
    what it is charged at there.
    """
    for tier, above, old, new in _pairs(before, after):
        for component, old_rate, new_rate in zip(RATES, old.rates, new.rates, strict=True):
            was, will = Fraction(old_rate, before.per), Fraction(new_rate, after.per)
            if was == will or (was and will and was <= will * factor and will <= was * factor):
                continue
            name = RATES[component][0]
            return Jump(name, tier, above, as_dollars(was, name), as_dollars(will, name))
    return None


def _pairs(before: Price, after: Price) -> Iterator[tuple[str, int, Band, Band]]:
    """The bands of both at every context length at which one of them changes, by service tier."""
    for tier in dict.fromkeys((*after.tiers(), *before.tiers())):
        old, new = before.bands.get(tier, before.standard), after.bands.get(tier, after.standard)
        for above in sorted({max(band.above, 0) for band in (*old, *new)}):
            yield tier, above, _at(old, above), _at(new, above)


def _at(bands: tuple[Band, ...], above: int) -> Band:
    return next(band for band in reversed(bands) if band.above <= above)
