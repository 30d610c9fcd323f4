from __future__ import annotations

import copy
import json
from collections import deque

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.rules.actions import read_action
from penstock.rules.effects import effect_of
from penstock.rules.tree import Exhausted, Skip, encode
from penstock.rules.verdict import Draft
from rule_words import ACTIONS, BODY_ACTIONS, OBJECTS, PATHS, VALUES, make_facts, requests


def done(body, *actions, **facts):
    """The body after some actions."""
    draft = Draft(make_facts(body, **facts))
    for action in actions:
        effect_of(read_action(action, "x"))(draft)
    return msgspec.json.decode(encode(draft.fields))


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ({"do": "set", "path": "a", "value": {"b": 1}}, {"a": 5}, {"a": {"b": 1}}),
        ({"do": "set", "path": "a.b", "value": 1}, {}, {"a": {"b": 1}}),
        ({"do": "set", "path": "m.-1.c", "value": 1}, {"m": [{}, {}]}, {"m": [{}, {"c": 1}]}),
        ({"do": "default", "path": "a", "value": 1}, {"a": None}, {"a": 1}),
        ({"do": "default", "path": "a", "value": 1}, {"a": 0}, {"a": 0}),
        ({"do": "default", "path": "a.b", "value": 1}, {}, {"a": {"b": 1}}),
        ({"do": "delete", "path": "a.0"}, {"a": [1, 2]}, {"a": [2]}),
        ({"do": "delete", "path": "a.b"}, {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ({"do": "delete", "path": "x.y"}, {"a": 1}, {"a": 1}),
        ({"do": "delete", "path": "a.7"}, {"a": [1]}, {"a": [1]}),
        ({"do": "move", "from": "a", "to": "b.c"}, {"a": 1, "b": {}}, {"b": {"c": 1}}),
        ({"do": "move", "from": "a", "to": "b"}, {"b": 1}, {"b": 1}),
        ({"do": "move", "from": "a.0", "to": "a.1"}, {"a": [1, 2, 3]}, {"a": [2, 1]}),
        ({"do": "move", "from": "a", "to": "b"}, {"a": None}, {"b": None}),
        ({"do": "append", "path": "a", "value": 2}, {"a": [1]}, {"a": [1, 2]}),
        ({"do": "append", "path": "a", "value": [2]}, {"a": [1]}, {"a": [1, [2]]}),
        ({"do": "append", "path": "a", "value": "!"}, {"a": "hi"}, {"a": "hi!"}),
        ({"do": "append", "path": "a", "value": "!"}, {"a": ["hi"]}, {"a": ["hi", "!"]}),
        ({"do": "append", "path": "a", "value": "!"}, {}, {"a": "!"}),
        ({"do": "append", "path": "a.b", "value": 2}, {"a": {"b": None}}, {"a": {"b": [2]}}),
        ({"do": "prepend", "path": "a", "value": 2}, {"a": [1]}, {"a": [2, 1]}),
        ({"do": "prepend", "path": "a", "value": "!"}, {"a": "hi"}, {"a": "!hi"}),
        ({"do": "clamp", "path": "a", "min": 1, "max": 2}, {"a": 5}, {"a": 2}),
        ({"do": "clamp", "path": "a", "min": 1, "max": 2}, {"a": 0.5}, {"a": 1}),
        ({"do": "clamp", "path": "a", "min": 1, "max": 2}, {"a": 1.5}, {"a": 1.5}),
        ({"do": "clamp", "path": "a", "max": 2}, {"a": "5"}, {"a": "5"}),
        ({"do": "clamp", "path": "a", "max": 0}, {"a": True}, {"a": True}),
        ({"do": "clamp", "path": "a", "max": 0}, {"b": 1}, {"b": 1}),
        ({"do": "clamp", "path": "a", "max": 5}, b'{"a":1e400}', {"a": 5}),
        ({"do": "clamp", "path": "a", "max": 5}, b'{"a":' + b"9" * 5000 + b"}", {"a": 5}),
    ],
)
def test_bodies_are_changed(action, before, after):
    assert done(before, action) == after


@pytest.mark.parametrize(
    ("action", "before"),
    [
        ({"do": "set", "path": "a.b", "value": 1}, {"a": "text"}),
        ({"do": "delete", "path": "a.b"}, {"a": 5}),
        ({"do": "append", "path": "a", "value": 1}, {"a": "text"}),
        ({"do": "append", "path": "a", "value": "b"}, {"a": 5}),
        ({"do": "prepend", "path": "a", "value": "b"}, {"a": {}}),
        ({"do": "move", "from": "a", "to": "b.c"}, {"a": 1, "b": "text"}),
        ({"do": "move", "from": "a.0", "to": "a.2"}, {"a": [1, 2, 3]}),
        ({"do": "clamp", "path": "a.b", "max": 1}, {"a": "text"}),
        ({"do": "append", "path": "a", "value": "b"}, b'{"a":"\xff"}'),
        ({"do": "set", "path": "a", "value": 1}, [1]),
    ],
)
def test_what_cannot_be_done_leaves_all_as_it_was(action, before):
    draft = Draft(make_facts(before))
    with pytest.raises(Skip):
        effect_of(read_action(action, "x"))(draft)
    assert before == [1] or draft.fields is draft.facts.fields


