"""Loading: rows of rules made into sets that can be applied; a row that this version cannot read is left out, and told of."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Text, or_, select
from sqlalchemy import cast as as_type
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.kit.errors import PenstockError
from penstock.rules.changes import EVERYBODY
from penstock.rules.compile import NO_RULES, compile_rule
from penstock.rules.grammar import RuleTerms, read_rule
from penstock.rules.models import RuleRow
from penstock.rules.ruleset import CompiledRule, RuleSet

AT_ONCE = 20
"""More rows than this are read in a thread, so that nobody waits for it."""
_log = logging.getLogger("penstock.rules")
_COLUMNS = select(
    RuleRow.id,
    RuleRow.account_id,
    RuleRow.scope,
    RuleRow.name,
    RuleRow.priority,
    RuleRow.shadow,
    RuleRow.stop,
    as_type(RuleRow.terms, Text).label("terms"),
)
_ENABLED = _COLUMNS.where(RuleRow.enabled)


class Loader:
    """Makes sets of rows. Of those for everybody, which may be thousands, only what has changed is made again."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, CompiledRule]] = {}
        """The rules for everybody by their ids, each with the row that it was made of."""

    async def load(self, session: AsyncSession, owners: Collection[str]) -> dict[str, RuleSet]:
        """The set of each of these, NO_RULES where there are no rules that are enabled. EVERYBODY is one that may be named."""
        accounts = [owner for owner in owners if owner != EVERYBODY]
        theirs = RuleRow.account_id.in_(accounts) & (RuleRow.scope == "own")
        query = _ENABLED.where(or_(theirs, RuleRow.scope == "all") if EVERYBODY in owners else theirs)
        rows = (await session.execute(query)).all()
        if not rows:
            return dict.fromkeys(owners, NO_RULES)
        made = self._made(rows) if len(rows) <= AT_ONCE else await asyncio.to_thread(self._made, rows)
        return dict.fromkeys(owners, NO_RULES) | made

    def _made(self, rows: Iterable[Any]) -> dict[str, RuleSet]:
        by_owner: dict[str, list[CompiledRule]] = {}
        sizes: Counter[str] = Counter()
        kept: dict[str, tuple[Any, CompiledRule]] = {}
        for row in rows:
            owner = EVERYBODY if row.scope == "all" else row.account_id
            known = self._kept.get(row.id)
            rule = known[1] if known is not None and known[0] == row else _compiled(row)
            if rule is not None:
                by_owner.setdefault(owner, []).append(rule)
                sizes[owner] += len(row.terms)
                if owner == EVERYBODY:
                    kept[row.id] = row, rule
        if kept:
            self._kept = kept
        found = {owner: RuleSet(sorted(theirs, key=lambda rule: rule.place)) for owner, theirs in by_owner.items()}
        for owner, rules in found.items():
            rules.size = sizes[owner]
        return found


def _compiled(row: Any) -> CompiledRule | None:
    given = {**row._asdict(), **json.loads(row.terms), "description": "", "enabled": True}
    try:
        return compile_rule(row.id, terms_of(given))
    except PenstockError as refused:
        _log.error("the rule %s cannot be used: %s", row.id, refused.message)
        return None


def terms_of(given: Mapping[str, Any]) -> RuleTerms:
    """A rule that was checked when it was made. Raises PenstockError for one of another version."""
    names = ("name", "description", "priority", "enabled", "shadow", "stop", "scope", "when", "then")
    return read_rule({name: given[name] for name in names}, is_operator=True)
