"""Records gathered in groups come back whole, without credentials, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.accounts.models import OPERATOR
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.record import Record
from penstock.records.redact import without_secrets
from penstock.records.segments import (
    GROUP_BYTES,
    SEGMENT_BYTES,
    SEGMENT_RECORDS,
    SPAN_MS,
    Draft,
    compressor,
    expand,
    head_of,
    records_of,
    segment_path,
)  # fmt: skip

KEY = b"sk-" + b"a1B2" * 12
T = 1_700_000_000_000
Make = Callable[..., Record]


def unpacked(groups: list[memoryview]) -> list[Record]:
    return [record for group in groups for record in records_of(group)]


@given(st.lists(st.tuples(st.binary(max_size=300), st.lists(st.binary(max_size=300), max_size=4)), max_size=10))
def test_what_is_added_comes_back(bodies: list[tuple[bytes, list[bytes]]]) -> None:
    given = [Record(f"req_{place}", place, None, "POST", "/v1/x", "w", None, None, [], one, 200, [], two, 1, False, "complete")
             for place, (one, two) in enumerate(bodies)]  # fmt: skip
    draft = Draft()
    for record in given:
        draft.add(record)

    found = unpacked(draft.close())

    assert found == given
    assert [(record.request_body, b"".join(record.response_body)) for record in found] == [(one, b"".join(two)) for one, two in bodies]


@pytest.mark.parametrize("size", [10, GROUP_BYTES // 7, GROUP_BYTES, 3 * GROUP_BYTES])
def test_places_in_groups_of_all_sizes(make_record: Make, size: int) -> None:
    draft = Draft()
    given = [make_record(request_body=b"x" * (size if place % 3 == 1 else 10)) for place in range(60)]
    for record in given:
        draft.add(record)
    groups = [records_of(group) for group in draft.close()]

    for record, row in zip(given, draft.shelves[OPERATOR_SHELF], strict=True):
        group, position = row[-1]
        assert groups[group][position] == record
    assert all(len(group) == 1 or sum(len(record.request_body) for record in group) <= GROUP_BYTES for group in groups)
    assert draft.raw_bytes >= sum(len(record.request_body) for record in given)
    assert draft.close() == draft.close()


def test_shelves(make_record: Make) -> None:
    draft = Draft()
    for account_id, for_owner, for_operator in (("acc_1", True, True), ("acc_1", True, False), (None, True, False), ("acc_2", False, True)):
        draft.add(make_record(account_id=account_id, for_owner=for_owner, for_operator=for_operator))

    assert {shelf: len(rows) for shelf, rows in draft.shelves.items()} == {OPERATOR_SHELF: 2, "acc_1": 2, OPERATOR: 1}


def test_credentials_are_not_in_a_segment(make_record: Make) -> None:
    draft = Draft()
    draft.add(
        make_record(
            path="/v1/models?key=hidden-in-query",
            request_headers=[(b"Authorization", b"Bearer hidden-in-header")],
            request_body=b'{"prompt":"is ' + KEY + b' valid?"}',
            response_body=[b"no: " + KEY[:20], KEY[20:]],
        )
    )

    group = bytes(*draft.close())
    assert b"hidden" not in group
    assert KEY not in group
    assert "hidden" not in str(draft.shelves)
    assert records_of(group)[0].response_body == [b"no: [redacted]"]


def test_one_record_that_cannot_be_encoded_does_not_take_the_others_with_it(make_record: Make) -> None:
    first, bad, last = make_record(), make_record(duration_ms=1 << 70), make_record()
    draft = Draft()
    draft.add(first)
    with pytest.raises(ValueError, match=bad.id):
        draft.add(bad)
    assert draft.count == 1
    draft.add(last)

    assert unpacked(draft.close()) == [first, last]
    assert [row[1] for row in draft.shelves[OPERATOR_SHELF]] == [first.id, last.id]


def test_headers_of_a_connection_are_stored_like_all_others(make_record: Make) -> None:
    headers = without_secrets([(b"accept", b"*/*"), (b"x-api-key", b"hidden")])
    draft = Draft()
    for request_headers in (headers, list(headers), headers):
        draft.add(make_record(request_headers=request_headers))

    assert [record.request_headers for record in unpacked(draft.close())] == [headers] * 3


@pytest.mark.parametrize("size", [10, 90_000, 3 * GROUP_BYTES])
def test_nothing_is_left_of_the_draft_whose_room_it_was(make_record: Make, size: int) -> None:
    large, small = Draft(), [make_record(response_body=[b"x" * size]) for _ in range(20)]
    for _ in range(30):
        large.add(make_record(request_body=b"an earlier one" * 5000))
    large.close()
    draft = Draft(large.room)
    for record in small:
        draft.add(record)

    groups = draft.close()
    assert unpacked(groups) == small
    assert b"earlier" not in b"".join(groups)
    assert sum(map(len, groups)) == draft.raw_bytes


def test_when_a_draft_is_full(make_record: Make) -> None:
    many, large = Draft(), Draft()
    while not many.is_full:
        many.add(make_record())
    while not large.is_full:
        large.add(make_record(request_body=bytes(50_000)))

    assert many.count == SEGMENT_RECORDS
    assert SEGMENT_BYTES <= large.raw_bytes < SEGMENT_BYTES + GROUP_BYTES


def test_a_draft_takes_what_ended_at_about_the_same_time(make_record: Make) -> None:
    draft = Draft()
    assert draft.takes(0)
    draft.add(make_record(created_at_ms=T))

    moments = [T - SPAN_MS, T - SPAN_MS // 2, T - SPAN_MS // 2 + 1, T, T + SPAN_MS // 2 - 1, T + SPAN_MS // 2, T + SPAN_MS]
    assert [draft.takes(moment) for moment in moments] == [False, False, True, True, True, False, False]


@pytest.mark.parametrize("damage", ["gone", "short", "foreign", "changed"])
def test_a_damaged_frame_is_refused(damage: str) -> None:
    frame = compressor().compress(b"some text that is long enough, " * 20)
    damaged = {"gone": b"", "short": frame[:-10], "foreign": b"\0" * 50, "changed": frame[:30] + bytes([frame[30] ^ 1]) + frame[31:]}

    with pytest.raises(ValueError, match=r"."):
        expand(damaged[damage])


def test_a_frame_that_expands_too_far_is_refused() -> None:
    frame = compressor().compress(bytes(3_000_000))

    assert len(expand(frame, 3_000_000)) == 3_000_000
    with pytest.raises(ValueError, match="longer"):
        expand(frame, 2_999_999)


def test_a_frame_that_does_not_say_how_long_it_is() -> None:
    streamed = zstandard.ZstdCompressor().compressobj()
    frame = streamed.compress(b"x") + streamed.flush()

    with pytest.raises(ValueError, match="longer"):
        expand(frame)


def test_the_head_makes_one_array_of_all_groups() -> None:
    assert head_of(3) == b"\xdd\0\0\0\3"


def test_segments_are_kept_by_day() -> None:
    assert segment_path("seg_1", T) == "2023/11/14/seg_1.zst"
