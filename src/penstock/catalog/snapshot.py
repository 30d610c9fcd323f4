"""A snapshot of the operator's decisions: overrides, multipliers and official prices in force. Never changed, swapped whole."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.catalog.cards import read_cards
from penstock.catalog.demo import DEMO, FIRST_VERSION
from penstock.catalog.jumps import find_jump
from penstock.catalog.models import Multiplier, PriceInForce, PriceOverride, PriceUsed
from penstock.catalog.prices import Price, build_price, free_price, unpack
from penstock.kit.globs import matches
from penstock.kit.money import PER_MILLION

ANY = "*"
"""The provider of an override that holds for all of them."""
DEMO_PROVIDER = "demo"
OWN, FREE = "own", "free"
"""What versions of overrides begin with."""


class Own(NamedTuple):
    """An override: the operator's own price of a model. `model` is in lower case."""

    id: str
    provider: str
    model: str
    effective_at_ms: int
    price: Price
    output_cap: int | None


class Found(NamedTuple):
    """What a model costs: the price in force, None if there is none; the override it comes from, or what the installed data says."""

    price: Price | None
    own: Own | None = None
    official: Price | None = None


class InForce(NamedTuple):
    """The version of an official price that holds, and one that waits because it jumps away from that."""

    version: str
    pending_version: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was decided on prices, as of one moment. Names of models are compared without regard to case."""

    named: Mapping[str, tuple[Own, ...]] = field(default_factory=dict)
    """Overrides of one model by its name, those that count first before the others."""
    globs: tuple[Own, ...] = ()
    """Overrides of many models, likewise."""
    owns: Mapping[str, Own] = field(default_factory=dict)
    """All overrides that count, by id."""
    multipliers: Mapping[str, int] = field(default_factory=dict)
    multiplier_globs: tuple[tuple[str, int], ...] = ()
    """The longest first."""
    in_force: Mapping[tuple[str, str], InForce] = field(default_factory=dict)
    """By provider and model, as the data names it."""
    used: Mapping[str, Price] = field(default_factory=dict)
    """Prices that were charged, or wait to be, by version."""
    capped: bool = False
    """Some override has an output cap."""
    moments_ms: tuple[int, ...] = ()
    """When overrides come into effect, ascending."""
    jump_factor: int = 4

    def find(self, provider: str, model: str, at_ms: int) -> Found:
        """What a model costs at a time."""
        own = self.override(provider, model, at_ms)
        if own is not None:
            return Found(own.price, own=own)
        return self.find_official(provider, model, at_ms)

    def find_official(self, provider: str, model: str, at_ms: int) -> Found:
        """What it costs without overrides. A price that jumps away from the one in force does not hold until it is confirmed."""
        if provider == DEMO_PROVIDER:
            return Found(DEMO)
        from penstock.catalog import official  # noqa: PLC0415  slow, and not needed by whoever only has a demo

        found = official.find_price(provider, model, at_ms)
        if found is None:
            return Found(None)
        held = self.in_force.get(official.subject(found.version))
        before = self.used.get(held.version) if held is not None and held.version != found.version else None
        if before is None or find_jump(before, found, self.jump_factor) is None:
            return Found(found, official=found)
        return Found(before.during(found), official=found)

    def override(self, provider: str, model: str, at_ms: int) -> Own | None:
        """The override that holds at a time: that of the name before those of globs, the longest glob, the provider's own, the latest."""
        name = model.lower()
        bare = name.removeprefix(f"{provider}/")
        for own in (*self.named.get(name, ()), *(self.named.get(bare, ()) if bare != name else ())):
            if own.effective_at_ms <= at_ms and own.provider in (provider, ANY):
                return own
        for own in self.globs:
            if own.effective_at_ms <= at_ms and own.provider in (provider, ANY) and matches((own.model,), name):
                return own
        return None

    def multiplier(self, public: str) -> int:
        """What the price of a model is multiplied by, in millionths, by the name that clients ask for."""
        name = public.lower()
        exact = self.multipliers.get(name)
        if exact is not None:
            return exact
        return next((micro for glob, micro in self.multiplier_globs if matches((glob,), name)), PER_MILLION)

    def stated(self, model: str) -> int | None:
        """The multiplier of exactly this name or glob."""
        name = model.lower()
        return dict(self.multiplier_globs).get(name) if is_glob(name) else self.multipliers.get(name)

    def recall(self, version: str) -> Price | None:
        """The price with this version, as far as the database and the installed data know it."""
        if version in (DEMO.version, FIRST_VERSION):
            return DEMO
        used = self.used.get(version)
        if used is not None:
            return used
        if version.partition(" ")[0] in (OWN, FREE):  # in the moment before it is written down
            return next((own.price for own in self.owns.values() if own.price.version == version), None)
        from penstock.catalog import official  # noqa: PLC0415  as above

        return official.recall_price(version)

    def window_ms(self, at_ms: int) -> tuple[float, float]:
        """From when until when no override comes into effect, around a time."""
        place = bisect_right(self.moments_ms, at_ms)
        ends = (-inf, *self.moments_ms, inf)
        return ends[place], ends[place + 1]


