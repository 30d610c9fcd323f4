from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from penstock.rules.diff import ADDED, CHANGED, LEFT_OUT, REMOVED, Change, diff, diff_beside
from penstock.rules.paths import read_path
from penstock.rules.verdict import Verdict
from rule_words import BODIES, VALUES, make_facts


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


def made(value: Any, changes: list[Change]) -> Any:
    """The value with the changes made to it: those that were removed counted from the end, so that numbers hold."""
    whole = [value]
    order = {CHANGED: 0, REMOVED: 1, ADDED: 2}
    removed = [change for change in changes if change.kind == REMOVED][::-1]
    for change in sorted([*removed, *(change for change in changes if change.kind != REMOVED)], key=lambda change: order[change.kind]):
        place, steps = whole, [0, *(read_path(change.path, "x") if change.path else ())]
        for step in steps[:-1]:
            place = place[step if isinstance(place, list) else str(step)]
        last = steps[-1] if isinstance(place, list) else str(steps[-1])
        if change.kind == REMOVED:
            assert place[last] == change.old
            del place[last]
        elif change.kind == ADDED and isinstance(place, list):
            place.insert(last, change.new)
        else:
            assert change.kind == ADDED or place[last] == change.old
            place[last] = change.new
    return whole[0]


def has_no_empty_name(value: Any) -> bool:
    if isinstance(value, dict):
        return "" not in value and all(map(has_no_empty_name, value.values()))
    return all(map(has_no_empty_name, value)) if isinstance(value, list) else True


@given(VALUES.filter(has_no_empty_name), VALUES.filter(has_no_empty_name))
def test_the_changes_applied_give_what_came_of_it(before, after):
    changes = diff(text(before), text(after), limit=10_000)
    assert made(before, changes) == after
    assert diff(text(after), text(after)) == []


@given(BODIES, BODIES)
def test_whatever_the_bodies_are_there_is_a_difference_or_none(before, after):
    changes = diff(before, after)
    assert diff(before, after) == changes
    assert len(changes) <= 201 and (before != after or not changes)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [Change(CHANGED, "b", 2, 3)]),
        ({"a": 1}, {}, [Change(REMOVED, "a", 1)]),
        ({}, {"x.y": {"b": 1}}, [Change(ADDED, r"x\.y", None, {"b": 1})]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [Change(CHANGED, "a", 1, True)]),
        ({"m": [{"c": "x"}]}, {"m": [{"c": "y"}]}, [Change(CHANGED, "m.0.c", "x", "y")]),
        ([1, 2, 3], [0, 1, 2, 3], [Change(ADDED, "0", None, 0)]),
        ([1, 2, 3], [1, 3], [Change(REMOVED, "1", 2)]),
        ([1, 1], [1, 1, 1], [Change(ADDED, "2", None, 1)]),
        (1, [1], [Change(CHANGED, "", 1, [1])]),
    ],
)
def test_differences_in_json(before, after, changes):
    assert diff(text(before), text(after)) == changes


def test_no_body_is_another_thing_than_null():
    assert (
        diff(None, b"null") == [Change(ADDED, "")] and diff(b'{"a":1}', None) == [Change(REMOVED, "", {"a": 1})] and diff(None, None) == []
    )


def test_what_is_no_json_is_compared_by_lines():
    assert diff(b"one\ntwo\nthree", b"one\n2\nthree\nfour") == [
        Change(CHANGED, "line 2", "two", "2"),
        Change(ADDED, "line 4", None, "four"),
    ]
    assert diff(b"\xff", None) == [Change(REMOVED, "line 1", "\ufffd")]
    assert diff(None, b"a\nb") == [Change(ADDED, "line 1", None, "a"), Change(ADDED, "line 2", None, "b")]


def test_long_lists_and_long_values_are_cut():
    changes = diff(text({}), text({f"n{number}": number for number in range(500)}))
    assert len(changes) == 201 and changes[-1] == Change(LEFT_OUT, "")
    (change,) = diff(text({"a": 1}), text({"a": "x" * 10_000}))
    assert change.old == 1 and len(change.new) == 2001 and change.new.endswith("…")


def test_large_and_deep_bodies_are_no_trouble():
    large = text({"a": [{"b": number} for number in range(100_000)]})
    assert diff(large, large.replace(b"99999", b"5")) == [Change(CHANGED, "a.99999.b", 99_999, 5)]
    deep = b"[" * 700 + b"1" + b"]" * 700
    assert diff(deep, deep.replace(b"1", b"2"))


def test_what_a_verdict_changes_beside_the_body():
    verdict = Verdict()
    verdict.model, verdict.tags, verdict.record = "other", ("eu",), True
    verdict.headers = ((b"x-a", b"2"), (b"x-b", None), (b"x-c", b"\xe9"), (b"x-none", None), (b"x-same", b"1"))
    assert diff_beside(make_facts(headers=b"x-a: 0\r\nx-a: 1\r\nx-b: 1\r\nx-same: 1\r\n"), verdict) == [
        Change(CHANGED, "model", "gpt-4o", "other"),
        Change(CHANGED, "headers.x-a", "0, 1", "2"),
        Change(REMOVED, "headers.x-b", "1"),
        Change(ADDED, "headers.x-c", None, "é"),
        Change(ADDED, "tags", None, ["eu"]),
        Change(ADDED, "record", None, True),
    ]
    assert diff_beside(make_facts(), None) == diff_beside(make_facts(), Verdict()) == []
