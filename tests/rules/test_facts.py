from __future__ import annotations

import pytest
from hypothesis import given

from penstock.rules.facts import LEAST_EFFORT
from penstock.rules.paths import read_path
from penstock.rules.tree import MISSING, Exhausted
from penstock.rules.verdict import Verdict
from rule_words import BODIES, PATHS, make_facts


def at(facts, path):
    return facts.value(read_path(path, "x"))


def test_values_are_found_by_path():
    facts = make_facts({"a": {"b": [1, {"c": None}]}, "0": "zero", "x.y": 2.5})
    assert at(facts, "a.b.0") == 1 and at(facts, "a.b.-1.c") is None and at(facts, "0") == "zero" and at(facts, r"x\.y") == 2.5
    assert at(facts, "a") == {"b": [1, {"c": None}]}
    assert all(at(facts, path) is MISSING for path in ("b", "a.c", "a.b.2", "a.b.c", "a.b.0.c", "0.0", "a.b.-3", "-1"))


def test_null_is_there_and_what_is_not_there_is_not():
    facts = make_facts({"a": None})
    assert facts.has(("a",)) and not facts.has(("b",)) and not facts.has(("a", "b"))


@given(BODIES, PATHS)
def test_no_body_makes_it_fail_and_looking_twice_is_looking_once(body, path):
    facts, others = make_facts(body), make_facts(body)
    try:
        found = at(facts, path)
    except Exhausted:  # it is nested too deeply
        return
    assert at(facts, path) is found and repr(at(others, path)) == repr(found)
    assert facts.has(read_path(path, "x")) or found is MISSING


@pytest.mark.parametrize("body", [None, b"", b"[1]", b"nothing", b'{"a":NaN}', b"\xff"])
def test_what_is_no_object_has_nothing_in_it(body):
    facts = make_facts(body)
    assert facts.fields is None and at(facts, "a") is MISSING and not facts.has(("a",))


def test_headers_are_found_by_name_all_of_them():
    facts = make_facts(headers=b"x-a: 1\r\nx-b: \xe9\r\nx-a: 2\r\n")
    assert facts.header("x-a") == ("1", "2") and facts.header("x-b") == ("é",) and facts.header("a") == facts.header("x-c") == ()


def test_after_a_verdict():
    facts = make_facts({"a": 1}, headers=b"x-a: 1\r\n")
    assert facts.after(None) is facts and facts.after(Verdict()) is facts
    verdict = Verdict()
    verdict.model, verdict.body, verdict.headers = "other", b'{"a":2}', ((b"x-a", None), (b"x-b", b"2"))
    after = facts.after(verdict)
    assert (after.model, at(after, "a"), after.headers) == ("other", 2, b"x-b: 2\r\n")
    assert (after.wire, after.key_id, after.key_name, after.input_tokens, after.stream, after.now_ms) == (
        facts.wire, facts.key_id, facts.key_name, facts.input_tokens, facts.stream, facts.now_ms,
    )  # fmt: skip
    assert (facts.model, at(facts, "a"), facts.headers) == ("gpt-4o", 1, b"x-a: 1\r\n")


def test_at_a_channel():
    facts = make_facts({"a": 1}).at("main", frozenset({"eu"}))
    assert (facts.channel, facts.tags, at(facts, "a")) == ("main", {"eu"}, 1)
    assert (make_facts().channel, make_facts().tags) == (None, frozenset())


def test_nobody_goes_through_more_than_so_much():
    facts = make_facts({"a": "x"})
    facts.spend(LEAST_EFFORT)
    with pytest.raises(Exhausted):
        facts.spend(10_000)
    large = make_facts(b" " * 1000)
    large.spend(LEAST_EFFORT + 8000)
    with pytest.raises(Exhausted):
        large.spend(1)


def test_what_is_too_much_is_not_done_and_what_is_less_still_may_be():
    facts = make_facts({"a": "x"})
    with pytest.raises(Exhausted):
        facts.spend(1 << 40)
    facts.spend(1000)


def test_what_is_nested_too_deeply_is_not_taken_for_missing():
    facts = make_facts(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    for _ in range(2):
        with pytest.raises(Exhausted):
            at(facts, "b")
