"""Lanes: the ways in which one request can be served, and the order in which they are tried."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b, shake_128
from itertools import accumulate
from random import random
from weakref import WeakValueDictionary

from penstock.upstream.lane import Lane

POINTS, FEWEST_POINTS, MOST_POINTS = 64, 8, 4096
"""Points on the circle that a lane of usual weight has where there are few lanes, and where there are many; the most for any weight."""
POINTS_ALL = 4096
"""So many points are enough for one tier; there are more only so that each lane has the fewest it may."""
FEW = 8
"""So many lanes are looked at one by one."""
TRIES = 4
"""How often a lane is drawn that cannot be used, for each that is wanted, before all are looked at."""
PATIENCE = 16
"""Blocked lanes that are come across on the circle before all are looked at."""
TOLD = 5
"""Reasons that are told one by one."""


class _Shape:
    """The weights of a tier, made ready for drawing. Tiers with the same channels and weights share one, whatever their model."""

    __slots__ = ("__weakref__", "_bits", "_circle", "_pairs", "edges", "total", "weights")

    def __init__(self, pairs: tuple[tuple[str, int], ...]) -> None:
        self._pairs = pairs
        self.weights = [weight for _, weight in pairs]
        self.edges = list(accumulate(self.weights))
        self.total = self.edges[-1]
        self._bits = (len(pairs) - 1).bit_length()
        self._circle: array[int] | None = None

    def draw(self) -> int:
        """The number of a lane, by weight."""
        return bisect_right(self.edges, random() * self.total, 0, len(self.edges) - 1)  # noqa: S311  nothing is secret here

    def walk(self, key: bytes) -> Iterator[int]:
        """The numbers of all lanes in the order that belongs to a key; those near the beginning repeat themselves."""
        circle = self._circle or self.close()
        mask = (1 << self._bits) - 1
        begin = bisect_right(circle, int.from_bytes(blake2b(key, digest_size=4).digest()) >> 2)
        for place in range(begin, len(circle)):
            yield circle[place] & mask
        for place in range(begin):
            yield circle[place] & mask

    def close(self) -> array[int]:
        """Make the circle: places, in order, each with the number of its lane in the last bits.

        A lane's places do not depend on the other lanes; only how many of them count does, a little.
        """
        count, bits = len(self.weights), self._bits
        usual = max(FEWEST_POINTS, min(POINTS, POINTS_ALL // count)) * count / self.total
        places: list[int] = []
        for number, (name, weight) in enumerate(self._pairs):
            points = min(MOST_POINTS, max(1, round(usual * weight)))
            digest = _digest(name, 16 if points <= 16 else 256 if points <= 256 else MOST_POINTS)
            found = array("I", digest[: 4 * points])
            places += [point >> 2 >> bits << bits | number for point in found]
        self._circle = array("i", sorted(places))
        return self._circle


_shapes: WeakValueDictionary[tuple[tuple[str, int], ...], _Shape] = WeakValueDictionary()


def _shape(pairs: tuple[tuple[str, int], ...]) -> _Shape:
    found = _shapes.get(pairs)
    if found is None:
        found = _shapes[pairs] = _Shape(pairs)
        if len(pairs) > 1:
            found.close()
    return found


@lru_cache(maxsize=4096)
def _digest(name: str, points: int) -> bytes:
    """Where a lane's points are, four bytes for each; the first are the same however many there are."""
    return shake_128(name.encode()).digest(4 * points)


