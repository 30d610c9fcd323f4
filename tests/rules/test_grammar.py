from __future__ import annotations

import json
import math

import pytest
from hypothesis import given

from penstock.kit.errors import PenstockError
from penstock.rules.grammar import FIELDS, read_rule
from rule_words import rules

LEAST = {"name": "a", "then": [{"do": "record", "value": True}]}


def test_the_least_rule_and_what_it_means():
    terms = read_rule(LEAST, is_operator=False)
    assert terms.to_dict() == {
        "name": "a",
        "description": "",
        "priority": 0,
        "enabled": True,
        "shadow": False,
        "stop": False,
        "scope": "own",
        "when": None,
        "then": [{"do": "record", "value": True}],
    }
    assert tuple(terms.to_dict()) == FIELDS and not terms.late


@given(rules())
def test_what_is_shown_is_read_again_and_is_json(terms):
    shown = json.loads(json.dumps(terms.to_dict()))
    assert read_rule(shown, is_operator=False) == terms


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": " a"}, "name"),
        ({"name": None}, "name"),
        ({"description": "x" * 1001}, "description"),
        ({"description": "\0"}, "description"),
        ({"description": None}, "description"),
        ({"priority": 1_000_001}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"priority": 10**4000}, "priority"),
        ({"enabled": 1}, "enabled"),
        ({"shadow": "no"}, "shadow"),
        ({"stop": None}, "stop"),
        ({"scope": "some"}, "scope"),
        ({"scope": []}, "scope"),
        ({"when": []}, "when"),
        ({"when": {"on": "x", "value": 1}}, "when.on"),
        ({"then": []}, "then"),
        ({"then": None}, "then"),
        ({"then": {}}, "then"),
        ({"then": LEAST["then"] * 51}, "then"),
        ({"then": [5]}, "then.0.do"),
        ({"other": 1}, "other"),
        ({"id": "rul_1"}, "id"),
        ({"then": [{"do": "set", "path": "a", "value": math.nan}]}, "then.0.value"),
        ({"then": [{"do": "set", "path": "a", "value": {"b": [2**64]}}]}, "then.0.value.b.0"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(changed, param):
    with pytest.raises(PenstockError) as refused:
        read_rule(LEAST | changed, is_operator=True)
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


@pytest.mark.parametrize("given_", [None, [], "rule", 5])
def test_a_rule_is_an_object(given_):
    with pytest.raises(PenstockError):
        read_rule(given_, is_operator=True)


def test_a_rule_is_at_most_64_kb():
    fits = {"name": "a", "then": [{"do": "set", "path": "a", "value": "x" * 65_000}]}
    assert read_rule(fits, is_operator=False)
    for value in ("x" * 66_000, "é" * 33_000, ["x" * 1000] * 10_000, "\n" * 33_000):
        with pytest.raises(PenstockError, match="65536"):
            read_rule({"name": "a", "then": [{"do": "set", "path": "a", "value": value}]}, is_operator=False)


def test_rules_for_all_are_the_operators():
    assert read_rule(LEAST | {"scope": "all"}, is_operator=True).scope == "all"
    with pytest.raises(PenstockError) as refused:
        read_rule(LEAST | {"scope": "all"}, is_operator=False)
    assert (refused.value.code, refused.value.param) == ("forbidden", "scope")


@pytest.mark.parametrize(
    "action", [{"do": "rewrite_model", "model": "a"}, {"do": "route", "tags": ["a"]}, {"do": "refuse", "message": "a"}, LEAST["then"][0]]
)
def test_with_the_channel_known_it_is_too_late_for_some_actions(action):
    when = {"any": [{"on": "stream", "value": True}, {"none": [{"on": "channel", "value": "a"}]}]}
    possible = {"do": "set", "path": "a", "value": 1}
    assert read_rule({"name": "a", "when": when, "then": [possible]}, is_operator=False).late
    with pytest.raises(PenstockError) as refused:
        read_rule({"name": "a", "when": when, "then": [possible, action]}, is_operator=False)
    assert refused.value.param == "then.1.do"
