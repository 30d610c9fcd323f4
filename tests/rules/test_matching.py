from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given

from penstock.rules.conditions import read_condition
from penstock.rules.globs import is_glob
from penstock.rules.matching import as_test, same
from penstock.rules.tree import Exhausted
from rule_words import CHANNEL_LEAVES, LEAVES, VALUES, conditions, make_facts, requests


def met(condition, facts) -> bool:
    return as_test(read_condition(condition, "when"))(facts)


BODY = {"n": 1, "f": 1.0, "t": "1", "yes": True, "null": None, "list": ["a", 1, None], "deep": {"a": {"b": "hello"}}, "empty": ""}


@pytest.mark.parametrize(
    ("path", "op", "value", "answer"),
    [
        ("n", "is", 1, True),
        ("n", "is", 1.0, True),
        ("f", "is", 1, True),
        ("n", "is", "1", False),
        ("t", "is", 1, False),
        ("t", "is", "1", True),
        ("yes", "is", True, True),
        ("yes", "is", 1, False),
        ("n", "is", True, False),
        ("null", "is", None, True),
        ("n", "is", None, False),
        ("list", "is", [["a", 1.0, None]], True),
        ("list", "is", [["a", True, None]], False),
        ("list", "is", ["a"], False),
        ("deep.a", "is", {"b": "hello"}, True),
        ("deep.a", "is", {"b": "hello", "c": 1}, False),
        ("n", "in", ["1", 1], True),
        ("n", "in", ["1", True], False),
        ("empty", "is", "", True),
        ("deep.a.b", "like", "h*o", True),
        ("deep.a.b", "like", "H*", False),
        ("deep.a.b", "like", ["x", "hell?"], True),
        ("n", "like", "1", False),
        ("deep.a.b", "matches", "l+", True),
        ("deep.a.b", "matches", "^l", False),
        ("n", "matches", "1", False),
        ("deep.a.b", "contains", "ell", True),
        ("deep.a.b", "contains", ["x", "lo"], True),
        ("list", "contains", "a", True),
        ("list", "contains", 1.0, True),
        ("list", "contains", True, False),
        ("list", "contains", None, True),
        ("deep", "contains", "a", False),
        ("deep.a.b", "starts", "he", True),
        ("deep.a.b", "starts", ["x", "h"], True),
        ("deep.a.b", "ends", "lo", True),
        ("n", "starts", "1", False),
        ("n", "above", 0, True),
        ("n", "above", 1, False),
        ("n", "at_least", 1.0, True),
        ("f", "below", 1.5, True),
        ("f", "at_most", 0.5, False),
        ("t", "above", 0, False),
        ("yes", "above", 0, False),
        ("null", "below", 5, False),
        ("null", "exists", True, True),
        ("nothing", "exists", True, False),
        ("nothing", "exists", False, True),
        ("list.0", "exists", True, True),
        ("list.-1", "is", None, True),
        ("nothing", "is", None, False),
        ("nothing", "below", 5, False),
    ],
)
def test_operators_on_the_body_never_coerce(path, op, value, answer):
    assert met({"on": "body", "name": path, "op": op, "value": value}, make_facts(BODY)) is answer


@pytest.mark.parametrize("body", [None, b"[1]", b"no json", {"b": 1}])
@pytest.mark.parametrize("missing", [True, False])
def test_what_is_missing_gives_what_was_said(body, missing):
    facts = make_facts(body, model=None, key_id=None, headers=b"")
    for leaf in (
        {"on": "body", "name": "a", "op": "is", "value": 1},
        {"on": "body", "name": "a.b", "op": "above", "value": 1},
        {"on": "header", "name": "x-a", "value": "1"},
        {"on": "model", "value": "*"},
        {"on": "key", "value": "mine"},
        {"on": "channel", "value": "*"},
        {"on": "channel", "name": "tag", "value": "eu"},
    ):
        assert met({**leaf, "missing": missing}, facts) is missing


