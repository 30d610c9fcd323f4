"""Stages: the account's rules first, the operator's upon what they have made of the request, and those for a channel at each attempt."""

from __future__ import annotations

from penstock.rules.facts import Facts
from penstock.rules.ruleset import CompiledRule, RuleSet, judge
from penstock.rules.verdict import Verdict


def two_stages(own: RuleSet | None, operators: RuleSet | None, facts: Facts) -> Verdict | None:
    """What the account's and the operator's rules make of a request; None: none matched, and none may at an attempt. It never fails."""
    first = None if own is None else own.apply_early(facts)
    if first is not None and first.refusal is not None:
        return first
    between = facts.after(first) if first is not None else facts
    between.rest()
    second = None if operators is None else operators.apply_early(between)
    verdict = second if first is None else first if second is None else _merged(first, second)
    if verdict is not None and verdict.refusal is not None:
        return verdict
    if (own is not None and own.late) or (operators is not None and operators.late):
        last = between.after(second)
        late = () if own is None else own.find_late(last, first)
        late += () if operators is None else operators.find_late(last, second)
        if late:
            verdict = verdict or Verdict()
            verdict.late = late
    return verdict


def apply_late(late: tuple[CompiledRule, ...], facts: Facts, channel_name: str, channel_tags: frozenset[str]) -> Verdict | None:
    """What the rules that depend on the channel make of a request that is about to go to it; None: none matched. It never fails.

    `facts` are of the request as all other rules have left it: `facts.after(verdict)`, on the wire on which it goes out.
    """
    return judge(late, facts.at(channel_name, channel_tags))


def _merged(first: Verdict, second: Verdict) -> Verdict:
    """Both verdicts in one, of which the second has the last word."""
    whole = Verdict()
    whole.fired = first.fired + second.fired
    whole.shadowed = first.shadowed + second.shadowed
    whole.skipped = first.skipped + second.skipped
    whole.record = first.record if second.record is None else second.record
    whole.refusal = second.refusal
    if whole.refusal is None:
        whole.model = first.model if second.model is None else second.model
        whole.body = first.body if second.body is None else second.body
        whole.tags = first.tags if second.tags is None else second.tags
        whole.fallbacks = first.fallbacks if second.fallbacks is None else second.fallbacks
        whole.headers = tuple((dict(first.headers) | dict(second.headers)).items())
    return whole