EMPTY = Snapshot()


async def load_snapshot(session: AsyncSession, jump_factor: int, before: Snapshot = EMPTY) -> Snapshot:
    """What is decided now. What is in the snapshot of `before` is not read again: overrides and used prices never change."""
    live = await session.scalars(
        select(PriceOverride).where(PriceOverride.confirmed_at_ms.is_not(None), PriceOverride.retired_at_ms.is_(None))
    )
    owns = {row.id: before.owns.get(row.id) or read_override(row) for row in live}
    in_force = await session.execute(select(PriceInForce.provider, PriceInForce.model, PriceInForce.version, PriceInForce.pending_version))
    multipliers = {row.model.lower(): row.multiplier_micro for row in await session.scalars(select(Multiplier))}
    named, globs = sorted_by_weight(owns.values())
    return Snapshot(
        named=named,
        globs=globs,
        owns=owns,
        multipliers={name: micro for name, micro in multipliers.items() if not is_glob(name)},
        multiplier_globs=tuple(sorted(((name, micro) for name, micro in multipliers.items() if is_glob(name)), key=_length, reverse=True)),
        in_force={(provider, model): InForce(version, pending) for provider, model, version, pending in in_force},
        used=await _read_used(session, before.used),
        capped=any(own.output_cap is not None for own in owns.values()),
        moments_ms=tuple(sorted({own.effective_at_ms for own in owns.values()})),
        jump_factor=jump_factor,
    )


async def _read_used(session: AsyncSession, known: Mapping[str, Price]) -> Mapping[str, Price]:
    query = select(PriceUsed.version, PriceUsed.price)
    if known:
        new = set(await session.scalars(select(PriceUsed.version))) - known.keys()
        if not new:
            return known
        query = query.where(PriceUsed.version.in_(sorted(new)))
    return {**known, **{version: unpack(version, packed) for version, packed in await session.execute(query)}}


def read_override(row: PriceOverride) -> Own:
    """A row of the table as what it means."""
    name = f"{row.provider}/{row.model}"
    if row.free:
        price = free_price(f"{FREE} {name} {row.id}", row.effective_at_ms)
    else:
        price = build_price(f"{OWN} {name} {row.id}", read_cards(row.card or {}), row.effective_at_ms)
    return Own(row.id, row.provider, row.model.lower(), row.effective_at_ms, price, row.output_cap)


def sorted_by_weight(owns: Iterable[Own]) -> tuple[dict[str, tuple[Own, ...]], tuple[Own, ...]]:
    """Overrides by the name that they have, and those that have a glob, the heaviest first."""
    named: dict[str, list[Own]] = {}
    globs: list[Own] = []
    for own in sorted(owns, key=weight, reverse=True):
        (globs if is_glob(own.model) else named.setdefault(own.model, [])).append(own)
    return {name: tuple(several) for name, several in named.items()}, tuple(globs)


def is_glob(name: str) -> bool:
    """Whether it means more than one name."""
    return "*" in name or "?" in name


def weight(own: Own) -> tuple[int, bool, int, str]:
    """Of two overrides that match alike, by name or by glob, the heavier one counts."""
    return len(own.model), own.provider != ANY, own.effective_at_ms, own.id


def _length(entry: tuple[str, int]) -> tuple[int, str]:
    return len(entry[0]), entry[0]
