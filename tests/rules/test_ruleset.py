from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.conditions import Group
from penstock.rules.ruleset import TOO_MUCH, RuleSet, judge
from rule_words import make_facts, make_rules, make_terms, requests, rules, shown

SET_A = {"do": "set", "path": "a", "value": 1}
NEVER = {"on": "model", "value": "no such model"}


@given(st.lists(rules(), max_size=6), requests())
def test_the_index_changes_nothing(terms, facts):
    ruleset = make_rules(*terms)
    verdict = ruleset.apply(facts)
    assert shown(verdict) == shown(judge(ruleset.rules, facts))


@given(st.lists(rules(), max_size=6), requests(), requests())
def test_two_evaluations_never_differ(terms, facts, others):
    ruleset = make_rules(*terms)
    first = shown(ruleset.apply(facts))
    ruleset.apply(others)
    assert shown(ruleset.apply(facts)) == first == shown(make_rules(*terms).apply(facts))


def test_nothing_matches_nothing():
    ruleset = make_rules(make_terms(when=NEVER))
    assert ruleset.apply(make_facts({})) is None and not ruleset.is_empty and not ruleset.late
    assert RuleSet(()).apply(make_facts({})) is None and RuleSet(()).is_empty


def test_the_higher_priority_has_the_last_word_and_then_the_later_rule():
    ruleset = make_rules(
        make_terms([{"do": "rewrite_model", "model": "high"}], priority=5),
        make_terms([{"do": "rewrite_model", "model": "low"}], priority=-5),
        make_terms([{"do": "set", "path": "a", "value": "first"}]),
        make_terms([{"do": "set", "path": "a", "value": "second"}]),
    )
    verdict = ruleset.apply(make_facts({}))
    assert (verdict.model, verdict.body, verdict.fired) == ("high", b'{"a":"second"}', ("rul_1", "rul_2", "rul_3", "rul_0"))


def test_conditions_do_not_see_what_other_rules_have_done():
    def swap(one, other):
        return make_terms([{"do": "rewrite_model", "model": other}], {"on": "model", "value": one})

    ruleset = make_rules(swap("a", "b"), swap("b", "a"))
    assert [ruleset.apply(make_facts({}, model=model)).model for model in "ab"] == ["b", "a"]


def test_actions_do():
    ruleset = make_rules(make_terms([{"do": "set", "path": "a", "value": [1]}]), make_terms([{"do": "append", "path": "a", "value": 2}]))
    assert ruleset.apply(make_facts({})).body == b'{"a":[1,2]}'


def test_a_refusal_ends_everything():
    ruleset = make_rules(
        make_terms([SET_A]),
        make_terms([{"do": "record", "value": True}, {"do": "refuse", "message": "No.", "status": 451}, {"do": "record", "value": False}]),
        make_terms([{"do": "refuse", "message": "Never."}]),
        make_terms(when={"on": "channel", "value": "*"}),
    )
    verdict = ruleset.apply(make_facts({}))
    assert verdict.refusal == ("rul_1", "No.", 451) and verdict.fired == ("rul_0", "rul_1")
    assert (verdict.body, verdict.late, verdict.record) == (None, (), True)


def test_stop_ends_the_stage_if_the_rule_matches_and_is_no_shadow():
    last = make_terms([{"do": "rewrite_model", "model": "last"}])

    def model(**stopping):
        return make_rules(make_terms([SET_A], stop=True, **stopping), last).apply(make_facts({})).model

    assert [model(), model(when=NEVER), model(shadow=True), model(enabled=False)] == [None, "last", "last", "last"]


def test_a_rule_in_shadow_is_counted_and_changes_nothing():
    verdict = make_rules(make_terms([SET_A, {"do": "refuse", "message": "No."}], shadow=True)).apply(make_facts({}))
    assert (verdict.shadowed, verdict.fired, verdict.body, verdict.refusal) == (("rul_0",), (), None, None)


