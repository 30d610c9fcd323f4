"""Shown: what people see of a rule."""

from __future__ import annotations

from penstock.rules.service import whole_of
from penstock.rules.shown import facts_of
from penstock.rules.statistics import Use


async def test_a_rule_and_its_use(rules, member, given, clock):
    row = await rules.create(member, given(), member.account_id)
    facts = facts_of(row)
    assert facts == {
        "id": row.id, "account_id": member.account_id, **whole_of(row), "created_at": "2023-11-14T22:13:20Z",
        "changed_at": "2023-11-14T22:13:20Z", "hits": 0, "shadow_hits": 0, "errors": 0, "last_at": None,
    }  # fmt: skip
    used = facts_of(row, Use(3, 2, 1, clock.ms))
    assert (used["hits"], used["shadow_hits"], used["errors"], used["last_at"]) == (3, 2, 1, "2023-11-14T22:13:20Z")
