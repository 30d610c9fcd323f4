from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.sse import end_of_events, event_name, payload, split

STREAM = st.lists(
    st.sampled_from([b"data: a", b"data:b", b"event: x", b": c", b"\n", b"\r", b"\r\n", b"\n\n", b"\xff", b"id: 1", b":"]), max_size=14
).map(b"".join)


def payloads(data: bytes) -> list[bytes]:
    """What a client sees, by the letter of the standard: the joined data of every event that has any."""
    lines = re.split(rb"\r\n|\n|\r", data)
    found, values = [], []
    for line in lines[:-1]:
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                values.append(value.removeprefix(b" "))
        elif values:
            found.append(b"\n".join(values))
            values = []
    return found


@settings(deadline=None)
@given(STREAM)
def test_split_loses_nothing_and_agrees_with_the_standard(data):
    events = split(data)
    assert b"".join(events) == data
    assert [payload(event) for event in events if payload(event) and end_of_events(event)] == [p for p in payloads(data) if p]


@pytest.mark.parametrize(
    ("event", "data", "name"),
    [
        (b"data: {}", b"{}", b""),
        (b"data:{}\n\n", b"{}", b""),
        (b"data:  two", b" two", b""),
        (b"event: ping\ndata: {}", b"{}", b"ping"),
        (b"event:ping\r\ndata:{\r\ndata:}", b"{\n}", b"ping"),
        (b": only a comment", b"", b""),
        (b"data", b"", b""),
        (b"\xef\xbb\xbfdata: a", b"a", b""),
        (b"\ndata: a", b"a", b""),
        (b"data: a\nevent: one\nevent: two\nid: 3\nretry: 4", b"a", b"two"),
        (b"database: no\n data: no", b"", b""),
        (b"", b"", b""),
    ],
)
def test_fields(event, data, name):
    assert payload(event) == data
    assert event_name(event) == name


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"data: a", 0),
        (b"data: a\n", 0),
        (b"data: a\n\n", 9),
        (b"a\n\nb", 3),
        (b"a\r\n\r\nb\r\n", 5),
        (b"a\r\rb", 3),
        (b"\n\n", 2),
    ],
)
def test_end_of_events(data, end):
    assert end_of_events(data) == end
