"""Shown: a rule as people and programs are shown it, and how often it was used."""

from __future__ import annotations

from typing import Any

from penstock.kit.clock import iso
from penstock.rules.models import RuleRow
from penstock.rules.service import whole_of
from penstock.rules.statistics import Use


def facts_of(row: RuleRow, use: Use | None = None) -> dict[str, Any]:
    """What may be shown of a rule to whose it is, as JSON."""
    use = use or Use()
    return {
        "id": row.id,
        "account_id": row.account_id,
        **whole_of(row),
        "created_at": iso(row.created_at_ms),
        "changed_at": iso(row.changed_at_ms),
        "hits": use.hits,
        "shadow_hits": use.shadow_hits,
        "errors": use.errors,
        "last_at": None if use.last_at_ms is None else iso(use.last_at_ms),
    }
