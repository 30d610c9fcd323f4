"""Statistics: how often rules were used, in all and by day, and how many there are for which wires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select

from penstock.infra.database import Database
from penstock.rules.counts import DAY_MS, KEPT_DAYS
from penstock.rules.models import RuleDay, RuleRow

ANY_WIRE = "any"
"""What rules are counted under that name no wire."""
_IDS = 500


class Use(NamedTuple):
    """How often a rule was used in all; `last_at_ms` is None for one that was not."""

    hits: int = 0
    shadow_hits: int = 0
    errors: int = 0
    last_at_ms: int | None = None


class Day(NamedTuple):
    """How often rules were used on a day, which is written as a date, in UTC."""

    date: str
    hits: int
    shadow_hits: int
    errors: int


class LastError(NamedTuple):
    """Why an action of a rule could not be applied, on the last day on which that was so."""

    rule_id: str
    date: str
    reason: str


class Totals(NamedTuple):
    """How many rules there are; `wires` counts those that name a wire, under each they name, and the others under ANY_WIRE."""

    total: int
    enabled: int
    shadow: int
    wires: Mapping[str, int]


class Uses:
    """How often the rules of one database were used. Nothing is known of what was more than KEPT_DAYS ago."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, rule_ids: Sequence[str]) -> dict[str, Use]:
        """What there is of these rules, by their ids."""
        found: dict[str, Use] = {}
        sums = (func.sum(column) for column in (RuleDay.hits, RuleDay.shadow_hits, RuleDay.errors))
        query = select(RuleDay.rule_id, *sums, func.max(RuleDay.last_at_ms)).group_by(RuleDay.rule_id)
        async with self._database.session(read_only=True) as session:
            for at in range(0, len(rule_ids), _IDS):
                for rule_id, *counts, last_at_ms in await session.execute(query.where(RuleDay.rule_id.in_(rule_ids[at : at + _IDS]))):
                    hits, shadow_hits, errors = map(int, counts)
                    found[rule_id] = Use(hits, shadow_hits, errors, last_at_ms)
        return found

    async def days(self, rule_ids: Sequence[str], now_ms: int, days: int = 30) -> list[Day]:
        """The last days on which any of these rules was used, oldest first."""
        first = now_ms // DAY_MS - min(days, KEPT_DAYS) + 1
        counts: dict[int, list[int]] = {}
        columns = (RuleDay.hits, RuleDay.shadow_hits, RuleDay.errors)
        query = select(RuleDay.day, *map(func.sum, columns)).where(RuleDay.day >= first).group_by(RuleDay.day)
        async with self._database.session(read_only=True) as session:
            for at in range(0, len(rule_ids), _IDS):
                for day, *some in await session.execute(query.where(RuleDay.rule_id.in_(rule_ids[at : at + _IDS]))):
                    counts[day] = [int(more) + had for more, had in zip(some, counts.get(day, (0, 0, 0)), strict=True)]
        return [Day(_date(day), *counts[day]) for day in sorted(counts)]

    async def last_errors(self, rule_ids: Sequence[str], limit: int = 20) -> list[LastError]:
        """Why actions of these rules could not be applied, the latest first, one of each rule."""
        found: dict[str, LastError] = {}
        query = select(RuleDay.rule_id, RuleDay.day, RuleDay.last_error).where(RuleDay.last_error.is_not(None))
        async with self._database.session(read_only=True) as session:
            for at in range(0, len(rule_ids), _IDS):
                these = query.where(RuleDay.rule_id.in_(rule_ids[at : at + _IDS])).order_by(RuleDay.day.desc(), RuleDay.last_at_ms.desc())
                for rule_id, day, reason in await session.execute(these):
                    found.setdefault(rule_id, LastError(rule_id, _date(day), reason or ""))
        return sorted(found.values(), key=lambda error: error.date, reverse=True)[:limit]


def totals_of(rows: Sequence[RuleRow]) -> Totals:
    """How many rules these are."""
    wires: Counter[str] = Counter()
    for row in rows:
        wires.update(set(_wires(row.terms["when"])) or {ANY_WIRE})
    return Totals(len(rows), sum(row.enabled for row in rows), sum(row.shadow for row in rows), dict(sorted(wires.items())))


def _wires(when: Any) -> Iterator[str]:
    """The wires that a condition names, wherever it does."""
    if not isinstance(when, dict):
        return
    for part in ("all", "any", "none"):
        for each in when.get(part, ()):
            yield from _wires(each)
    if when.get("on") == "wire":
        value = when.get("value")
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS // 1000, UTC).date().isoformat()
