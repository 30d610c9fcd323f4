"""Records packed into a segment come back whole, without credentials, or not at all."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.records.record import Record
from penstock.records.segments import GROUP_BYTES, LARGE_BYTES, Draft, open_store, segment_path, unpack

KEY = b"sk-" + b"a1B2" * 12


def pack(records: list[Record]) -> tuple[list[str], bytes]:
    """One segment of the records."""
    draft = Draft()
    for record in records:
        draft.add(record)
    return draft.ids, draft.finish()


def ids_of(records: list[Record]) -> list[str]:
    return [record.id for record in records]


@given(st.lists(st.tuples(st.binary(max_size=300), st.lists(st.binary(max_size=300), max_size=4)), max_size=10))
def test_what_is_packed_is_unpacked(bodies: list[tuple[bytes, list[bytes]]]) -> None:
    given = [Record(f"req_{place}", place, None, "POST", "/v1/x", "w", None, None, [], one, 200, [], two, 1, False, "complete")
             for place, (one, two) in enumerate(bodies)]  # fmt: skip

    ids, data = pack(given)

    assert ids == ids_of(given)
    assert unpack(data) == given
    assert [(record.request_body, b"".join(record.response_body)) for record in unpack(data)] == [
        (one, b"".join(two)) for one, two in bodies
    ]


def test_credentials_are_not_in_a_segment(make_record: Callable[..., Record]) -> None:
    plain = [make_record() for _ in range(3)]
    telling = make_record(
        path="/v1/models?key=hidden-in-query",
        request_headers=[(b"Authorization", b"Bearer hidden-in-header")],
        request_body=b'{"prompt":"is ' + KEY + b' valid?"}',
        response_body=[b"no: " + KEY[:20], KEY[20:]],
    )

    _, data = pack([*plain[:2], telling, plain[2]])

    bare = zstandard.ZstdDecompressor().stream_reader(data).read()
    assert b"hidden" not in bare
    assert KEY not in bare
    assert [record.id for record in unpack(data)] == [plain[0].id, plain[1].id, telling.id, plain[2].id]
    assert unpack(data)[2].response_body == [b"no: [redacted]"]


def test_one_record_that_cannot_be_encoded_does_not_take_the_others_with_it(make_record: Callable[..., Record]) -> None:
    first, bad, last = make_record(), make_record(duration_ms=1 << 70), make_record()
    draft = Draft()
    draft.add(first)
    size_bytes = draft.size_bytes

    with pytest.raises(ValueError, match=bad.id):
        draft.add(bad)
    assert (draft.ids, draft.size_bytes) == ([first.id], size_bytes)
    draft.add(last)

    assert unpack(draft.finish()) == [first, last]
    assert draft.ids == ids_of([first, last])


@pytest.mark.parametrize("damage", ["gone", "short", "foreign", "changed"])
def test_a_damaged_segment_is_refused(make_record: Callable[..., Record], damage: str) -> None:
    _, data = pack([make_record() for _ in range(5)])
    damaged = {"gone": b"", "short": data[:-10], "foreign": b"\0" * 50, "changed": data[:30] + bytes([data[30] ^ 1]) + data[31:]}

    with pytest.raises(ValueError, match=r"."):
        unpack(damaged[damage])


def test_a_segment_that_expands_too_far_is_refused(make_record: Callable[..., Record]) -> None:
    _, data = pack([make_record(response_body=[bytes(3_000_000)])])

    assert len(unpack(data, 3_100_000)) == 1
    with pytest.raises(ValueError, match="longer"):
        unpack(data, 2_900_000)


@pytest.mark.parametrize("count", [0, 1, 2, 200])
@pytest.mark.parametrize("size", [10, GROUP_BYTES // 7, LARGE_BYTES])
def test_groups_of_all_sizes(make_record: Callable[..., Record], count: int, size: int) -> None:
    """Small ones are compressed as they come, those after a large one by `finish`: the order stays."""
    sizes = [size if place % 3 == 1 else 10 for place in range(min(count, 50_000_000 // size))]
    records = [make_record(request_body=b"%d" % place + b"x" * size) for place, size in enumerate(sizes)]

    ids, data = pack(records)

    assert unpack(data) == records
    assert ids == ids_of(records)


def test_what_is_gathered_is_compressed(make_record: Callable[..., Record]) -> None:
    draft = Draft()
    closed = [draft.add(make_record(response_body=[bytes(10_000)])) for _ in range(60)]

    assert closed[:12] == [False] * 6 + [True] + [False] * 5
    assert draft.raw_bytes > 500_000
    assert draft.size_bytes < 2 * GROUP_BYTES
    assert not draft.is_large
    assert len(unpack(draft.finish())) == 60


def test_a_large_group_waits_for_a_thread(make_record: Callable[..., Record]) -> None:
    draft = Draft()
    draft.add(make_record(response_body=[bytes(LARGE_BYTES + 1)]))

    assert draft.is_large
    assert draft.size_bytes > LARGE_BYTES


def test_segments_are_kept_by_day() -> None:
    assert segment_path("seg_1", 1_700_000_000_000) == "2023/11/14/seg_1.zst"


def test_only_we_may_read_the_store(tmp_path: Path) -> None:
    open_store(tmp_path / "data").put("2023/11/14/seg_1.zst", b"x")

    assert stat.S_IMODE((tmp_path / "data" / "records").stat().st_mode) == 0o700
    assert (tmp_path / "data" / "records" / "2023/11/14/seg_1.zst").read_bytes() == b"x"