class _Tier:
    """Lanes of the same priority."""

    __slots__ = ("lanes", "shape")

    def __init__(self, lanes: Sequence[Lane], *, equal: bool = False) -> None:
        self.lanes = tuple(lanes)
        self.shape = _shape(tuple((identity(lane), 1 if equal else lane.channel.terms.weight) for lane in lanes))

    def add(self, limit: int, sticky: bytes | None, now_s: float, order: list[Lane]) -> None:
        """Add lanes that nothing blocks, in the order in which they are to be tried, until `order` has `limit`."""
        if len(self.lanes) == 1:
            lane = self.lanes[0]
            if _free(lane, now_s):
                order.append(lane)
        elif sticky is not None:
            self._follow(limit, sticky, now_s, order)
        elif len(self.lanes) <= FEW:
            self._choose(range(len(self.lanes)), limit, now_s, order)
        else:
            self._draw(limit, now_s, order)

    def _follow(self, limit: int, sticky: bytes, now_s: float, order: list[Lane]) -> None:
        lanes = self.lanes
        seen: set[int] = set()
        left = PATIENCE
        for number in self.shape.walk(sticky):
            if number in seen:
                continue
            seen.add(number)
            lane = lanes[number]
            if _free(lane, now_s):
                order.append(lane)
                if len(order) >= limit:
                    return
            else:
                left -= 1
                if not left:
                    # Most are blocked: those that are need not be come across one by one.
                    seen.update(other for other, lane in enumerate(lanes) if not _free(lane, now_s))
            if len(seen) == len(lanes):
                return

    def _draw(self, limit: int, now_s: float, order: list[Lane]) -> None:
        lanes, draw = self.lanes, self.shape.draw
        seen: set[int] = set()
        for _ in range(TRIES * (limit - len(order))):
            number = draw()
            if number in seen:
                continue
            seen.add(number)
            lane = lanes[number]
            if _free(lane, now_s):
                order.append(lane)
                if len(order) >= limit:
                    return
        self._choose([number for number in range(len(lanes)) if number not in seen], limit, now_s, order)

    def _choose(self, numbers: Iterable[int], limit: int, now_s: float, order: list[Lane]) -> None:
        """Draw from so few lanes, or from so many that are blocked, that each is looked at."""
        weights, lanes = self.shape.weights, self.lanes
        weighed = [(lanes[number], weights[number]) for number in numbers if _free(lanes[number], now_s)]
        left = sum(weight for _, weight in weighed)
        while weighed and len(order) < limit:
            rest = random() * left  # noqa: S311
            for place, (_, weight) in enumerate(weighed):  # noqa: B007  the place is what is looked for
                rest -= weight
                if rest < 0:
                    break
            lane, weight = weighed.pop(place)
            left -= weight
            order.append(lane)


class Lanes:
    """All lanes for one wire and model, from which each request gets those it tries.

    Lanes of a higher priority come before all others; among equals the weight is a lane's share of being first. Those of weight 0
    come last of all.
    """

    __slots__ = ("_only", "_tiers", "all")

    def __init__(self, lanes: Iterable[Lane]) -> None:
        self.all = tuple(lanes)
        self._only = [self.all[0]] if len(self.all) == 1 else None
        tiers: dict[tuple[int, bool], list[Lane]] = {}
        spare: dict[tuple[int, bool], list[Lane]] = {}
        for lane in self.all:
            terms = lane.channel.terms
            (tiers if terms.weight > 0 else spare).setdefault((terms.priority, lane.direct), []).append(lane)
        self._tiers = [_Tier(tiers[priority]) for priority in sorted(tiers, reverse=True)]
        self._tiers += [_Tier(spare[priority], equal=True) for priority in sorted(spare, reverse=True)]

    def __bool__(self) -> bool:
        return bool(self.all)

    def pick(self, limit: int, sticky: bytes | None, now_s: float) -> list[Lane]:
        """At most `limit` lanes in the order in which they are to be tried, none twice; empty if all are blocked.

        With the same `sticky` key the order is the same, as far as the lanes are. When there is only one lane at all, nothing
        blocks it: there is no better way than to try. The list is not to be changed.
        """
        if self._only is not None:
            return self._only
        order: list[Lane] = []
        for tier in self._tiers:
            tier.add(limit, sticky, now_s, order)
            if len(order) >= limit:
                break
        return order

    def why(self, now_s: float) -> str:
        """Which channels are blocked, and why, in words; empty if none is. Nothing of a credential is in it: callers see it."""
        lanes = ((lane.channel.name, lane.channel.breakers.blocks(lane.served, now_s)) for lane in self.all)
        found = list(dict.fromkeys(f"{name}: {why}" for name, why in lanes if why is not None))
        more = [f"and {len(found) - TOLD} more"] if len(found) > TOLD else []
        return "; ".join(found[:TOLD] + more)

    def wait_s(self, now_s: float) -> float:
        """How long it takes until one of them may be tried again; 0 if one may be now."""
        return min((lane.channel.breakers.wait_s(lane.served, now_s) for lane in self.all), default=0.0)


def identity(lane: Lane) -> str:
    """The name of a lane's channel and credential, which does not change while it is the same one."""
    terms = lane.channel.terms
    return f"{terms.id or lane.channel.name}/{terms.credential_id}"


def _free(lane: Lane, now_s: float) -> bool:
    breakers = lane.channel.breakers
    return not breakers.troubled or breakers.blocks(lane.served, now_s) is None
