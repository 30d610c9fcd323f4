"""Rule words: what the platform's words say is what our rules mean, and what they cannot say is not lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from penstock.compat import rule_words as words
from penstock.kit.errors import PenstockError
from penstock.rules.actions import KINDS
from penstock.rules.actions import read_action as read_ours
from penstock.rules.grammar import read_rule
from penstock.rules.models import RuleRow

NAMES = {"key_a": "sk-...aaaa"}
X = {"on": "model", "op": "like", "value": "x"}
CHAT = {"scope": "api", "apiType": "chat.completions", "secretKey": "sk-...aaaa", "model": "gpt-4o"}
ACTIONS = [
    {"do": "rewrite_model", "model": "o1"},
    {"do": "set", "path": "a.b", "value": None},
    {"do": "default", "path": "a", "value": [1]},
    {"do": "delete", "path": "a"},
    {"do": "move", "from": "a", "to": "b"},
    {"do": "append", "path": "a", "value": "x"},
    {"do": "prepend", "path": "a", "value": {"x": 1}},
    {"do": "clamp", "path": "a", "min": 1, "max": 2.5},
    {"do": "set_header", "name": "x-a", "value": "b"},
    {"do": "delete_header", "name": "x-a"},
    {"do": "prepend_system", "text": "x"},
    {"do": "append_system", "text": "x"},
    {"do": "route", "tags": ["eu"]},
    {"do": "fallback", "models": ["gpt-4o-mini"]},
    {"do": "refuse", "message": "no", "status": 404},
    {"do": "record", "value": False},
]


def row(when: Any = None, then: Any = None, **columns: Any) -> RuleRow:
    terms = {"when": when, "then": then or [{"do": "set", "path": "temperature", "value": 1}]}
    plain = {"name": "a", "description": "", "priority": 0, "enabled": True, "shadow": False, "stop": False, "scope": "own"}
    return RuleRow(id="rul_a", account_id="acc_a", terms=terms, created_at_ms=0, changed_at_ms=0, **{**plain, **columns})


def refusal(act: Any, *arguments: Any) -> str | None:
    with pytest.raises(PenstockError) as refused:
        act(*arguments)
    return refused.value.param


def canonical(when: Any) -> Any:
    return read_rule({"name": "a", "when": when, "then": [{"do": "record", "value": True}]}, is_operator=False).to_dict()["when"]


def test_every_action_can_be_said():
    assert {action["do"] for action in ACTIONS} == set(KINDS)
    for action in ACTIONS:
        said = words.shown_action(action)
        assert set(said) == {"type", "field", "value"} and said["type"] in words.TYPES
        assert words.read_action(said, "x") == action
        assert read_ours(words.read_action(said, "x"), "x").to_dict() == action
    assert words.shown_action(ACTIONS[0]) == {"type": "override", "field": "model", "value": "o1"}
    assert words.shown_action(ACTIONS[1]) == {"type": "override", "field": "a.b", "value": None}
    assert words.read_action({"type": "remove", "field": "a"}, "x") == {"do": "delete", "path": "a"}


@pytest.mark.parametrize(
    ("action", "place"),
    [
        ("x", "a"), ({"type": "set", "field": "a"}, "a.type"), ({"type": ["override"]}, "a.type"), ({"field": "a"}, "a.type"),
        ({"type": "override", "field": 5}, "a.field"), ({"type": "clamp", "field": "a", "value": 5}, "a.value"),
        ({"type": "refuse", "value": {"code": 1}}, "a.value.code"), ({"type": "override", "path": "a"}, "a.path"),
    ],
)  # fmt: skip
def test_actions_that_are_none(action, place):
    assert refusal(words.read_action, action, "a") == place


def test_fields_of_a_condition_are_all_meant_and_conditions_any():
    key_ids = {"sk-...aaaa": "key_a"}
    both = words.read_conditions([CHAT, {"model": "o1*"}], key_ids)
    chat, key, model = both["any"][0]["all"]
    assert (chat["value"], key["value"], model["value"]) == ("chat", "key_a", "gpt-4o")
    assert words.shown_conditions(canonical(both), NAMES) == ([CHAT, {"scope": "api", "model": "o1*"}], True)
    for every in ([], None, [{}], [{"scope": "global"}], [CHAT, {"scope": "api", "apiType": "", "model": None}]):
        assert words.read_conditions(every, key_ids) is None
    assert words.shown_conditions(None, NAMES) == ([], True)
    assert words.read_conditions([{"apiType": "messages"}], {}) == {"on": "wire", "op": "is", "value": "messages"}


@pytest.mark.parametrize(
    ("conditions", "place"),
    [
        ("x", "conditions"), (["x"], "conditions.0"), ([{"scope": "moon"}], "conditions.0.scope"), ([{"model": 5}], "conditions.0.model"),
        ([{"apiType": "telegraph"}], "conditions.0.apiType"), ([{"apiType": "images.edits"}], "conditions.0.apiType"),
        ([{}, {"tag": "x"}], "conditions.1.tag"),
    ],
)  # fmt: skip
def test_conditions_that_are_none(conditions, place):
    assert refusal(words.read_conditions, conditions, {}) == place


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ({"on": "model", "op": "matches", "value": "x"}, []),
        ({"on": "stream", "op": "is", "value": True}, []),
        ({"on": "time", "value": {"from": "22:00", "until": "06:00"}}, []),
        ({"none": [{"on": "wire", "op": "is", "value": "chat"}]}, []),
        ({"on": "wire", "op": "in", "value": ["chat"]}, []),
        ({"on": "model", "op": "like", "value": "x", "missing": True}, []),
        ({"all": [dict(X), {**X, "value": "y"}]}, [{"scope": "api", "model": "x"}]),
        (
            {"all": [{"on": "wire", "op": "is", "value": "chat"}, {"on": "stream", "op": "is", "value": True}]},
            [{"scope": "api", "apiType": "chat.completions"}],
        ),
        (
            {"any": [{"on": "key", "op": "is", "value": "key_gone"}, {"on": "header", "name": "x", "op": "exists", "value": True}]},
            [{"scope": "api", "secretKey": "key_gone"}],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_shown_beside(when, shown):
    one = row(when)
    told = words.shown(one, NAMES)
    assert (told["conditions"], told["penstock"]["complete"], told["penstock"]["when"]) == (shown, False, when)
    assert words.changes_of(told, {}, one, NAMES) == {"name": "a", "description": "", "priority": 0, "enabled": True}
    changed = {**told, "conditions": [{"model": "z"}]}
    assert refusal(words.changes_of, changed, {}, one, NAMES) == "conditions"


def test_what_is_sent_back_as_it_was_shown_changes_nothing():
    when = canonical(
        {"any": [{"all": [{"on": "wire", "value": "chat"}, {"on": "model", "op": "is", "value": "m"}]}, {"on": "key", "value": "key_a"}]}
    )
    one = row(when, ACTIONS)
    told = words.shown(one, NAMES)
    assert words.changes_of(told, {}, one, NAMES).keys() & {"when", "then"} == set()
    changes = words.changes_of({**told, "conditions": [CHAT], "ruleName": "b"}, {"sk-...aaaa": "key_a"}, one, NAMES)
    assert changes["name"] == "b" and canonical(changes["when"])["all"][1]["value"] == "key_a" and "then" not in changes
    changes = words.changes_of({"actions": [{"type": "delete", "field": "x"}]}, {}, one, NAMES)
    assert changes == {"then": [{"do": "delete", "path": "x"}]}


def test_what_is_ours_can_be_changed_beside():
    one = row()
    told = words.shown(one, NAMES)
    extra = {**told["penstock"], "shadow": True, "when": {"on": "stream", "op": "is", "value": True}}
    changes = words.changes_of({**told, "penstock": extra}, {}, one, NAMES)
    assert changes["shadow"] is True and changes["when"]["on"] == "stream" and "then" not in changes
    both = {**told, "penstock": extra, "conditions": [{"model": "x"}]}
    assert refusal(words.changes_of, both, {}, one, NAMES) == "conditions"
    assert refusal(words.changes_of, {"penstock": {"surprise": 1}}, {}, one, NAMES) == "penstock.surprise"
    made = words.changes_of({**told, "penstock": extra, "conditions": [{"model": "x"}]}, {}, None, {})
    assert made["when"]["on"] == "stream", "when a rule is made, ours counts"


def test_names_of_wires():
    assert words.wire_of("chat.completions", "x") == words.wire_of("chat", "x") == "chat"
    assert set(map(words.wire_of, words.api_types(), words.api_types())) == {words.wire_of(each, "x") for each in words.api_types()}
    assert words.shown_type("images") == "images.generations" and words.shown_type("any") == "any"


def test_places_are_called_as_they_call_them():
    error = words.in_their_words(PenstockError("invalid_request", "x", param="then.0.path"))
    assert error.param == "actions.0.path"
    assert words.in_their_words(PenstockError("conflict", "x")).param is None


_TEXTS = st.none() | st.sampled_from(["", "chat.completions", "messages", "gpt-*", "sk-...aaaa", "api", "global"]) | st.integers(0, 1)


@examples(st.lists(st.dictionaries(st.sampled_from(words.CONDITION), _TEXTS), max_size=3))
def test_conditions_go_and_come_back(conditions):
    try:
        when = words.read_conditions(conditions, {"sk-...aaaa": "key_a"})
    except (PenstockError, KeyError):
        return
    shown, complete = words.shown_conditions(canonical(when), NAMES)
    assert complete and canonical(words.read_conditions(shown, {"sk-...aaaa": "key_a"})) == canonical(when)
