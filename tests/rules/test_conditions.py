from __future__ import annotations

import pytest
from hypothesis import given

from penstock.kit.errors import PenstockError
from penstock.rules.conditions import Group, Leaf, leaves, read_condition
from rule_words import CHANNEL_LEAVES, LEAVES, conditions


def nested(levels: int) -> dict:
    condition: dict = {"on": "stream", "value": True}
    for _ in range(levels):
        condition = {"all": [condition]}
    return condition


@pytest.mark.parametrize(
    ("given_", "op"),
    [
        ({"on": "wire", "value": "chat"}, "is"),
        ({"on": "model", "value": "gpt-*"}, "like"),
        ({"on": "key", "value": "mine"}, "is"),
        ({"on": "channel", "value": "main*"}, "like"),
        ({"on": "channel", "name": "tag", "value": "eu"}, "is"),
        ({"on": "header", "name": "X-Team", "value": ["a", "b"]}, "is"),
        ({"on": "body", "name": "a.0", "value": None}, "is"),
        ({"on": "input_tokens", "value": 5}, "is"),
        ({"on": "stream", "value": True}, "is"),
    ],
)
def test_the_usual_operator(given_, op):
    leaf = read_condition(given_, "when")
    assert isinstance(leaf, Leaf) and leaf.op == op and not leaf.missing
    assert leaf.to_dict() == {**given_, "op": op, **({"name": "x-team"} if given_["on"] == "header" else {})}


@given(conditions(LEAVES | CHANNEL_LEAVES))
def test_what_is_shown_is_read_again(given_):
    condition = read_condition(given_, "when")
    assert read_condition(condition.to_dict(), "when") == condition


def test_groups_hold_groups():
    condition = read_condition({"all": [{"any": [nested(1), {"on": "stream", "value": False}]}, {"none": [nested(0)]}]}, "when")
    assert isinstance(condition, Group) and [leaf.value for leaf in leaves(condition)] == [True, False, True]


@pytest.mark.parametrize(
    ("given_", "param"),
    [
        (None, "when"),
        ([], "when"),
        ({}, "when.on"),
        ({"on": "weather", "value": 1}, "when.on"),
        ({"on": [], "value": 1}, "when.on"),
        ({"all": []}, "when.all"),
        ({"all": {}}, "when.all"),
        ({"all": [1]}, "when.all.0"),
        ({"all": [nested(0)], "any": []}, "when.any"),
        ({"all": [nested(0), {"none": [{"on": "wire", "value": "char"}]}]}, "when.all.1.none.0.value"),
        (nested(6), "when.all.all.all.all.all.all".replace("all.", "all.0.")),
        ({"on": "wire"}, "when.value"),
        ({"on": "stream", "value": True, "if": 1}, "when.if"),
        ({"on": "wire", "op": "like", "value": "ch*"}, "when.op"),
        ({"on": "wire", "op": [], "value": "chat"}, "when.op"),
        ({"on": "wire", "value": []}, "when.value"),
        ({"on": "wire", "value": ["chat", 1]}, "when.value.1"),
        ({"on": "wire", "value": {"a": 1}}, "when.value"),
        ({"on": "wire", "op": "in", "value": "chat"}, "when.value"),
        ({"on": "wire", "name": "x", "value": "chat"}, "when.name"),
        ({"on": "channel", "name": "x", "value": "chat"}, "when.name"),
        ({"on": "model", "value": ""}, "when.value"),
        ({"on": "model", "value": 5}, "when.value"),
        ({"on": "model", "value": "x" * 513}, "when.value"),
        ({"on": "model", "op": "matches", "value": ["a"]}, "when.value"),
        ({"on": "model", "op": "matches", "value": "("}, "when.value"),
        ({"on": "model", "op": "exists", "value": 1}, "when.value"),
        ({"on": "model", "op": "contains", "value": ""}, "when.value"),
        ({"on": "body", "value": 1}, "when.name"),
        ({"on": "body", "name": "a..b", "value": 1}, "when.name"),
        ({"on": "body", "name": 5, "value": 1}, "when.name"),
        ({"on": "body", "name": "model", "value": "x"}, "when.name"),
        ({"on": "body", "name": "a", "op": "above", "value": "1"}, "when.value"),
        ({"on": "body", "name": "a", "op": "above", "value": True}, "when.value"),
        ({"on": "body", "name": "a", "op": "starts", "value": 1}, "when.value"),
        ({"on": "body", "name": "a", "value": 1, "missing": 1}, "when.missing"),
        ({"on": "header", "value": "x"}, "when.name"),
        ({"on": "header", "name": "cookie", "value": "x"}, "when.name"),
        ({"on": "header", "name": "Authorization", "op": "exists", "value": True}, "when.name"),
        ({"on": "header", "name": "x-penstock-a", "value": "x"}, "when.name"),
        ({"on": "header", "name": "x-a", "op": "above", "value": 1}, "when.op"),
        ({"on": "input_tokens", "op": "above", "value": "5"}, "when.value"),
        ({"on": "input_tokens", "value": [5, True]}, "when.value.1"),
        ({"on": "stream", "value": "true"}, "when.value"),
        ({"on": "time", "value": {"from": "x"}}, "when.value.from"),
        ({"on": "model", "value": ["a"] * 1001}, "when.value"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(given_, param):
    with pytest.raises(PenstockError) as refused:
        read_condition(given_, "when")
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


def test_there_are_at_most_fifty():
    read_condition({"any": [nested(0)] * 50}, "when")
    with pytest.raises(PenstockError, match="50"):
        read_condition({"any": [{"all": [nested(0)] * 50}, nested(0)]}, "when")


def test_five_groups_deep_is_enough():
    assert read_condition(nested(5), "when")
