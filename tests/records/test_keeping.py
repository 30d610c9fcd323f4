"""What is too old or too much goes; what no shelf has goes; what crashes have left goes, and nothing else does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.keeping import DAY_MS, JOIN, REST_MS, Keeper
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.policies import Policies, Policy
from penstock.records.record import Record
from penstock.records.segments import SPAN_MS
from penstock.records.service import Records
from penstock.records.vault import Vault

Make = Callable[..., Record]
NOW = clock.now_ms() // SPAN_MS * SPAN_MS - 2 * SPAN_MS
"""The beginning of an hour that is over."""


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.zst"))


async def ids(records: Records, shelf: str = OPERATOR_SHELF) -> list[str]:
    return [opened.entry.id async for opened in records.read(shelf) if opened.record is not None]


async def count(database: Database, model=SegmentRow) -> int:
    async with database.session(read_only=True) as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


async def aged(write, make_record: Make, *days: float, size: int = 0) -> None:
    for number, age in enumerate(days):
        body = os.urandom(size)
        await write(make_record(id=f"req_{number}", account_id="acc_1", created_at_ms=NOW - int(age * DAY_MS), request_body=body))


async def test_what_is_too_old(database: Database, vault: Vault, records: Records, write, folder: Path, make_record: Make) -> None:
    await aged(write, make_record, 40, 31, 29.99, 1)
    keeper = Keeper(database, vault, days=30)

    await keeper.expire(NOW)
    await keeper.sweep()

    assert await ids(records) == await ids(records, "acc_1") == ["req_2", "req_3"]
    assert len(files(folder)) == await count(database) == 2


async def test_what_an_account_wants_kept(
    database: Database, vault: Vault, records: Records, policies: Policies, write, make_record: Make
) -> None:
    await aged(write, make_record, 40, 8, 6)
    await policies.put("acc_1", Policy(retention_days=7))
    await policies.put("acc_2", Policy(retention_days=1))

    await Keeper(database, vault).expire(NOW)

    assert await ids(records, "acc_1") == ["req_2"]
    assert await ids(records) == ["req_0", "req_1", "req_2"], "the operator's shelf is the operator's"


async def test_for_ever(keeper: Keeper, records: Records, write, make_record: Make) -> None:
    await aged(write, make_record, 4000)
    await keeper.run()
    assert await ids(records) == ["req_0"]


@pytest.mark.parametrize(("limit", "left"), [(100_000, 4), (35_000, 3), (21_000, 2), (1, 0), (0, 4)])
async def test_what_is_too_much(
    database: Database, vault: Vault, records: Records, write, folder: Path, make_record: Make, limit: int, left: int
) -> None:
    await aged(write, make_record, 4, 3, 2, 1, size=10_000)
    keeper = Keeper(database, vault, size_limit=limit)

    await keeper.shrink()
    await keeper.sweep()

    assert await ids(records) == [f"req_{number}" for number in range(4 - left, 4)]
    assert len(files(folder)) == left


async def test_many_segments_are_dropped(database: Database, vault: Vault, write, make_record: Make) -> None:
    for number in range(120):
        await write(make_record(created_at_ms=NOW - 50 * DAY_MS + number))
    keeper = Keeper(database, vault, days=30)

    await keeper.run()

    assert [await count(database, model) for model in (SegmentRow, PageRow, EntriesRow)] == [0, 0, 0]


async def test_cleared_bodies_go(keeper: Keeper, records: Records, write, folder: Path, database: Database, make_record: Make) -> None:
    await write(*(make_record(id=f"req_{number}", request_body=b"body %d" % number) for number in range(4)))
    [before] = files(folder)
    await records.clear(OPERATOR_SHELF, Filters(record_id="req_1"))
    await keeper.run()
    assert files(folder) == [before], "the owner has it still"

    await records.clear("acc_operator", Filters(record_id="req_1"))
    await keeper.run()

    [after] = files(folder)
    assert after != before
    assert await ids(records) == ["req_0", "req_2", "req_3"]
    assert [await count(database, model) for model in (SegmentRow, PageRow, EntriesRow)] == [1, 2, 2]
    await keeper.run()
    assert files(folder) == [after], "nothing is left to do"


async def test_small_segments_become_one(keeper: Keeper, records: Records, write, folder: Path, make_record: Make) -> None:
    made = [
        make_record(id=f"req_{number:02d}", account_id=f"acc_{number % 3}", created_at_ms=NOW + number * 1000) for number in range(JOIN + 2)
    ]
    for record in made:
        await write(record, now_ms=record.created_at_ms)

    await keeper.repack(time.monotonic() + 60, NOW + 60_000)
    assert len(files(folder)) == len(made), "they are left alone for a while"
    await keeper.repack(time.monotonic() + 60, NOW + 60_000 + REST_MS)
    assert len(files(folder)) == 1
    assert await ids(records) == [record.id for record in made]
    assert await ids(records, "acc_1") == [record.id for record in made[1::3]]
    assert (await records.get("acc_2", "req_02")).record == made[2]


async def test_segments_of_different_hours_stay_apart(keeper: Keeper, write, folder: Path, make_record: Make) -> None:
    for hour in range(3):
        for number in range(2):
            await write(make_record(created_at_ms=NOW - hour * SPAN_MS + number), now_ms=NOW - 10 * SPAN_MS)

    await keeper.repack(time.monotonic() + 60, NOW + 10 * SPAN_MS)

    assert len(files(folder)) == 3


async def test_a_crash_between_the_store_and_the_index(
    keeper: Keeper, records: Records, vault: Vault, write, folder: Path, make_record: Make
) -> None:
    await write(make_record(id="req_0"))
    lost = await write(make_record(id="req_1"))
    other = folder / "2023" / "notes.txt"
    other.parent.mkdir(exist_ok=True)
    other.write_text("somebody else's")
    fresh = f"2023/11/14/{new_id('seg')}.zst"
    await vault.put(fresh, b"of a writer that is about to write its row")
    async with records._database.session() as session:
        for model in (EntriesRow, PageRow):
            await session.execute(delete(model).where(model.segment_id == lost.row["id"]))
        await session.execute(delete(SegmentRow).where(SegmentRow.id == lost.row["id"]))
    long_ago = time.time() - 4 * 3600
    for path in (folder / lost.path, other, *(folder / path for path in await paths(records))):
        os.utime(path, (long_ago, long_ago))

    await keeper.tidy()

    assert not (folder / lost.path).exists()
    assert (folder / fresh).exists()
    assert other.exists()
    assert await ids(records) == ["req_0"]


async def paths(records: Records) -> list[str]:
    async with records._database.session(read_only=True) as session:
        return list(await session.scalars(select(SegmentRow.path)))


async def test_rows_without_a_segment(keeper: Keeper, database: Database, write, make_record: Make) -> None:
    old_ms = clock.now_ms() - 2 * 3_600_000
    await write(make_record(created_at_ms=old_ms), now_ms=old_ms)
    await write(make_record())
    async with database.session() as session:
        await session.execute(delete(SegmentRow))

    await keeper.tidy()

    assert [await count(database, model) for model in (PageRow, EntriesRow)] == [2, 2], "the younger may be about to get one"


async def test_segments_without_a_page(keeper: Keeper, database: Database, write, folder: Path, make_record: Make) -> None:
    for _ in range(2):
        await write(make_record())
    async with database.session() as session:
        await session.execute(delete(PageRow))
        oldest = await session.scalar(select(func.min(SegmentRow.id)))
        await session.execute(update(SegmentRow).where(SegmentRow.id == oldest).values(created_at_ms=clock.now_ms() - 2 * 3_600_000))

    await keeper.tidy()

    assert await count(database) == len(files(folder)) == 1


async def test_a_store_that_fails(
    keeper: Keeper, records: Records, write, folder: Path, caplog: pytest.LogCaptureFixture, make_record: Make
) -> None:
    await write(make_record(for_owner=False))
    [path] = files(folder)
    data = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "in the way").write_bytes(data)

    assert await records.clear(OPERATOR_SHELF) == 1
    assert "cannot be deleted now" in caplog.text
    (path / "in the way").unlink()
    path.rmdir()
    await keeper.run()
    assert await count(records._database) == 0