@pytest.mark.parametrize(
    ("leaf", "answer"),
    [
        ({"on": "wire", "value": "chat"}, True),
        ({"on": "wire", "value": ["messages", "chat"]}, True),
        ({"on": "wire", "value": "messages"}, False),
        ({"on": "model", "value": "gpt-*"}, True),
        ({"on": "model", "value": ["x", "gpt-4o"]}, True),
        ({"on": "model", "op": "is", "value": "gpt-*"}, False),
        ({"on": "model", "value": "GPT-*"}, False),
        ({"on": "model", "op": "matches", "value": "4o$"}, True),
        ({"on": "model", "op": "exists", "value": False}, False),
        ({"on": "model", "op": "starts", "value": "gpt"}, True),
        ({"on": "model", "value": "[g]pt-4o"}, False),
        ({"on": "key", "value": "key_1"}, True),
        ({"on": "key", "value": "mine"}, True),
        ({"on": "key", "value": "key_2"}, False),
        ({"on": "key", "op": "like", "value": "m*"}, True),
        ({"on": "header", "name": "X-Team", "value": "b"}, True),
        ({"on": "header", "name": "x-team", "op": "starts", "value": "a"}, True),
        ({"on": "header", "name": "x-team", "value": "a, b"}, False),
        ({"on": "header", "name": "x-none", "op": "exists", "value": False}, True),
        ({"on": "input_tokens", "op": "above", "value": 99.5}, True),
        ({"on": "input_tokens", "value": [5, 100]}, True),
        ({"on": "input_tokens", "op": "below", "value": 100}, False),
        ({"on": "stream", "value": False}, True),
        ({"on": "stream", "value": True}, False),
        ({"on": "time", "value": {"from": "07:00", "until": "09:00"}}, True),
        ({"on": "time", "value": {"from": "09:00"}}, False),
        ({"on": "channel", "value": "main-*"}, True),
        ({"on": "channel", "name": "tag", "value": ["us", "eu"]}, True),
        ({"on": "channel", "name": "tag", "value": "us"}, False),
    ],
)
def test_everything_else_that_can_be_looked_at(leaf, answer):
    facts = make_facts({}, headers=b"x-team: a1\r\nx-team: b\r\n").at("main-1", frozenset({"eu"}))
    assert met(leaf, facts) is answer


@pytest.mark.parametrize(
    ("group", "answer"),
    [
        ({"all": [True, True]}, True),
        ({"all": [True, False]}, False),
        ({"any": [False, True]}, True),
        ({"any": [False, False]}, False),
        ({"none": [False, False]}, True),
        ({"none": [False, True]}, False),
        ({"none": [True]}, False),
        ({"none": [False]}, True),
        ({"all": [True]}, True),
    ],
)
def test_groups(group, answer):
    ((kind, members),) = group.items()
    assert met({kind: [{"on": "stream", "value": member} for member in members]}, make_facts(stream=True)) is answer


def test_no_condition_is_always_met():
    assert as_test(None)(make_facts())


@given(conditions(LEAVES | CHANNEL_LEAVES), requests())
def test_a_condition_gives_an_answer_whatever_the_request_is_and_the_same_one_again(given_, facts):
    condition = read_condition(given_, "when")
    try:
        answer = as_test(condition)(facts)
    except Exhausted:  # a body that is nested too deep is given up
        return
    assert answer in {True, False} and as_test(condition)(facts) is answer
    again = as_test(read_condition(condition.to_dict(), "when"))(facts.at("x", frozenset()).after(None))
    assert isinstance(again, bool)


@given(VALUES)
def test_a_value_is_the_same_as_itself(value):
    assert same(value, value) and not same(value, [value])


def test_plain_names_are_no_globs():
    assert [is_glob(text) for text in ("gpt-4o", "[a]", "a*", "a?")] == [False, False, True, True]


def test_a_greedy_pattern_on_a_long_text_comes_to_an_end():
    facts = make_facts({"a": "a" * 500_000 + "!"})
    assert not met({"on": "body", "name": "a", "op": "matches", "value": "(a+)+$"}, facts)


def test_nobody_searches_forever():
    facts = make_facts({"a": "a" * 500_000})
    leaf = read_condition({"on": "body", "name": "a", "op": "matches", "value": "(x|y|z){100}$"}, "when")
    with pytest.raises(Exhausted):
        deque(map(as_test(leaf), [facts] * 1000), maxlen=0)


@pytest.mark.parametrize(
    "leaf",
    [
        {"op": "like", "value": [f"*a?b{number}*" for number in range(1000)]},
        {"op": "is", "value": [[0] * 5000]},
        {"op": "contains", "value": [[0] * 5000]},
    ],
)
def test_nobody_compares_forever(leaf):
    text = isinstance(leaf["value"][0], str)
    facts = make_facts({"a": "a" * 3000 if text else [0] * 4999 + [1] if leaf["op"] == "is" else [[0] * 4999 + [1]] * 50})
    test = as_test(read_condition({"on": "body", "name": "a", **leaf}, "when"))
    with pytest.raises(Exhausted):
        deque(map(test, [facts] * 200), maxlen=0)


def test_a_glob_is_met_by_long_texts_too():
    facts = make_facts({"a": "x" * 5000 + "secret" + "x" * 5000}, model="gpt-" + "x" * 600)
    assert met({"on": "body", "name": "a", "op": "like", "value": "*secret*"}, facts) and met({"on": "model", "value": "gpt-*"}, facts)


def test_a_pattern_costs_something_even_where_there_is_next_to_no_text():
    facts = make_facts({"a": "a"})
    test = as_test(read_condition({"on": "body", "name": "a", "op": "matches", "value": "b"}, "when"))
    with pytest.raises(Exhausted):
        deque(map(test, [facts] * 10_000), maxlen=0)
