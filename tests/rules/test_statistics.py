"""Statistics: how often rules were used, by day and in all, and how many there are for which wires."""

from __future__ import annotations

import pytest

from penstock.rules.counts import DAY_MS, Counts
from penstock.rules.models import RuleRow
from penstock.rules.statistics import Day, LastError, Use, Uses, totals_of

DATES = ["2023-11-13", "2023-11-14"]


@pytest.fixture
async def ids(rules, operator, given, database, clock) -> list[str]:
    """Three rules: two that were used, and one that was not."""
    made = [(await rules.create(operator, given(name))).id for name in "abc"]
    counts = Counts(database)
    counts.add(made[:2], (), ((made[0], "first"),), clock.ms - DAY_MS)
    counts.add(made[:1], made[1:2], ((made[0], "then"), (made[1], "other")), clock.ms)
    await counts.flush()
    return made


async def test_uses(ids, database, clock):
    uses = Uses(database)
    assert await uses.of(ids) == {ids[0]: Use(2, 0, 2, clock.ms), ids[1]: Use(1, 1, 1, clock.ms)}
    assert await uses.of([]) == {} and await uses.of(ids[2:]) == {}
    both = [Day(DATES[0], 2, 0, 1), Day(DATES[1], 1, 1, 2)]
    assert await uses.days(ids, clock.ms) == both
    assert await uses.days(ids, clock.ms, days=1) == both[1:]
    assert await uses.days(ids[:1], clock.ms) == [Day(DATES[0], 1, 0, 1), Day(DATES[1], 1, 0, 1)]
    assert sorted(await uses.last_errors(ids)) == [LastError(ids[0], DATES[1], "then"), LastError(ids[1], DATES[1], "other")]
    assert len(await uses.last_errors(ids, limit=1)) == 1


async def test_of_very_many_rules(ids, database, clock):
    many = [*(f"rul_{number}" for number in range(1200)), *ids]
    uses = Uses(database)
    assert len(await uses.of(many)) == 2
    assert [day.hits for day in await uses.days(many, clock.ms)] == [2, 1]


def test_totals():
    def row(when, **flags) -> RuleRow:
        return RuleRow(terms={"when": when, "then": []}, **{"enabled": True, "shadow": False, **flags})

    rows = [
        row(None),
        row({"on": "model", "op": "like", "value": "x"}, enabled=False),
        row({"all": [{"on": "wire", "op": "is", "value": "chat"}, {"any": [{"on": "wire", "op": "in", "value": ["chat", "messages"]}]}]}),
        row({"on": "wire", "op": "is", "value": "messages"}, shadow=True),
    ]
    totals = totals_of(rows)
    assert (totals.total, totals.enabled, totals.shadow) == (4, 3, 1)
    assert totals.wires == {"any": 2, "chat": 1, "messages": 2}
    assert totals_of([]).wires == {}