def test_what_cannot_be_applied_is_skipped_and_the_rest_is_done():
    ruleset = make_rules(make_terms([{"do": "set", "path": "t.b", "value": 1}, SET_A, {"do": "rewrite_model", "model": "m"}]))
    verdict = ruleset.apply(make_facts({"t": "text"}))
    assert verdict.body == b'{"t":"text","a":1}' and verdict.skipped == (("rul_0", "what is at t is neither an object nor an array"),)
    verdict = ruleset.apply(make_facts(None))
    assert verdict.body is None and verdict.model == "m" and verdict.skipped == (("rul_0", "the body is no JSON object"),) * 2


def test_rules_for_a_channel_wait_unless_they_cannot_match():
    late = {"all": [{"on": "model", "value": "new*"}, {"on": "channel", "value": "*"}]}
    ruleset = make_rules(
        make_terms([{"do": "rewrite_model", "model": "new-model"}], {"on": "model", "value": "old"}), make_terms(when=late)
    )
    assert ruleset.late and [rule.id for rule in ruleset.apply(make_facts({}, model="old")).late] == ["rul_1"]
    assert ruleset.apply(make_facts({}, model="other")) is None
    alone = ruleset.apply(make_facts({}, model="newest"))
    assert [rule.id for rule in alone.late] == ["rul_1"] and alone.fired == () and repr(alone.late) == "(CompiledRule('rul_1'),)"


def test_a_rule_that_stops_also_stops_those_for_a_channel_that_come_after_it():
    late = {"on": "channel", "value": "*"}
    ruleset = make_rules(make_terms(when=late, priority=1), make_terms([SET_A], stop=True, priority=2), make_terms(when=late, priority=3))
    assert [rule.id for rule in ruleset.apply(make_facts({})).late] == ["rul_0"]


@pytest.mark.parametrize("filed", [True, False])
def test_rules_that_would_go_through_too_much_are_skipped_and_say_so(filed):
    searched = {"on": "body", "name": "a", "op": "matches", "value": "(x|y|z){100}$"}
    own_way = {"on": "body", "name": "b" if filed else "a.0", "value": "text"}
    many = [make_terms(when={"none": [searched]}) for _ in range(30)]
    ruleset = make_rules(
        *many, make_terms([{"do": "rewrite_model", "model": "m"}], {"none": [own_way]} if not filed else {"on": "stream", "value": False})
    )
    verdict = ruleset.apply(make_facts({"a": "a" * 2_000_000, "b": "text"}))
    assert (verdict.skipped[0][1], verdict.model) == (TOO_MUCH, "m") and len(verdict.skipped) + len(verdict.fired) == 31


def test_a_compiled_rule_knows_its_terms():
    (rule,) = make_rules(make_terms(when={"all": [NEVER]}, priority=3, scope="all", stop=True)).rules
    assert (rule.place, rule.scope, rule.stop, rule.shadow, rule.late) == ((3, "rul_0"), "all", True, False, False)
    assert isinstance(rule.terms.when, Group)


SEARCHED = {"on": "body", "name": "a", "op": "matches", "value": "(ab|cd|ef){150}$"}
REFUSE = {"do": "refuse", "message": "no"}


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        (make_terms([REFUSE], SEARCHED, scope="all"), 413),
        (make_terms([REFUSE], SEARCHED), 413),
        (make_terms([SET_A], SEARCHED, scope="all"), 413),
        (make_terms([SET_A], SEARCHED), None),
        (make_terms([REFUSE], SEARCHED, scope="all", shadow=True), None),
        (make_terms([{"do": "append_system", "text": "Be short."}] * 50, scope="all"), 413),
    ],
)
def test_nobody_gets_around_a_rule_by_sending_too_much(terms, status):
    body = {"a": "a" * 2_000_000, "messages": [{"role": "system", "content": "a" * 1_000_000}]}
    verdict = make_rules(terms, make_terms([{"do": "record", "value": True}])).apply(make_facts(body))
    assert (verdict.refusal.status if verdict.refusal else None) == status
    assert ("rul_0", TOO_MUCH) in verdict.skipped


def test_very_many_actions_that_cannot_be_done_are_counted_one_by_one():
    ruleset = make_rules(*[make_terms([{"do": "set", "path": "a.b", "value": 1}] * 50) for _ in range(20)])
    assert len(ruleset.apply(make_facts({"a": "text"})).skipped) == 1000
