"""Lists of models that were written already: for the same models in the same shape they need not be written again."""

from __future__ import annotations

from typing import Any

from penstock.catalog.door import Entry
from penstock.channels.door import Listed, Roster

RATES_KEPT = 16


class Lists:
    """Bodies, all made from one roster, by what they depend on."""

    def __init__(self) -> None:
        self.of: Roster | None = None
        self.bodies: dict[tuple[Any, ...], bytes] = {}
        self.usable: dict[tuple[Any, ...], list[Listed]] = {}
        """What a caller may ask for: pages of it are cut from this."""
        self.rates: dict[int, tuple[tuple[Entry, ...], dict[str, Entry]]] = {}
        """Rates by the multiplier of a membership: the list that they were read from, and by model."""

    def priced(self, multiplier_micro: int, entries: tuple[Entry, ...]) -> dict[str, Entry]:
        """The entries by model. When the prices have changed, what was written with others is forgotten."""
        known = self.rates.get(multiplier_micro)
        if known is None or known[0] is not entries:
            if len(self.rates) >= RATES_KEPT:
                self.rates.clear()
            self.bodies.clear()
            known = self.rates[multiplier_micro] = entries, {entry.model: entry for entry in entries}
        return known[1]
