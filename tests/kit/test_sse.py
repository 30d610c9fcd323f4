from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.sse import Splitter, end_of_events, event_name, payload, split

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


def pieces(splitter: Splitter, *parts: bytes) -> list[tuple[bytes, bool]]:
    return [piece for part in parts for piece in splitter.feed(part)]


@settings(deadline=None)
@given(STREAM)
def test_split_loses_nothing_and_agrees_with_the_standard(data):
    events = split(data)
    assert b"".join(events) == data
    assert [payload(event) for event in events if payload(event) and end_of_events(event)] == [p for p in payloads(data) if p]


@settings(deadline=None)
@given(STREAM, st.data())
def test_a_splitter_does_not_care_where_the_stream_is_cut(data, cuts):
    whole = Splitter(1024)
    at = sorted(cuts.draw(st.lists(st.integers(0, len(data)), max_size=4)))
    parts = [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]
    found = pieces(whole, *parts)
    assert all(is_whole for _, is_whole in found)
    assert b"".join(event for event, _ in found) + whole.rest() == data
    assert [payload(event) for event, _ in found if payload(event)] == [p for p in payloads(data) if p]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_single_cut_of_a_real_stream(newline):
    events = [b"event: a\ndata: 1\n\n", b": ping\n\n", b"data: x\ndata: y\n\n", b"data: [DONE]\n\n"]
    data = b"".join(events).replace(b"\n", newline)
    for cut in range(len(data) + 1):
        found = pieces(Splitter(1024), data[:cut], data[cut:])
        assert [payload(event) for event, _ in found if payload(event)] == [b"1", b"x\ny", b"[DONE]"]
        assert b"".join(event for event, _ in found) == data


def test_byte_by_byte():
    data = b"event: a\r\ndata: 1\r\n\r\ndata: 2\n\ndata: 3\r\r"
    found = pieces(Splitter(64), *(data[at : at + 1] for at in range(len(data))))
    assert [payload(event) for event, _ in found if payload(event)] == [b"1", b"2", b"3"]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 60))
def test_an_event_over_the_limit_comes_in_pieces_and_the_next_is_whole(limit, step, size):
    splitter = Splitter(limit)
    data = b"data: " + b"x" * size + b"\n\n" + b"data:y\n\n"
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    found = []
    for part in parts:
        found += splitter.feed(part)
        assert splitter.partial_bytes <= max(limit, 3)
    assert b"".join(event for event, _ in found) + splitter.rest() == data
    if size > limit + step:
        assert splitter.overflows >= 1
        assert (b"data: " + b"x" * size + b"\n\n", True) not in found
    if limit > 16:
        assert found[-1] == (b"data:y\n\n", True)
        assert splitter.overflows <= 1


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
