"""Compile: rules as they are kept become a rule set."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.rules.effects import effect_of
from penstock.rules.grammar import RuleTerms
from penstock.rules.matching import as_test
from penstock.rules.ruleset import CompiledRule, RuleSet

NO_RULES = RuleSet(())


def compile_rules(rows: Iterable[tuple[str, RuleTerms]]) -> RuleSet:
    """The enabled ones of these rules with their ids, whatever order they are given in: by priority, then in the order of their ids."""
    rules = [compile_rule(rule_id, terms) for rule_id, terms in rows if terms.enabled]
    return RuleSet(sorted(rules, key=lambda rule: rule.place)) if rules else NO_RULES


def compile_rule(rule_id: str, terms: RuleTerms) -> CompiledRule:
    """One rule, enabled or not."""
    return CompiledRule(rule_id, terms, as_test(terms.when), tuple(effect_of(action) for action in terms.then))