@given(OBJECTS, st.lists(BODY_ACTIONS, max_size=4))
def test_what_no_action_names_keeps_its_bytes(old, actions):
    body = json.dumps(old, separators=(" ,", ":\t")).encode()
    draft = Draft(make_facts(body))
    touched = {"messages"}
    for action in actions:
        touched |= {action[name].split(".")[0].replace("\\\\", "\\") for name in ("path", "from", "to") if name in action} | {"x.y"}
        try:
            effect_of(read_action(action, "x"))(draft)
        except Skip:
            pass
    before, after = (msgspec.json.decode(text, type=dict[str, msgspec.Raw]) for text in (body, encode(draft.fields)))
    assert {name: bytes(raw) for name, raw in before.items() if name not in touched} == {
        name: bytes(raw) for name, raw in after.items() if name not in touched
    }


@given(OBJECTS, PATHS.filter(lambda path: "\\" not in path), VALUES)
def test_setting_does_what_python_would(old, path, value):
    expected = copy.deepcopy(old)
    place, steps = expected, path.split(".")
    try:
        for number, step in enumerate(steps):
            key = int(step) if isinstance(place, list) else step
            if number == len(steps) - 1:
                place[key] = value
            elif place[key] is None if isinstance(place, list) else place.get(key) is None:
                assert not steps[number + 1].lstrip("-").isdigit()
                place[key] = {}
            place = place[key]
    except (IndexError, ValueError, AssertionError, TypeError, AttributeError):
        with pytest.raises(Skip):
            done(old, {"do": "set", "path": path, "value": value})
    else:
        assert done(old, {"do": "set", "path": path, "value": value}) == expected


@given(requests(), st.lists(ACTIONS, max_size=5))
def test_nothing_but_skips_is_raised_and_the_forbidden_is_never_touched(facts, actions):
    draft = Draft(facts)
    try:
        fields = facts.fields
    except Exhausted:  # it is nested too deeply
        return
    for action in actions:
        try:
            effect_of(read_action(action, "x"))(draft)
        except (Skip, Exhausted):
            pass
    assert not {b"authorization", b"host", b"content-length"} & draft.headers.keys()
    if fields is not None:
        fixed = ("model", "stream", "stream_options")
        assert [draft.fields.get(name) for name in fixed] == [fields.get(name) for name in fixed]


def test_the_rest():
    draft = Draft(make_facts(None))
    for action in (
        {"do": "rewrite_model", "model": "first"},
        {"do": "rewrite_model", "model": "second"},
        {"do": "set_header", "name": "X-A", "value": "é"},
        {"do": "delete_header", "name": "X-B"},
        {"do": "route", "tags": ["a"]},
        {"do": "route", "tags": ["b", "c"]},
        {"do": "record", "value": False},
        {"do": "refuse", "message": "No.", "status": 418},
    ):
        effect_of(read_action(action, "x"))(draft)
    assert (draft.model, draft.headers, draft.tags, draft.record) == ("second", {b"x-a": b"\xe9", b"x-b": None}, ("b", "c"), False)
    assert draft.refused == ("No.", 418)


def test_a_request_without_a_model_gets_none():
    with pytest.raises(Skip, match="no model"):
        effect_of(read_action({"do": "rewrite_model", "model": "a"}, "x"))(Draft(make_facts(model=None)))


def test_system_text_is_for_the_wire():
    text = {"do": "append_system", "text": "Be short."}
    assert done({"messages": []}, text) == {"messages": [{"role": "system", "content": "Be short."}]}
    assert done({}, text, wire="messages") == {"system": "Be short."}
    assert done({"instructions": "Hi."}, text | {"do": "prepend_system"}, wire="responses") == {"instructions": "Be short.\n\nHi."}
    with pytest.raises(Skip, match="embeddings"):
        done({}, text, wire="embeddings")


def test_no_number_of_actions_goes_through_a_large_body_forever():
    draft = Draft(make_facts({"a": [["x" * 100] * 10_000]}))
    effect = effect_of(read_action({"do": "delete", "path": "a.0.20000"}, "x"))
    with pytest.raises(Exhausted):
        deque(map(effect, [draft] * 1000), maxlen=0)


@pytest.mark.parametrize("action", [{"do": "append", "path": "messages", "value": 0}, {"do": "append_system", "text": "Be short."}])
def test_nor_makes_a_long_array_longer_forever(action):
    draft = Draft(make_facts({"messages": [0] * 50_000}))
    effect = effect_of(read_action(action, "x"))
    with pytest.raises(Exhausted):
        deque(map(effect, [draft] * 1000), maxlen=0)


def test_what_is_no_number_is_not_even_looked_into():
    clamp = {"do": "clamp", "path": "a", "max": 1}
    draft = Draft(make_facts({"a": [[]] * 1_000_000}))
    for _ in range(100):
        effect_of(read_action(clamp, "x"))(draft)
