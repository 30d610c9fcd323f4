"""Rule sets: rules in their order, made ready, and what they make of a request."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.rules.actions import Refuse
from penstock.rules.effects import Effect
from penstock.rules.facts import Facts
from penstock.rules.grammar import ALL, RuleTerms
from penstock.rules.index import Index
from penstock.rules.matching import Test
from penstock.rules.tree import Exhausted, Skip
from penstock.rules.verdict import Draft, Refusal, Verdict

TOO_MUCH = "the rules had to go through too much of this request"
UNTOLD = "Rules have to go through too much of this request to tell whether it is allowed: send a smaller or a simpler one."
UNTOLD_STATUS = 413


class CompiledRule:
    """A rule made ready."""

    __slots__ = ("effects", "id", "late", "place", "scope", "shadow", "stop", "strict", "terms", "test")

    def __init__(self, rule_id: str, terms: RuleTerms, test: Test, effects: tuple[Effect, ...]) -> None:
        self.id = rule_id
        self.terms = terms
        self.test = test
        self.effects = effects
        self.scope = terms.scope
        self.shadow = terms.shadow
        self.stop = terms.stop
        self.late = terms.late
        self.strict = terms.scope == ALL or any(isinstance(action, Refuse) for action in terms.then)
        """Nobody gets around it by having rules go through too much: the request is refused then."""
        self.place: tuple[int, str] = (terms.priority, rule_id)
        """Where it stands among the others of its scope."""

    def __repr__(self) -> str:
        return f"CompiledRule({self.id!r})"


class RuleSet:
    """The rules of one account, or the operator's for all. They never change: another set takes their place."""

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        self.rules = tuple(rules)
        """In their order."""
        self.is_empty = not self.rules
        self.size = 0
        """Bytes of the rules as JSON, where whoever has read them says so."""
        self._early = [rule for rule in rules if not rule.late]
        self._late = [rule for rule in rules if rule.late]
        self.late = bool(self._late)
        """Whether some depend on the channel."""
        self._index = Index(rule.terms.when for rule in self._early)
        self._late_index = Index(rule.terms.when for rule in self._late)

    def apply(self, facts: Facts) -> Verdict | None:
        """What the rules make of a request; None: none matched, and none may at an attempt. It never fails."""
        verdict = self.apply_early(facts)
        if self._late and (verdict is None or verdict.refusal is None):
            late = self.find_late(facts.after(verdict), verdict)
            if late:
                verdict = verdict or Verdict()
                verdict.late = late
        return verdict

    def apply_early(self, facts: Facts) -> Verdict | None:
        """What those rules make of a request that do not depend on the channel."""
        try:
            found = self._index.find(facts)
        except Exhausted:
            found = range(len(self._early))
        if not found:
            return None
        rules = self._early
        return judge([rules[number] for number in found], facts)

    def find_late(self, facts: Facts, verdict: Verdict | None) -> tuple[CompiledRule, ...]:
        """The rules that depend on the channel and could match, once `verdict` was given; `facts` are as all rules have left them."""
        if not self._late:
            return ()
        try:
            found = self._late_index.find(facts)
        except Exhausted:
            found = range(len(self._late))
        last = verdict.stopped if verdict is not None else None
        return tuple(rule for rule in (self._late[number] for number in found) if last is None or rule.place < last.place)


def judge(rules: Sequence[CompiledRule], facts: Facts) -> Verdict | None:
    """What these rules, in this order, make of a request; None: none matched."""
    verdict: Verdict | None = None
    draft = Draft(facts)
    stopped: set[str] = set()
    fired: list[str] = []
    shadowed: list[str] = []
    skipped: list[tuple[str, str]] = []
    for rule in rules:
        if stopped and rule.scope in stopped:
            continue
        try:
            if not rule.test(facts):
                continue
        except Exhausted:
            verdict = verdict or Verdict()
            skipped.append((rule.id, TOO_MUCH))
            if not rule.strict or rule.shadow:
                continue
            draft.refused = (UNTOLD, UNTOLD_STATUS)
        else:
            verdict = verdict or Verdict()
            if rule.shadow:
                shadowed.append(rule.id)
                continue
            fired.append(rule.id)
            _carry_out(rule, draft, skipped)
        if draft.refused is not None:
            verdict.refusal = Refusal(rule.id, *draft.refused)
            break
        if rule.stop:
            verdict.stopped = rule
            stopped.add(rule.scope)
    if verdict is not None:
        verdict.fired, verdict.shadowed, verdict.skipped = tuple(fired), tuple(shadowed), tuple(skipped)
        draft.settle(verdict)
    return verdict


def _carry_out(rule: CompiledRule, draft: Draft, skipped: list[tuple[str, str]]) -> None:
    for effect in rule.effects:
        try:
            effect(draft)
        except Skip as why:
            skipped.append((rule.id, str(why)))
        except Exhausted:
            skipped.append((rule.id, TOO_MUCH))
            if rule.strict:
                draft.refused = (UNTOLD, UNTOLD_STATUS)
        if draft.refused is not None:
            return
