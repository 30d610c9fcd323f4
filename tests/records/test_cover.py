"""What an account does not want kept is not kept, in whatever body it is; what cannot be looked into is covered as a whole."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.records.cover import LENGTH, PATHS, PATTERNS, cover_all, cover_record, make_cover
from penstock.records.record import Record

Make = Callable[..., Record]
MASK = "[redacted]"


def covered(body: bytes, *paths: str, patterns: tuple[str, ...] = ()) -> bytes:
    record = Record("req_1", 0, None, "POST", "/", "w", None, None, [], body, 200, [], [], 1, False, "complete")
    cover_record(record, make_cover(paths, patterns))
    return record.request_body


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("user", {"user": "me", "x": 1}, {"user": MASK, "x": 1}),
        ("m.*.content", {"m": [{"content": "a"}, {"content": [1]}, {}, 5]}, {"m": [{"content": MASK}, {"content": MASK}, {}, 5]}),
        ("messages.0.content", {"messages": [{"content": "a"}, {"content": "b"}]}, {"messages": [{"content": MASK}, {"content": "b"}]}),
        ("*.secret", {"a": {"secret": 1}, "b": {"c": 2}}, {"a": {"secret": MASK}, "b": {"c": 2}}),
        ("*", [1, 2], [MASK, MASK]),
        ("a.b", {"a": {"b": {"deep": True}}}, {"a": {"b": MASK}}),
    ],
)  # fmt: skip
def test_paths(path: str, value: Any, shown: Any) -> None:
    assert json.loads(covered(json.dumps(value).encode(), path)) == shown


@pytest.mark.parametrize("path", ["nothing", "messages.9.content", "messages.content", "user.name.first"])
def test_a_path_that_leads_nowhere_changes_nothing(path: str) -> None:
    body = b'{ "messages": [ {"content": "a"} ], "user": 1.50 }'
    assert covered(body, path) == body


def test_events() -> None:
    body = b': hello\n\nevent: x\ndata: {"a": 1, "b": 2}\n\ndata: {"b": 3}\n\ndata: [DONE]\n\n'
    assert covered(body, "a") == b': hello\n\nevent: x\ndata: {"a":"[redacted]","b":2}\n\ndata: {"b": 3}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    "body", [b'{"a": 1', b"plain text", b"\xff\xd8", b"data: {broken\n\n", b"data: private\nodd private\n\n", b'[{"a":' * 3000]
)
def test_what_cannot_be_looked_into_is_covered(body: bytes) -> None:
    shown = covered(body, "a")
    assert b"[redacted]" in shown
    assert b"private" not in shown
    assert b"plain" not in shown
    assert b"{" not in shown


def test_patterns() -> None:
    patterns = (r"\d{3}-\d{4}", "(?i)secret", "é+")
    assert covered("call 555-1234, SECRET éé".encode(), patterns=patterns) == b"call [redacted], [redacted] [redacted]"
    assert covered(b"\xff 555-1234 \xfe", patterns=patterns) == b"\xff [redacted] \xfe"
    assert covered(b"nothing", patterns=patterns) == b"nothing"


def test_every_body_is_covered(make_record: Make) -> None:
    body = b'{"user":"private"}'
    packed = gzip.compress(body)
    encoded = [(b"Content-Encoding", b"gzip"), (b"x", b"y")]
    record = make_record(
        request_headers=list(encoded), request_body=packed, ruled_body=body, sent_body=packed,
        sent_head=b"POST / HTTP/1.1\r\ncontent-encoding: gzip\r\nx: y\r\n\r\n", response_headers=list(encoded),
        response_body=[packed[:10], packed[10:]], came_body=[packed],
    )  # fmt: skip

    cover_all([record], {record.account_id or "acc_operator": make_cover(["user"], [])})

    shown = b'{"user":"[redacted]"}'
    assert (record.request_body, record.ruled_body, record.sent_body) == (shown, shown, shown)
    assert (record.response_body, record.came_body) == ([shown], [shown])
    assert record.request_headers == record.response_headers == [(b"x", b"y")]
    assert record.sent_head == b"POST / HTTP/1.1\r\nx: y\r\n\r\n"


@pytest.mark.parametrize("headers", [[(b"content-encoding", b"unheard-of")], [(b"content-encoding", b"gzip")]])
def test_what_cannot_be_decoded_is_covered(make_record: Make, headers: list[tuple[bytes, bytes]]) -> None:
    record = make_record(response_headers=headers, response_body=[b"private"])
    cover_record(record, make_cover([], ["x"]))
    assert (record.response_body, record.response_headers) == ([b"[redacted]"], [])


def test_others_are_left_alone(make_record: Make) -> None:
    record = make_record(account_id="acc_2")
    cover_all([record], {"acc_1": make_cover(["model"], [])})
    assert record.request_body == b'{"model":"gpt-4o"}'


@pytest.mark.parametrize(
    ("paths", "patterns", "param"),
    [
        ([""], [], "redact_paths"), (["a..b"], [], "redact_paths"), (["a" * (LENGTH + 1)], [], "redact_paths"),
        (["a"] * (PATHS + 1), [], "redact_paths"), ([], ["("], "redact_patterns"), ([], ["a*"], "redact_patterns"),
        ([], [r"(a)\1"], "redact_patterns"), ([], ["a"] * (PATTERNS + 1), "redact_patterns"), ([], ["\ud800"], "redact_patterns"),
        ([], ["(a{900}){900}"], "redact_patterns"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(paths: list[str], patterns: list[str], param: str) -> None:
    with pytest.raises(PenstockError) as refused:
        make_cover(paths, patterns)
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.just("private"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_what_is_below_a_path_is_never_kept(value: Any) -> None:
    body = json.dumps({"a": value, "list": [{"b": value}]}).encode()
    assert b"private" not in covered(body, "a", "list.*.b")
    stream = b"data: " + body + b"\n\n"
    assert b"private" not in covered(stream, "a", "list.*.b")


@pytest.mark.parametrize("frame", [b"%b", b"data: %b\n\n"])
@pytest.mark.parametrize("body", [
    b'{"messages":[{"content":"secret"}],"messages":1}', b'{"messages":[{"content":"secret"}],"messages":[{"content":"a"}]}',
    b'{"messages":[{"content":"secret","content":"a"}]}',
])  # fmt: skip
def test_nothing_hides_behind_a_second_member_of_the_same_name(make_record: Callable[..., Record], frame: bytes, body: bytes) -> None:
    record = make_record(request_body=frame % body)

    cover_record(record, make_cover(["messages.*.content"], []))

    assert b"secret" not in record.request_body
