"""The catalog's door: what a model costs now, what it cost then, and how much output to expect of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

from penstock.catalog.prices import STANDARD, Line, Price, build_price, flat
from penstock.settings import Settings

__all__ = ("Catalog", "Line", "Price")

_CACHE_LIMIT = 4096
_NAME_LIMIT = 200

DEMO = build_price(
    "demo 1",
    {
        STANDARD: flat(
            input_mtok="1",
            cache_read_mtok="0.1",
            cache_write_5m_mtok="1.25",
            cache_write_1h_mtok="2",
            output_mtok="2",
            images_count="0.04",
            input_mchars="15",
            audio_hours="0.36",
        )
    },
)


class Catalog:
    """Prices by provider and model. All methods are synchronous; `price` and `output_cap` are for the hot path.

    Answers are kept, a bounded number of them, until one of them has a dated change. `now` is the clock, in seconds since 1970.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.time) -> None:
        self._output_cap = settings.default_output_tokens
        self._now = now
        self._kept: dict[tuple[str, str], Price | None] = {}
        self._since = -inf
        self._until = inf

    def load(self) -> None:
        """Read the price data, a quarter of a second's work, so that no request waits for it. Call before serving."""
        from penstock.catalog import official  # noqa: F401, PLC0415  the import is the work

    def price(self, provider: str, model: str) -> Price | None:
        """The price in force now; None if the model has none."""
        try:
            kept = self._kept[provider, model]
        except KeyError:
            return self._look_up(provider, model)
        return kept if self._since <= self._now() < self._until else self._look_up(provider, model)

    def price_at(self, provider: str, model: str, at_ms: int) -> Price | None:
        """The price that was or will be in force at a time, as far as the installed data knows."""
        if provider == "demo":
            return DEMO
        if len(model) > _NAME_LIMIT:
            return None
        from penstock.catalog import official  # noqa: PLC0415  slow, and not needed by whoever only has a demo

        return official.find_price(provider, model, at_ms)

    def recall(self, version: str) -> Price | None:
        """The price with this `Price.version`; None if the version is of other data than is installed."""
        if version == DEMO.version:
            return DEMO
        from penstock.catalog import official  # noqa: PLC0415  as above

        return official.recall_price(version)

    def output_cap(self, provider: str, model: str) -> int:
        """Output tokens to hold funds for when a request sets no bound."""
        return self._output_cap

    def _look_up(self, provider: str, model: str) -> Price | None:
        now = self._now()
        if len(self._kept) >= _CACHE_LIMIT or not self._since <= now < self._until:
            self._kept.clear()
            self._since, self._until = -inf, inf
        found = self.price_at(provider, model, int(now * 1000))
        if len(model) <= _NAME_LIMIT:
            self._kept[provider, model] = found
        if found is not None and found.effective_at_ms is not None:
            self._since = max(self._since, found.effective_at_ms / 1000)
        if found is not None and found.expires_at_ms is not None:
            self._until = min(self._until, found.expires_at_ms / 1000)
        return found
