"""The catalog's door: what a model costs now, what it cost then, and how much output to expect of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from math import inf
from typing import Any

from penstock.catalog.history import REVISION, History
from penstock.catalog.listing import Entry, Sold, list_models, official_models
from penstock.catalog.prices import Line, Price
from penstock.catalog.snapshot import EMPTY, Found, Snapshot, load_snapshot
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed
from penstock.kit.money import PER_MILLION, round_half_up
from penstock.kit.tasks import finish, spawn
from penstock.settings import Settings

__all__ = ("Catalog", "Entry", "Line", "Price", "official_models")

RETRY_S = 1.0
"""Between two attempts to reach a database that is away."""
STOP_S = 2.0
_CACHE_LIMIT = 4096
_LISTS_LIMIT = 64
_NAME_LIMIT = 200
_NOTHING = Found(None)
_log = logging.getLogger("penstock.catalog")


@dataclass
class _Shelf:
    """Answers of one snapshot that hold from `since` until `until`, in seconds."""

    snapshot: Snapshot
    since: float
    until: float
    kept: dict[tuple[str, str, str, int], Price | None] = field(default_factory=dict)
    lists: dict[int, tuple[Sold, tuple[Entry, ...]]] = field(default_factory=dict)

    def narrow(self, since_ms: float | None, until_ms: float | None) -> None:
        """Let the answers hold no longer than this one does."""
        if since_ms is not None:
            self.since = max(self.since, since_ms / 1000)
        if until_ms is not None:
            self.until = min(self.until, until_ms / 1000)


class Catalog:
    """Prices by provider and model: official ones, the operator's own instead of them, times multipliers.

    `price` and `output_cap` are for the hot path and never wait. Answers are kept, a bounded number of them, until one of them
    has a dated change, or the operator has changed something; then all are dropped at once. Between `start` and `stop` it
    follows the operator's changes, and writes down which prices were charged. `now` is the clock, in seconds since 1970.
    """

    def __init__(self, settings: Settings, database: Database, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._database = database
        self._feed = feed
        self._now = now
        self.sold: Callable[[], Coroutine[Any, Any, Sold]] | None = None
        """Gives what the channels serve."""
        self._shelf = _Shelf(EMPTY, -inf, inf)
        self._history = History(database, lambda: int(now() * 1000), settings.price_jump_factor)
        self._stale = False
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def load(self) -> None:
        """Read the official prices, a quarter of a second's work, so that no request waits for it. Call before serving."""
        from penstock.catalog import official  # noqa: F401, PLC0415  the import is the work

    async def start(self) -> None:
        """Read what the operator has decided, and follow its changes. Raises DatabaseAway."""
        await self._read()
        self._task = spawn(self._keep_up(), name="catalog")
        self._feed.follow(REVISION, self._changed)

    async def stop(self) -> None:
        """Stop following, and write down what is left to write; harmless when not started."""
        self._stopping.set()
        self._wake.set()
        await finish(self._task, STOP_S)
        self._task = None

    def price(self, provider: str, model: str, public: str, tier_micro: int = PER_MILLION) -> Price | None:
        """The price in force now; None if the model has none.

        `model` is the name as the provider knows it, `public` the one that the client has asked for, which the model's multiplier
        goes by. `tier_micro` is the multiplier of the client's membership.
        """
        shelf = self._shelf
        try:
            kept = shelf.kept[provider, model, public, tier_micro]
        except KeyError:
            return self._look_up(provider, model, public, tier_micro)
        return kept if shelf.since <= self._now() < shelf.until else self._look_up(provider, model, public, tier_micro)

    def price_at(self, provider: str, model: str, at_ms: int) -> Price | None:
        """The price that was or will be in force at a time, before multipliers, as far as is known now."""
        return self._find(provider, model, at_ms).price

    def recall(self, version: str) -> Price | None:
        """The price with this `Price.version`, before multipliers: any that was charged here, or is in the installed data."""
        return self._shelf.snapshot.recall(version)

    def output_cap(self, provider: str, model: str) -> int:
        """Output tokens to hold funds for when a request sets no bound."""
        snapshot = self._shelf.snapshot
        own = snapshot.override(provider, model, int(self._now() * 1000)) if snapshot.capped else None
        return self._settings.default_output_tokens if own is None or own.output_cap is None else own.output_cap

    async def listing(self, tier_micro: int = PER_MILLION) -> tuple[Entry, ...]:
        """All models that can be asked for and have a price, by name, with their rates as a membership with this multiplier pays them."""
        now = self._now()
        if not self._shelf.since <= now < self._shelf.until:
            self._put_up(self._shelf.snapshot)
        if self.sold is None:
            return ()
        shelf, sold = self._shelf, await self.sold()
        found = shelf.lists.get(tier_micro)
        if found is None or found[0] is not sold:
            made = await asyncio.to_thread(list_models, sold, shelf.snapshot, tier_micro, int(now * 1000))
            shelf.narrow(made.since_ms, made.until_ms)
            if len(shelf.lists) >= _LISTS_LIMIT:
                shelf.lists.clear()
            found = shelf.lists[tier_micro] = (sold, made.entries)
        return found[1]

    def _find(self, provider: str, model: str, at_ms: int) -> Found:
        return self._shelf.snapshot.find(provider, model, at_ms) if len(model) <= _NAME_LIMIT else _NOTHING

    def _look_up(self, provider: str, model: str, public: str, tier_micro: int) -> Price | None:
        now = self._now()
        if len(self._shelf.kept) >= _CACHE_LIMIT or not self._shelf.since <= now < self._shelf.until:
            self._put_up(self._shelf.snapshot)
        shelf, at_ms = self._shelf, int(now * 1000)
        found, price = self._find(provider, model, at_ms), None
        if found.price is not None:
            price = found.price.times(round_half_up(shelf.snapshot.multiplier(public) * tier_micro, PER_MILLION))
            shelf.narrow(price.effective_at_ms, price.expires_at_ms)
            self._history.note(provider, model, found, shelf.snapshot)
            if self._history.waits:
                self._wake.set()
        if max(len(model), len(public)) <= _NAME_LIMIT:
            shelf.kept[provider, model, public, tier_micro] = price
        return price

    def _put_up(self, snapshot: Snapshot) -> None:
        """Drop all answers and give those of this snapshot from now on."""
        since_ms, until_ms = snapshot.window_ms(int(self._now() * 1000))
        self._shelf = _Shelf(snapshot, since_ms / 1000, until_ms / 1000)

    def _changed(self) -> None:
        self._stale = True
        self._wake.set()

    async def _keep_up(self) -> None:
        """Write down what was noted, and read what was changed, as soon as there is either; when stopped, write what is left."""
        away = False
        while not self._stopping.is_set() or self._history.waits:
            if not self._stopping.is_set():
                await self._wake.wait()
                self._wake.clear()
            try:
                await self._history.write()
                if self._stale and not self._stopping.is_set():
                    self._stale = False
                    await self._read()
                away = False
            except DatabaseAway as failure:
                if not away:
                    _log.warning("prices cannot be read or written while the database is away: %s", failure)
                if self._stopping.is_set():
                    return
                away = self._stale = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RETRY_S)
                self._wake.set()

    async def _read(self) -> None:
        async with self._database.session(read_only=True) as session:
            snapshot = await load_snapshot(session, self._settings.price_jump_factor, self._shelf.snapshot)
        self._put_up(snapshot)
