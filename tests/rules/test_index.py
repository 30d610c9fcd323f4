from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.conditions import read_condition
from penstock.rules.index import BODY, ENDS, HEADER, KEY, MODEL, STARTS, WIRE, Beginnings, Index, marks_of
from penstock.rules.matching import as_test
from rule_words import conditions, make_facts, requests

GPT = {"on": "model", "value": "gpt-4o"}
WIRED = {"on": "wire", "value": "chat"}
STREAM = {"on": "stream", "value": True}


@pytest.mark.parametrize(
    ("given_", "marks"),
    [
        (GPT, {(MODEL, "", "gpt-4o")}),
        ({"on": "model", "value": ["gpt-*", "a"]}, {(STARTS, "", "gpt-"), (MODEL, "", "a")}),
        ({"on": "model", "value": "g?t*"}, {(STARTS, "", "g")}),
        ({"on": "model", "value": "*?mini"}, {(ENDS, "", "mini")}),
        ({"on": "model", "value": "*a*"}, None),
        ({"on": "model", "value": ["a", "*"]}, None),
        ({"on": "model", "op": "starts", "value": "a*"}, {(STARTS, "", "a*")}),
        ({"on": "model", "op": "is", "value": "a*"}, {(MODEL, "", "a*")}),
        ({"on": "model", "op": "matches", "value": "a"}, None),
        ({**GPT, "missing": True}, None),
        ({"on": "key", "value": "mine"}, {(KEY, "", "mine")}),
        ({"on": "key", "op": "like", "value": "m*"}, None),
        ({"on": "header", "name": "X-A", "value": "1"}, {(HEADER, "x-a", "1")}),
        ({"on": "body", "name": "a.b", "value": ["x", "y"]}, {(BODY, "a.b", "x"), (BODY, "a.b", "y")}),
        ({"on": "body", "name": "a", "value": ["x", 1]}, None),
        (STREAM, None),
        ({"none": [GPT]}, None),
        ({"all": [STREAM]}, None),
        ({"all": [STREAM, WIRED, GPT]}, {(MODEL, "", "gpt-4o")}),
        ({"all": [WIRED, {"on": "model", "value": "g*"}]}, {(WIRE, "", "chat")}),
        ({"any": [GPT, WIRED]}, {(MODEL, "", "gpt-4o"), (WIRE, "", "chat")}),
        ({"any": [GPT, STREAM]}, None),
        ({"all": [{"any": [GPT, STREAM]}, WIRED]}, {(WIRE, "", "chat")}),
    ],
)
def test_what_a_condition_requires(given_, marks):
    assert marks_of(read_condition(given_, "when")) == (None if marks is None else frozenset(marks))


def test_no_condition_requires_nothing():
    assert marks_of(None) is None


@given(st.lists(st.text("ab", min_size=1, max_size=5), unique=True, max_size=20), st.text("abc", max_size=7))
def test_beginnings_are_found(texts, text):
    beginnings = Beginnings({begin: [number] for number, begin in enumerate(texts)})
    found = {texts[number] for bucket in beginnings.find(text) for number in bucket}
    assert found == {begin for begin in texts if text.startswith(begin)}


@given(st.lists(st.none() | conditions(), max_size=6), requests())
def test_none_that_is_met_is_left_out_and_they_come_in_order(given_, facts):
    read = [None if one is None else read_condition(one, "when") for one in given_]
    found = list(Index(read).find(facts))
    assert found == sorted(set(found))
    assert {number for number, condition in enumerate(read) if as_test(condition)(facts)} <= set(found)


def test_of_very_many_only_those_that_could_be_met_are_found():
    given_ = [{"on": "model", "value": [f"model-{number}", f"m{number}-*"]} for number in range(1000)]
    index = Index(read_condition(one, "when") for one in given_)
    assert list(index.find(make_facts(model="model-7"))) == [7]
    assert list(index.find(make_facts(model="m7-x"))) == [7]
    assert list(index.find(make_facts(model="other"))) == []
    assert list(index.find(make_facts(model=None))) == []
