from __future__ import annotations

import pytest
from hypothesis import given

from penstock.kit.errors import PenstockError
from penstock.rules.actions import KINDS, PER_ATTEMPT, read_action
from rule_words import ACTIONS

EXAMPLES = [
    {"do": "rewrite_model", "model": "gpt-4o-mini"},
    {"do": "set", "path": "a.b.0.c", "value": {"x": [1, None]}},
    {"do": "default", "path": "a", "value": None},
    {"do": "delete", "path": "a"},
    {"do": "move", "from": "a", "to": "b"},
    {"do": "append", "path": "a", "value": "x"},
    {"do": "prepend", "path": "a", "value": 1},
    {"do": "clamp", "path": "a", "min": 0, "max": 1.5},
    {"do": "clamp", "path": "a", "max": 0},
    {"do": "set_header", "name": "x-a", "value": "é"},
    {"do": "delete_header", "name": "x-a"},
    {"do": "prepend_system", "text": "x"},
    {"do": "append_system", "text": "x"},
    {"do": "route", "tags": ["eu", "a:b"]},
    {"do": "fallback", "models": ["a", "b/c"]},
    {"do": "refuse", "message": "No.", "status": 451},
    {"do": "record", "value": False},
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["do"])
def test_actions_are_shown_as_they_were_given(example):
    assert read_action(example, "x").to_dict() == example


def test_there_is_an_example_of_every_kind():
    assert {example["do"] for example in EXAMPLES} == KINDS.keys()
    assert {kind for kind, action in KINDS.items() if action not in PER_ATTEMPT} == {
        "rewrite_model",
        "route",
        "fallback",
        "refuse",
        "record",
    }


def test_a_refusal_is_403_unless_it_says():
    assert read_action({"do": "refuse", "message": "No."}, "x").status == 403


@given(ACTIONS)
def test_what_is_shown_is_read_again(given_):
    action = read_action(given_, "x")
    assert read_action(action.to_dict(), "x") == action


@pytest.mark.parametrize(
    ("given_", "param"),
    [
        (5, "x.do"),
        ({}, "x.do"),
        ({"do": "jump"}, "x.do"),
        ({"do": []}, "x.do"),
        ({"do": "set", "path": "a"}, "x.value"),
        ({"do": "set", "value": 1}, "x.path"),
        ({"do": "set", "path": 1, "value": 1}, "x.path"),
        ({"do": "set", "path": "", "value": 1}, "x.path"),
        ({"do": "delete", "path": "a", "value": 1}, "x.value"),
        ({"do": "move", "from": "a"}, "x.to"),
        ({"do": "move", "from": "a", "to": "a.b"}, "x.to"),
        ({"do": "move", "from": "a.b", "to": "a"}, "x.to"),
        ({"do": "move", "from": "a", "to": "model"}, "x.to"),
        ({"do": "move", "from": "stream", "to": "a"}, "x.from"),
        ({"do": "clamp", "path": "a"}, "x"),
        ({"do": "clamp", "path": "a", "min": "1"}, "x.min"),
        ({"do": "clamp", "path": "a", "min": True}, "x.min"),
        ({"do": "clamp", "path": "a", "min": 2, "max": 1}, "x.min"),
        ({"do": "rewrite_model", "model": ""}, "x.model"),
        ({"do": "rewrite_model", "model": " a"}, "x.model"),
        ({"do": "rewrite_model", "model": "a\nb"}, "x.model"),
        ({"do": "rewrite_model", "model": "x" * 257}, "x.model"),
        ({"do": "set_header", "name": "x-a", "value": "a\r\nb"}, "x.value"),
        ({"do": "set_header", "name": "host", "value": "a"}, "x.name"),
        ({"do": "set_header", "name": "x-a", "value": 1}, "x.value"),
        ({"do": "delete_header", "name": "Authorization"}, "x.name"),
        ({"do": "prepend_system", "text": ""}, "x.text"),
        ({"do": "append_system", "text": "x" * 32_769}, "x.text"),
        ({"do": "route", "tags": []}, "x.tags"),
        ({"do": "fallback", "models": []}, "x.models"),
        ({"do": "fallback", "models": ["a"] * 6}, "x.models"),
        ({"do": "fallback", "models": ["a", " b"]}, "x.models.1"),
        ({"do": "route", "tags": ["a b"]}, "x.tags"),
        ({"do": "route", "tags": ["a", 1]}, "x.tags.1"),
        ({"do": "route", "tags": "eu"}, "x.tags"),
        ({"do": "refuse", "message": ""}, "x.message"),
        ({"do": "refuse", "message": "\0"}, "x.message"),
        ({"do": "refuse", "message": "a", "status": 500}, "x.status"),
        ({"do": "refuse", "message": "a", "status": 399}, "x.status"),
        ({"do": "refuse", "message": "a", "status": "403"}, "x.status"),
        ({"do": "refuse", "message": "a", "status": True}, "x.status"),
        ({"do": "record", "value": 1}, "x.value"),
        ({"do": "record", "value": None}, "x.value"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(given_, param):
    with pytest.raises(PenstockError) as refused:
        read_action(given_, "x")
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


@pytest.mark.parametrize("path", ["model", "stream", "stream_options", "stream_options.include_usage", "model.0"])
@pytest.mark.parametrize("do", ["set", "default", "append", "prepend", "delete", "clamp"])
def test_no_action_changes_what_the_gateway_goes_by(do, path):
    given_ = {"do": do, "path": path} | ({} if do in {"delete", "clamp"} else {"value": 1}) | ({"min": 1} if do == "clamp" else {})
    with pytest.raises(PenstockError) as refused:
        read_action(given_, "then.0")
    assert refused.value.param == "then.0.path"
