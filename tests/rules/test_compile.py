from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.compile import NO_RULES, compile_rule, compile_rules
from rule_words import make_facts, make_terms, requests, rules, shown


@given(st.lists(rules(), max_size=6), requests(), st.randoms(use_true_random=False))
def test_the_order_in_which_they_are_given_is_of_no_matter(terms, facts, random):
    rows = [(f"rul_{number}", one) for number, one in enumerate(terms)]
    shuffled = random.sample(rows, len(rows))
    one, other = compile_rules(rows), compile_rules(iter(shuffled))
    assert [rule.id for rule in one.rules] == [rule.id for rule in other.rules]
    assert shown(one.apply(facts)) == shown(other.apply(facts))


def test_those_that_are_not_enabled_are_left_out():
    assert [rule.id for rule in compile_rules([("b", make_terms()), ("a", make_terms(enabled=False))]).rules] == ["b"]


def test_no_rules():
    assert compile_rules([]) is NO_RULES and NO_RULES.is_empty and not NO_RULES.late
    assert NO_RULES.apply(make_facts({})) is None


def test_priority_comes_before_the_id():
    rows = [("c", make_terms(priority=-1)), ("b", make_terms()), ("a", make_terms()), ("d", make_terms(priority=1))]
    assert [rule.id for rule in compile_rules(rows).rules] == ["c", "a", "b", "d"]


def test_one_rule_is_compiled_even_if_it_is_not_enabled():
    rule = compile_rule("rul_1", make_terms(enabled=False))
    assert (rule.id, rule.test(make_facts())) == ("rul_1", True)
