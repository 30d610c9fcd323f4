from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.paths import read_path
from penstock.rules.tree import (
    MISSING,
    UNREADABLE,
    Exhausted,
    Skip,
    changed,
    closed,
    element,
    encode,
    is_nothing,
    opened,
    read_object,
    value_of,
)  # fmt: skip
from rule_words import BODIES, OBJECTS, PATHS, VALUES

FREE = lambda _: None  # noqa: E731  what it costs is of no matter


def put(body: bytes, path: str, value: object) -> bytes:
    node = closed(value)
    return encode(changed(read_object(body), read_path(path, "x"), lambda _place, _spend: node, FREE, make=True))


@given(OBJECTS, PATHS, VALUES)
def test_what_is_put_somewhere_is_found_there_and_nothing_else_has_changed(old, path, value):
    steps = read_path(path, "x")
    body = json.dumps(old, separators=(" , ", " : ")).encode()
    try:
        new = put(body, path, value)
    except Skip:
        return
    place: object = json.loads(new)
    for step in steps:
        place = place[step] if isinstance(place, list) else place[str(step)]
    assert place == value
    before, after = (msgspec.json.decode(text, type=dict[str, msgspec.Raw]) for text in (body, new))
    touched = str(steps[0])
    assert {name: bytes(raw) for name, raw in before.items() if name != touched} == {
        name: bytes(raw) for name, raw in after.items() if name != touched
    }


def test_what_is_beside_the_path_keeps_its_bytes_at_every_level():
    body = b'{"a":{"b":[1.10, {"c" : 1e2,"d":1} ] , "e": 1.00},"f":[ 0.10 ]}'
    assert put(body, "a.b.1.d", 2) == b'{"a":{"b":[1.10,{"c":1e2,"d":2}],"e":1.00},"f":[ 0.10 ]}'


@pytest.mark.parametrize(
    ("body", "path", "after"),
    [
        ("{}", "a.b.c", '{"a":{"b":{"c":9}}}'),
        ('{"a":null}', "a.b", '{"a":{"b":9}}'),
        ('{"a":[1,2]}', "a.-1", '{"a":[1,9]}'),
        ('{"a":{"0":1}}', "a.0", '{"a":{"0":9}}'),
        ('{"a":{"-1":1}}', "a.-1", '{"a":{"-1":9}}'),
        ('{"a":1,"a":{}}', "a.b", '{"a":{"b":9}}'),
        ('{"a.b":1}', r"a\.b", '{"a.b":9}'),
        ('{"a":[[1],2]}', "a.0.0", '{"a":[[9],2]}'),
    ],
)
def test_putting(body, path, after):
    assert put(body.encode(), path, 9) == after.encode()


@pytest.mark.parametrize(
    ("body", "path", "why"),
    [
        ('{"a":"text"}', "a.b", "neither"),
        ('{"a":5}', "a.0", "neither"),
        ('{"a":[1]}', "a.1", "1 elements"),
        ('{"a":[1]}', "a.-2", "elements"),
        ('{"a":[]}', "a.-1", "elements"),
        ('{"a":[1]}', "a.b", "elements"),
        ("{}", "a.0", "no array at a"),
        ('{"a":{"b":true}}', "a.b.c.d", "at a.b "),
        ('{"a":[null]}', "a.0.0", "no array"),
    ],
)
def test_what_cannot_be_put_is_skipped_with_a_reason(body, path, why):
    with pytest.raises(Skip, match=why):
        put(body.encode(), path, 9)


def test_nothing_opened_is_changed_in_place():
    fields = read_object(b'{"a":{"b":[1,2]}}')
    once = changed(fields, ("a", "b", 0), lambda *_: closed(9), FREE, make=True)
    twice = changed(once, ("a", "b", 1), lambda *_: MISSING, FREE, make=False)
    assert [encode(tree) for tree in (fields, once, twice)] == [b'{"a":{"b":[1,2]}}', b'{"a":{"b":[9,2]}}', b'{"a":{"b":[9]}}']


def test_where_nothing_changes_the_tree_is_the_same():
    fields = read_object(b'{"a":{"b":1},"c":"text"}')
    assert changed(fields, ("a", "b"), lambda place, _: place, FREE, make=True) is fields
    for path in (("a", "x"), ("x", "y"), ("a", "x", "y"), ("x",)):
        assert changed(fields, path, lambda *_: MISSING, FREE, make=False) is fields


@given(BODIES)
def test_whatever_a_body_is_reading_it_gives_its_fields_or_nothing(body):
    try:
        fields = read_object(body or b"")
    except Exhausted:  # it is nested too deeply
        return
    for node in (fields or {}).values():
        try:
            opened(node, FREE)
            value_of(node, FREE)
        except (*UNREADABLE, Exhausted):
            pass


@given(VALUES)
def test_a_value_closed_and_opened_again(value):
    node = closed(value)
    assert value_of(node, FREE) == value
    inside = opened(node, FREE)
    assert (type(inside) if inside is not None else None) is (type(value) if isinstance(value, dict | list) else None)
    if inside is not None:
        assert value_of(inside, FREE) == value


def test_numbers_beyond_all_are_infinite():
    values = [value_of(msgspec.Raw(text), FREE) for text in (b"1e400", b"-1e400", b"9" * 5000)]
    assert values == [math.inf, -math.inf, math.inf]
    with pytest.raises(UNREADABLE):
        value_of(msgspec.Raw(b"[1e400]"), FREE)


@given(st.lists(st.integers(), max_size=3), st.integers(-5, 5))
def test_elements_are_counted_from_both_ends(values, number):
    node = element([closed(value) for value in values], number)
    assert (node is MISSING) if not -len(values) <= number < len(values) else value_of(node, FREE) == values[number]


def test_null_is_nothing_to_speak_of():
    assert is_nothing(MISSING) and is_nothing(closed(None))
    assert not any(is_nothing(closed(value)) for value in (0, False, "", [], {})) and not is_nothing({}) and not is_nothing([])


def test_what_is_gone_through_is_told():
    spent: list[int] = []
    changed(read_object(b'{"a":[1,2,3]}'), ("a", 0), lambda *_: closed(9), spent.append, make=True)
    assert sum(spent) > len("[1,2,3]")


def test_what_is_nested_too_deeply_here_is_not_taken_for_nothing():
    with pytest.raises(Exhausted):
        read_object(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_what_takes_long_to_be_made_costs_more_than_its_bytes():
    spent: list[int] = []
    elements = msgspec.Raw(b"[" + b"[]," * 1000 + b"0]")
    value_of(elements, spent.append)
    opened(elements, spent.append)
    assert sum(spent) > 30 * len(bytes(elements))
    with pytest.raises(Skip):  # before anything that takes as long is done
        opened(elements, _skip)


def _skip(_: int) -> None:
    raise Skip
