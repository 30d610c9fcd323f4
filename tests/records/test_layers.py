"""What each layer has changed: by place in JSON, else by line, bounded, and never more than was changed."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_records import CHAT, made
from penstock.records.layers import CHANGES_LIMIT, LINES_LIMIT, TEXT_LIMIT, Layer, layers

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def rules_of(before: bytes, after: bytes | None) -> Layer:
    return layers(made(request_body=before, ruled_body=after))[0]


def told(layer: Layer) -> list[tuple[str, str, str | None, str | None]]:
    return [(change.at, change.how, change.before, change.after) for change in layer.body]


def test_what_nobody_touched_has_no_changes():
    found = layers(made())
    assert [(one.layer, one.headers, one.body, one.complete) for one in found] == [
        ("rules", [], [], True), ("sent", [], [], True), ("answer", [], [], True),
    ]  # fmt: skip


def test_json_is_compared_by_place():
    before = {"model": "gpt-4o", "temperature": 1, "messages": [{"role": "user", "content": "Hello"}], "odd key": True}
    after = {"model": "mini", "messages": [{"role": "system", "content": "Be kind."}, *before["messages"]], "odd key": 1, "top_p": None}
    layer = rules_of(json.dumps(before).encode(), json.dumps(after).encode())
    assert layer.by == "path" and layer.complete
    assert told(layer) == [
        ("model", "changed", "gpt-4o", "mini"),
        ("temperature", "removed", "1", None),
        ("messages[0]", "added", None, '{"content":"Be kind.","role":"system"}'),
        ('["odd key"]', "changed", "true", "1"),
        ("top_p", "added", None, "null"),
    ]


def test_within_a_list_only_what_differs():
    before, after = [1, [2, {"a": 3}], 4], [1, [2, {"a": 5}, 6], 4]
    layer = rules_of(json.dumps(before).encode(), json.dumps(after).encode())
    assert told(layer) == [("[1][1].a", "changed", "3", "5"), ("[1][2]", "added", None, "6")]


def test_what_is_not_json_is_compared_by_line():
    layer = rules_of(b"one\ntwo\nthree", b"one\n2\n2b\nthree")
    assert layer.by == "line"
    assert told(layer) == [("2", "changed", "two", "2"), ("3", "added", None, "2b")]


def test_the_sent_request_is_compared_with_what_the_rules_left():
    record = made(
        ruled_body=CHAT.replace(b"gpt-4o", b"fast"),
        sent_head=b"POST /v1/messages HTTP/1.1\r\nContent-Type: application/json\r\nx-api-key: sk-ant-1234567890123456\r\n\r\n",
        sent_body=CHAT.replace(b"gpt-4o", b"claude"),
    )
    rules, sent, _ = layers(record)
    assert told(rules) == [("model", "changed", "gpt-4o", "fast")]
    assert told(sent) == [("model", "changed", "fast", "claude")]
    assert [(change.at, change.how, change.after) for change in sent.headers] == [
        ("user-agent", "removed", None), ("x-api-key", "added", "[redacted]"),
    ]  # fmt: skip


def test_a_translated_answer_is_compared_with_the_provider_s():
    record = made(came_status=529, response_status=503, came_body=[b'{"type":', b'"error"}'], response_body=[b'{"error":{}}'])
    answer = layers(record)[2]
    assert [(change.at, change.before, change.after) for change in answer.headers] == [(":status", "529", "503")]
    assert told(answer) == [("type", "removed", "error", None), ("error", "added", None, "{}")]


def test_there_is_an_end_to_it():
    many = rules_of(json.dumps(list(range(2 * CHANGES_LIMIT))).encode(), json.dumps([-1 - n for n in range(2 * CHANGES_LIMIT)]).encode())
    assert len(many.body) == CHANGES_LIMIT and not many.complete
    lines = rules_of(b"a\n" * (LINES_LIMIT + 5), b"b\n" * 5)
    assert lines.by == "line" and not lines.complete
    long = rules_of(b'{"a":"x"}', b'{"a":"%b"}' % (b"y" * 3 * TEXT_LIMIT))
    assert long.body[0].after == "y" * TEXT_LIMIT + "..."


@pytest.mark.parametrize(("before", "after"), [
    (b"[" * 50_000 + b"]" * 50_000, b"[]"),
    (b"\n".join(b"a\nx%d" % n for n in range(500)), b"\n".join(b"a\ny%d" % n for n in range(500))),
    (b"\xff\xfe\x00", b"{}"),
    (b"", b"{}"),
    (b'{"a": 1, "a": 2}', b'{"a": 2}'),
])  # fmt: skip
def test_whatever_stands_there_is_compared_in_reasonable_time(before, after):
    layer = rules_of(before, after)
    assert isinstance(layer.body, list)


def test_no_key_is_told():
    layer = rules_of(b'{"a":"x"}', b'{"a":"sk-' + b"a1B2" * 12 + b'"}')
    assert layer.body[0].after == "[redacted]"


@given(JSON, JSON)
def test_changes_are_told_exactly_where_there_are_some(before, after):
    layer = rules_of(msgspec.json.encode(before), msgspec.json.encode(after))
    alike = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert bool(layer.body) == (not alike)
    assert all(change.before != change.after or change.how == "changed" for change in layer.body)


@given(JSON)
def test_of_itself_nothing_has_changed(document):
    assert rules_of(msgspec.json.encode(document), json.dumps(document, indent=1).encode()).body == []
