"""Operations: new-api's overrides mean here what they mean there, or are refused with their place."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.rules.compile import compile_rules
from penstock.rules.facts import Facts
from penstock.rules.grammar import read_rule
from penstock.rules.operations import BLOCKED, from_fields, from_operations


def applied(parts, body, tokens=10):
    """What rules of these parts make of a body: the body with its model, or the words of a refusal."""
    rows = []
    for number, part in enumerate(parts):
        rule = {"name": f"{number}", "priority": number, "when": part.when, "then": part.then}
        rows.append((f"rul_{number:04}", read_rule(rule, is_operator=False)))
    facts = Facts("chat", body.get("model"), None, "", b"", json.dumps(body).encode(), tokens, False, 0)
    verdict = compile_rules(rows).apply(facts)
    if verdict is None:
        return body
    if verdict.refusal is not None:
        return verdict.refusal.message
    made = body if verdict.body is None else json.loads(verdict.body)
    return made if verdict.model is None else {**made, "model": verdict.model}


def done(operations, body, **options):
    return applied(from_operations(operations), body, **options)


def refusal(operations) -> str | None:
    with pytest.raises(PenstockError) as refused:
        from_operations(operations)
    assert refused.value.code == "invalid_request"
    return refused.value.param


def when(*conditions, logic=None, **operation):
    operation = {"path": "hit", "mode": "set", "value": 1, **operation, "conditions": list(conditions)}
    return operation if logic is None else {**operation, "logic": logic}


def test_the_older_map_of_fields():
    parts = from_fields({"temperature": 0, "metadata": {"a": 1}, "a.b": None, "model": "other", "back\\slash": 1})
    body = {"model": "m", "temperature": 1, "a": {"b": 2}}
    assert applied(parts, body) == {
        "model": "other", "temperature": 0, "a": {"b": 2}, "metadata": {"a": 1}, "a.b": None, "back\\slash": 1,
    }  # fmt: skip
    assert [len(part.then) for part in from_fields({f"f{number}": 0 for number in range(120)})] == [50, 50, 20]
    for fields in ({}, {"stream": True}, {"model": 5}, {"": 1}):
        with pytest.raises(PenstockError):
            from_fields(fields)


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        ({"mode": "set", "path": "a.b", "value": 1}, {"a": {}}, {"a": {"b": 1}}),
        ({"mode": "set", "path": "a", "value": 1, "keep_origin": True}, {"a": 5}, {"a": 5}),
        ({"mode": "set", "path": "a", "value": 1, "keep_origin": True}, {"a": None}, {"a": None}),
        ({"mode": "set", "path": "a", "value": 1, "keep_origin": True}, {}, {"a": 1}),
        ({"mode": "set", "path": "model", "value": "b"}, {"model": "a"}, {"model": "b"}),
        ({"mode": "delete", "path": "messages.-1"}, {"messages": [1, 2]}, {"messages": [1]}),
        ({"mode": "delete", "path": "nothing"}, {"a": 1}, {"a": 1}),
        ({"mode": "move", "from": "max_tokens", "to": "max_completion_tokens"}, {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({"mode": "append", "path": "stop", "value": ["x", "y"]}, {"stop": ["a"]}, {"stop": ["a", "x", "y"]}),
        ({"mode": "prepend", "path": "stop", "value": ["x", "y"]}, {"stop": ["a"]}, {"stop": ["x", "y", "a"]}),
        ({"mode": "append", "path": "messages", "value": {"role": "user"}}, {"messages": []}, {"messages": [{"role": "user"}]}),
        ({"mode": "prepend", "path": "input.0.text", "value": "a "}, {"input": [{"text": "b"}]}, {"input": [{"text": "a b"}]}),
        ({"mode": "append", "path": "tags", "value": "x"}, {"tags": ["a"]}, {"tags": ["a", "x"]}),
    ],
)  # fmt: skip
def test_each_mode(operation, before, after):
    assert done([operation], before) == after


@pytest.mark.parametrize(
    ("mode", "value", "yes", "no"),
    [
        ("full", "x", "x", "xy"), ("full", 1, 1.0, 2), ("full", True, True, False), ("full", None, None, 0), ("prefix", "x", "xy", "yx"),
        ("suffix", "x", "yx", "xy"), ("contains", "x", "axb", "ab"), ("gt", 1, 2, 1), ("gte", 1, 1, 0), ("lt", 1, 0, 1), ("lte", 1, 1, 2),
        ("FULL", "x", "x", "y"),
    ],
)  # fmt: skip
def test_each_condition(mode, value, yes, no):
    condition = {"path": "f", "mode": mode, "value": value}
    for invert, passes, hits in ((False, False, (1, 0, 0)), (True, False, (0, 1, 0)), (False, True, (1, 0, 1)), (True, True, (0, 1, 1))):
        parts = from_operations([when({**condition, "invert": invert, "pass_missing_key": passes})])
        assert [int("hit" in applied(parts, body)) for body in ({"f": yes}, {"f": no}, {})] == list(hits), (invert, passes)


def test_the_model_and_the_tokens():
    model = {"path": "model", "mode": "prefix", "value": "gpt-"}
    assert "hit" in done([when(model)], {"model": "gpt-4o"}) and "hit" not in done([when(model)], {"model": "claude"})
    assert "hit" in done([when({**model, "invert": True})], {"model": "claude"})
    tokens = {"path": "NewAPIInternal.PromptTokens", "mode": "gt", "value": 100}
    assert "hit" in done([when(tokens)], {}, tokens=101) and "hit" not in done([when(tokens)], {}, tokens=100)


def test_or_is_usual_and_and_can_be_asked_for():
    a, b = ({"path": name, "mode": "full", "value": 1} for name in "ab")
    for logic, expected in ((None, [1, 1, 0]), ("OR", [1, 1, 0]), ("and", [1, 0, 0])):
        operations = [when(a, b, logic=logic)]
        assert [int("hit" in done(operations, body)) for body in ({"a": 1, "b": 1}, {"b": 1}, {})] == expected


def test_the_empty_text_asks_whether_there_is_a_field():
    condition = {"path": "size", "mode": "prefix", "value": ""}
    assert "hit" in done([when(condition)], {"size": "big"}) and "hit" not in done([when(condition)], {})
    absent = {**condition, "invert": True, "pass_missing_key": True}
    assert "hit" not in done([when(absent)], {"size": "big"}) and "hit" in done([when(absent)], {})
    assert refusal([when({**condition, "invert": True})]) == "operations.0.conditions.0"
    assert refusal([when({**condition, "pass_missing_key": True})]) == "operations.0.conditions.0"


def test_block_and_pass():
    big = {"path": "n", "mode": "gt", "value": 10}
    vip = {"path": "user", "mode": "full", "value": "vip"}
    operations = [
        {"mode": "set", "path": "a", "value": 1},
        {"mode": "pass", "conditions": [vip]},
        {"mode": "block", "conditions": [big]},
        {"mode": "set", "path": "b", "value": 1},
    ]
    assert done(operations, {"n": 11}) == BLOCKED
    assert done(operations, {"n": 11, "user": "vip"}) == {"n": 11, "user": "vip", "a": 1}
    assert done(operations, {"n": 1}) == {"n": 1, "a": 1, "b": 1}
    over = [{"mode": "set", "path": "a", "value": 1}, {"mode": "pass"}, {"mode": "set", "path": "a", "value": 2}]
    assert done(over, {}) == {"a": 1}
    assert refusal([{"mode": "pass"}]) == "operations"


def test_operations_follow_each_other():
    operations = [
        {"mode": "set", "path": "a", "value": {"x": 1}},
        {"mode": "move", "from": "a.x", "to": "b"},
        {"mode": "append", "path": "b", "value": "no text"},
        when({"path": "c", "mode": "full", "value": 1}, path="b", value=9),
        {"mode": "set", "path": "d", "value": 1},
    ]
    assert [len(part.then) for part in from_operations(operations)] == [3, 1, 1]
    assert done(operations, {"c": 1}) == {"c": 1, "a": {}, "b": 9, "d": 1}


@pytest.mark.parametrize(
    ("first", "condition"),
    [
        ({"mode": "set", "path": "a", "value": 1}, {"path": "a", "mode": "full", "value": 1}),
        ({"mode": "set", "path": "a.b", "value": 1}, {"path": "a", "mode": "full", "value": 1}),
        ({"mode": "set", "path": "a", "value": {}}, {"path": "a.b.c", "mode": "full", "value": 1}),
        ({"mode": "move", "from": "x", "to": "a"}, {"path": "x", "mode": "full", "value": 1}),
        ({"mode": "set", "path": "model", "value": "x"}, {"path": "model", "mode": "full", "value": "x"}),
    ],
)
def test_a_condition_on_what_was_changed_is_refused(first, condition):
    assert refusal([first, when(condition)]) == "operations.1.conditions.0"


def test_keep_origin_of_what_was_changed_is_refused():
    twice = [{"mode": "delete", "path": "a"}, {"mode": "set", "path": "a", "value": 1, "keep_origin": True}]
    assert refusal(twice) == "operations.1.keep_origin"


@pytest.mark.parametrize(
    ("operation", "place"),
    [
        ({"mode": "copy", "from": "a", "to": "b"}, "operations.0.mode"),
        ({"path": "a"}, "operations.0.mode"),
        ({"mode": ["set"]}, "operations.0.mode"),
        ({"mode": "set", "path": "a"}, "operations.0.value"),
        ({"mode": "set", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "a.*.b", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "a.#(b>1).c", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "a|@reverse", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": ":1.a", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "a\\b", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "stream", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "model", "value": 1}, "operations.0.path"),
        ({"mode": "set", "path": "a", "value": 1, "keep_origin": "yes"}, "operations.0.keep_origin"),
        ({"mode": "move", "from": "a"}, "operations.0.to"),
        ({"mode": "append", "path": "metadata", "value": {"a": 1}}, "operations.0.value"),
        ({"mode": "append", "path": "a", "value": 5}, "operations.0.value"),
        ({"mode": "append", "path": "a", "value": []}, "operations.0.value"),
        ({"mode": "append", "path": "a", "value": "x", "keep_origin": True}, "operations.0.keep_origin"),
        ({"mode": "set", "path": "a", "value": 1, "logic": "XOR"}, "operations.0.logic"),
        ({"mode": "set", "path": "a", "value": 1, "conditions": {}}, "operations.0.conditions"),
        ({"mode": "set", "path": "a", "value": 1, "when": 1}, "operations.0.when"),
        (when({"path": "b", "mode": "regex", "value": "x"}), "operations.0.conditions.0.mode"),
        (when({"mode": "full", "value": "x"}), "operations.0.conditions.0.path"),
        (when({"path": "b", "mode": "gt", "value": "1"}), "operations.0.conditions.0.value"),
        (when({"path": "b", "mode": "prefix", "value": 1}), "operations.0.conditions.0.value"),
        ({"mode": "set", "path": "a", "value": 1, "conditions": ["b"]}, "operations.0.conditions.0"),
        ("set", "operations.0"),
    ],
)  # fmt: skip
def test_what_has_no_equal_here_is_refused(operation, place):
    assert refusal([operation]) == place


def test_lists_that_are_none():
    for operations in (None, {}, [], [{"mode": "delete", "path": "a"}] * 1001):
        assert refusal(operations) == "operations"


def test_too_many_conditions_are_refused():
    many = [{"path": f"f{number}", "mode": "full", "value": 1} for number in range(51)]
    assert refusal([when(*many)]) == "operations.0.conditions"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
_NAMES = ("path", "mode", "value", "keep_origin", "from", "to", "conditions", "logic", "invert", "pass_missing_key")


@examples(st.lists(st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(["set", "a.b", "append", "move", True]) | _JSON), max_size=4))
def test_whatever_is_sent_becomes_rules_or_is_refused(operations):
    with contextlib.suppress(PenstockError):
        applied(from_operations(operations), {"a": {"b": [1]}})
