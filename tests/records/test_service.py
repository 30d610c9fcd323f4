"""Reading and clearing records, whatever has become of their segments."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from penstock.infra.database import Database
from penstock.kit.errors import PenstockError
from penstock.records.models import SegmentRow
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.service import Records


async def ids(records: Records, after: str | None = None, limit: int | None = None) -> list[str]:
    return [record.id async for record in records.read(after, limit)]


@pytest.fixture
async def given(recorder: Recorder, make_record: Callable[..., Record]) -> list[str]:
    """The ids of six records, in three segments."""
    made = []
    for number in range(6):
        recorder.put(record := make_record(id=f"req_{9 - number}"))
        made.append(record.id)
        if number % 2:
            await recorder.flush()
    return made


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.zst"))


async def count(database: Database) -> int | None:
    async with database.session(read_only=True) as session:
        return await session.scalar(select(func.count()).select_from(SegmentRow))


async def test_records_are_read_in_the_order_in_which_they_were_written(records: Records, given: list[str]) -> None:
    assert await ids(records) == given


async def test_a_number_of_them(records: Records, given: list[str]) -> None:
    for limit in (0, 1, 2, 3, 6, 100):
        assert await ids(records, limit=limit) == given[:limit]


async def test_those_after_one(records: Records, given: list[str]) -> None:
    for place in range(6):
        assert await ids(records, after=given[place]) == given[place + 1 :]
        assert await ids(records, after=given[place], limit=2) == given[place + 1 : place + 3]


async def test_those_after_one_that_is_not_there(records: Records, given: list[str]) -> None:
    for unknown in ("req_unknown", "req_", "req_5\nreq_4", "eq_5", "%", ""):
        with pytest.raises(PenstockError) as refused:
            await ids(records, after=unknown)
        assert (refused.value.code, refused.value.param) == ("not_found", "after")


async def test_batches_are_segments(records: Records, given: list[str]) -> None:
    batches = [[record.id for record in batch] async for batch in records.batches(after=given[0])]

    assert batches == [given[1:2], given[2:4], given[4:6]]


async def test_nothing_was_recorded(records: Records) -> None:
    assert await ids(records) == []
    assert await records.clear() == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "foreign", "short"])
async def test_a_damaged_segment_is_left_out(
    records: Records, given: list[str], folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = segments(folder)[1]
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "foreign": b"not a segment", "short": data[: len(data) // 2]}[damage])

    assert await ids(records) == given[:2] + given[4:]
    assert path.stem in caplog.text


async def test_clear(records: Records, recorder: Recorder, given: list[str], folder: Path, database: Database, make_record) -> None:
    assert await records.clear() == 6

    assert await ids(records) == []
    assert segments(folder) == []
    assert await count(database) == 0
    recorder.put(make_record(id="req_new"))
    await recorder.flush()
    assert await ids(records) == ["req_new"]


async def test_clear_when_segments_are_gone_already(records: Records, given: list[str], folder: Path, database: Database) -> None:
    for path in segments(folder):
        path.unlink()

    assert await records.clear() == 6
    assert await count(database) == 0


async def test_clear_takes_what_crashes_left(records: Records, given: list[str], folder: Path, database: Database) -> None:
    orphan, fresh = folder / "2023" / "old.zst", folder / "fresh.zst"
    orphan.parent.mkdir()
    orphan.write_bytes(b"of a writer that died before it wrote the rows")
    fresh.write_bytes(b"of a writer that is about to write the rows")
    long_ago = time.time() - 3600
    os.utime(orphan, (long_ago, long_ago))

    await records.clear()

    assert segments(folder) == [fresh]
    assert await count(database) == 0


async def test_what_is_left_is_kept(records: Records, given: list[str], database: Database) -> None:
    """What another process writes while we clear stays readable: its object has a row."""
    await records._delete_orphans()

    assert await count(database) == 3
    assert await ids(records) == given
