"""Explain: why rules have matched a request or not, for whoever tries them out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from penstock.records.redact import without_keys
from penstock.rules.conditions import Condition, Leaf
from penstock.rules.facts import Facts
from penstock.rules.matching import as_test, looking
from penstock.rules.ruleset import TOO_MUCH, CompiledRule, RuleSet
from penstock.rules.tree import Exhausted

SEEN_LIMIT = 200
"""Characters shown of what was seen, as JSON."""


class Blamed(msgspec.Struct, frozen=True):
    """A condition because of which a rule has not matched: not met, or met within a group of none."""

    at: str
    """Where it stands in the rule, such as `when.all.0`."""
    condition: dict[str, Any]
    met: bool
    found: bool
    """Whether there was something to look at."""
    seen: Any
    """What that was; what looks like a key is left out."""


class Explained(msgspec.Struct, frozen=True):
    """How one rule stands to a request."""

    id: str
    name: str
    matched: bool
    shadow: bool
    late: bool
    """It depends on the channel: without one it does not match."""
    blamed: tuple[Blamed, ...] = ()
    reason: str | None = None
    """Why it could not be told."""


def explain(rules: RuleSet, facts: Facts) -> list[Explained]:
    """How each of the rules stands to a request, in their order; none sees what another has changed, and none stops another.

    The operator's rules see the request as the account's have left it: `facts.after(verdict)`. For those that depend on the channel,
    give it: `facts.at(name, tags)`.
    """
    return [_explained(rule, facts) for rule in rules.rules]


def _explained(rule: CompiledRule, facts: Facts) -> Explained:
    terms = rule.terms
    try:
        matched = rule.test(facts)
        blamed = () if matched or terms.when is None else tuple(_blame(terms.when, facts, "when", wanted=True))
    except Exhausted:
        return Explained(rule.id, terms.name, matched=False, shadow=rule.shadow, late=rule.late, reason=TOO_MUCH)
    return Explained(rule.id, terms.name, matched=matched, shadow=rule.shadow, late=rule.late, blamed=blamed)


def _blame(condition: Condition, facts: Facts, at: str, *, wanted: bool) -> Iterator[Blamed]:
    """The leaves because of which a condition, which is not as wanted, is not."""
    if isinstance(condition, Leaf):
        found = tuple(looking(condition)(facts))
        seen = None if not found else found[0] if len(found) == 1 else list(found)
        yield Blamed(at, condition.to_dict(), not wanted, bool(found), _shown(condition, seen))
        return
    turned = condition.kind == "none"
    for number, member in enumerate(condition.members):
        # Every member may be as it should not be, or only those that spoil the whole.
        if as_test(member)(facts) is (wanted if turned else not wanted):
            yield from _blame(member, facts, f"{at}.{condition.kind}.{number}", wanted=wanted is not turned)


def _shown(leaf: Leaf, seen: Any) -> Any:
    if leaf.on == "time":
        return datetime.fromtimestamp(seen // 1000, UTC).isoformat()
    text = msgspec.json.encode(seen)
    safe = without_keys(text)
    if safe == text and len(text) <= SEEN_LIMIT:
        return seen
    cut = safe.decode()[: SEEN_LIMIT + 1]
    return cut if len(cut) <= SEEN_LIMIT else cut[:SEEN_LIMIT] + "…"
