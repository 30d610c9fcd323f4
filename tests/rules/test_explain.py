from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.explain import SEEN_LIMIT, explain
from penstock.rules.ruleset import TOO_MUCH, judge
from rule_words import CHANNEL_LEAVES, LEAVES, conditions, make_facts, make_rules, make_terms, requests, rules


def why(when, facts):
    (explained,) = explain(make_rules(make_terms(when=when)), facts)
    return [(one.at, one.met, one.found, one.seen) for one in explained.blamed]


@given(st.lists(rules(), max_size=5), requests())
def test_it_says_what_the_rules_do(terms, facts):
    ruleset = make_rules(*[one for one in terms if not one.stop])
    explained = explain(ruleset, facts)
    verdict = judge(ruleset.rules, facts)
    if verdict is None or verdict.refusal is None:
        matched = {one.id for one in explained if one.matched}
        assert matched == set(verdict.fired + verdict.shadowed if verdict else ())


@given(conditions(LEAVES | CHANNEL_LEAVES).map(lambda given_: {"all": [given_]}), requests())
def test_for_what_has_not_matched_something_is_blamed_and_else_nothing(when, facts):
    then = [{"do": "set", "path": "a", "value": 1}]
    (explained,) = explain(make_rules(make_terms(then, when)), facts)
    if explained.reason == TOO_MUCH:  # a body that is nested too deep is given up
        assert not explained.matched
        return
    assert bool(explained.blamed) is not explained.matched and explained.reason is None
    for blamed in explained.blamed:
        place = {"when": when}
        for step in blamed.at.split("."):
            place = place[int(step)] if isinstance(place, list) else place[step]
        assert blamed.condition["on"] == place["on"]


def test_the_leaf_and_what_was_seen_there():
    facts = make_facts({"a": {"b": [1, "two"]}}, headers=b"x-team: a\r\nx-team: b\r\n")
    assert why({"all": [{"on": "stream", "value": False}, {"on": "model", "value": "claude*"}]}, facts) == [
        ("when.all.1", False, True, "gpt-4o")
    ]
    assert why({"on": "body", "name": "a", "value": 1}, facts) == [("when", False, True, {"b": [1, "two"]})]
    assert why({"on": "body", "name": "x", "value": 1}, facts) == [("when", False, False, None)]
    assert why({"on": "header", "name": "x-team", "value": "c"}, facts) == [("when", False, True, ["a", "b"])]
    assert why({"on": "body", "name": "a", "op": "exists", "value": False}, facts) == [("when", False, True, {"b": [1, "two"]})]
    assert why({"on": "time", "value": {"from": "09:00"}}, facts) == [("when", False, True, "2027-01-15T08:00:00+00:00")]
    assert why({"on": "channel", "value": "main"}, facts) == [("when", False, False, None)]
    assert why({"on": "channel", "value": "main"}, facts.at("other", frozenset())) == [("when", False, True, "other")]


def test_groups_blame_those_that_spoil_them():
    stream, still = {"on": "stream", "value": True}, {"on": "stream", "value": False}
    assert [at for at, *_ in why({"any": [stream, stream]}, make_facts())] == ["when.any.0", "when.any.1"]
    assert why({"none": [stream, still]}, make_facts()) == [("when.none.1", True, True, False)]
    assert [at for at, *_ in why({"none": [{"all": [still, still]}, {"any": [still, stream]}]}, make_facts())] == [
        "when.none.0.all.0", "when.none.0.all.1", "when.none.1.any.0",
    ]  # fmt: skip
    assert why({"none": [{"none": [stream]}]}, make_facts()) == [("when.none.0.none.0", False, True, False)]


def test_no_key_is_shown_and_nothing_long():
    facts = make_facts({"a": "my key is sk-abcdefghijklmnopqrstuvwxyz", "b": "x" * 5000, "c": ["é"] * 500})
    ((*_, seen),) = why({"on": "body", "name": "a", "value": "x"}, facts)
    assert "abcdef" not in seen and "redacted" in seen
    for name in "bc":
        ((*_, seen),) = why({"on": "body", "name": name, "value": "y"}, facts)
        assert len(seen) == SEEN_LIMIT + 1 and seen.endswith("…")


def test_what_would_go_through_too_much_says_so():
    searched = {"on": "body", "name": "a", "op": "matches", "value": "(x|y|z){100}$"}
    explained = explain(make_rules(*[make_terms(when=searched)] * 60), make_facts({"a": "a" * 2_000_000}))
    assert explained[-1].reason == TOO_MUCH and not explained[-1].matched


def test_shadow_and_late_are_told():
    late, shadow = explain(make_rules(make_terms(when={"on": "channel", "value": "*"}), make_terms(shadow=True)), make_facts({}))
    assert (late.late, late.matched, shadow.shadow, shadow.matched) == (True, False, True, True)
