"""The recorder: writes what it is given, bounded in memory and in time, whatever happens to its store."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from penstock.infra import schema
from penstock.infra.database import Database
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.keeping import Keeper
from penstock.records.models import SegmentRow
from penstock.records.policies import Policies, Policy
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.segments import SEGMENT_BYTES
from penstock.records.service import Records
from penstock.records.vault import Vault


async def written(records: Records) -> list[Record | None]:
    return [opened.record async for opened in records.read(OPERATOR_SHELF)]


def broken(folder: Path) -> None:
    """Let the store fail: its folder is a file."""
    folder.rmdir()
    folder.write_text("")


def mended(folder: Path) -> None:
    folder.unlink()
    folder.mkdir()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  the recorder has no event for what is waited for
            await asyncio.sleep(0.02)


async def test_what_is_put_is_written(recorder: Recorder, records: Records, make_record: Callable[..., Record]) -> None:
    given = [make_record(request_body=b"%d" % number) for number in range(5)]
    for record in given:
        recorder.put(record)
    assert recorder.depth == 5

    assert await recorder.flush()

    assert await written(records) == given
    assert (recorder.depth, recorder.size_bytes, recorder.dropped, recorder.failures) == (0, 0, 0, 0)


async def test_it_is_written_without_asking(recorder: Recorder, records: Records, make_record: Callable[..., Record]) -> None:
    recorder.put(make_record())
    await until(lambda: not recorder.depth)

    assert len(await written(records)) == 1


async def test_many_records_are_several_segments(
    recorder: Recorder, records: Records, database: Database, make_record: Callable[..., Record]
) -> None:
    ids, size = [], 0
    while size < 2 * SEGMENT_BYTES:
        recorder.put(record := make_record(response_body=[os.urandom(20_000)]))
        ids.append(record.id)
        size += 20_000
    await recorder.flush(20)

    assert [record.id for record in await written(records)] == ids
    async with database.session(read_only=True) as session:
        segments = (await session.scalars(select(SegmentRow).order_by(SegmentRow.id))).all()
    assert sum(segment.count for segment in segments) == len(ids)
    assert len(segments) >= 2
    assert recorder.dropped == 0


async def test_memory_is_used_again(recorder: Recorder, records: Records, make_record: Callable[..., Record]) -> None:
    ids, rooms = [], set()
    for turn in range(6):
        for _ in range(5):
            recorder.put(record := make_record(request_body=os.urandom(60_000 // (turn + 1))))
            ids.append(record.id)
        rooms.add(id(recorder._draft.room))
        assert await recorder.flush()

    assert [record.id for record in await written(records)] == ids
    assert len(rooms) == 2


async def test_large_records_are_written_in_order(recorder: Recorder, records: Records, make_record: Callable[..., Record]) -> None:
    sizes = [10, 20, 2_000_000, 30, 6_000_000, 40]
    for place, size in enumerate(sizes):
        recorder.put(make_record(created_at_ms=1_700_000_000_000 + place, request_body=os.urandom(size)))
    assert await recorder.flush(20)

    assert [len(record.request_body) for record in await written(records) if record] == sizes
    assert recorder.size_bytes == 0


async def test_memory_is_bounded(database: Database, vault: Vault, records: Records, make_record: Callable[..., Record]) -> None:
    recorder = Recorder(database, vault, 1_000_000)
    for _ in range(20):
        recorder.put(make_record(request_body=os.urandom(50_000), response_body=[os.urandom(50_000)]))
    taken = recorder.depth
    assert 10 <= taken <= 12, "it is looked at after every group"
    assert recorder.dropped == 20 - taken
    assert 1_000_000 <= recorder.size_bytes < 1_200_000

    await recorder.start()
    await recorder.flush()
    recorder.put(make_record())
    await recorder.stop()

    assert len(await written(records)) == taken + 1
    assert recorder.dropped == 20 - taken


async def test_what_waits_takes_little(recorder: Recorder, folder: Path, make_record: Callable[..., Record]) -> None:
    broken(folder)
    for _ in range(100):
        recorder.put(make_record(response_body=[bytes(50_000)]))
    await until(lambda: recorder.failures)
    await until(lambda: recorder.size_bytes < 200_000)

    assert (recorder.depth, recorder.dropped) == (100, 0)


async def test_recording_stops_and_goes_on(
    database: Database, vault: Vault, folder: Path, records: Records, make_record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database, vault, 300_000)
    assert recorder.state() == (True, "", 0, 0)
    await recorder.start()
    broken(folder)
    recorder.put(make_record())
    await until(lambda: not recorder.state().running)
    for _ in range(10):
        recorder.put(make_record(response_body=[os.urandom(60_000)]))
    state = recorder.state()

    assert state.stopped_because and "\n" not in state.stopped_because
    assert state.dropped > 0
    assert state.waiting + state.dropped == 11
    mended(folder)
    assert await recorder.flush(20)
    assert recorder.state() == (True, "", state.dropped, 0)
    assert len(await written(records)) == state.waiting, "what was taken before is written then"
    recorder.put(make_record())
    assert await recorder.flush(20)
    assert caplog.text.count("recording has stopped") == 1
    assert caplog.text.count("recording goes on") == 1
    await recorder.stop()


FULL = """
import asyncio, os, resource, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from made_records import made
from penstock.infra import schema
from penstock.infra.database import Database
from penstock.infra.secrets import Secrets
from penstock.records.recorder import Recorder
from penstock.records.vault import Vault, open_store

async def main():
    folder = Path(sys.argv[1])
    database = Database(f"sqlite:///{folder}/penstock.db")
    await schema.migrate(database)
    recorder = Recorder(database, Vault(open_store(folder), Secrets(bytes(32))), 1 << 20)
    await recorder.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    for _ in range(30):
        recorder.put(made(response_body=[os.urandom(50_000)]))
    while recorder.state().running:
        await asyncio.sleep(0.02)
    stopped = recorder.state()
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await recorder.flush(20)
    print(bool(stopped.stopped_because), stopped.dropped > 0, recorder.state().running, recorder.dropped == stopped.dropped)
    await recorder.stop()
    await database.close()

asyncio.run(main())
"""


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    """As far as one process can have it: no file may grow beyond a size."""
    fakes = Path(__file__).parent.parent / "fakes"
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path), str(fakes)], capture_output=True, text=True, timeout=50, check=False)

    assert done.stdout.split() == ["True"] * 4, done.stderr
    assert len(list(tmp_path.rglob("*.zst"))) >= 1


async def test_what_nobody_has_asked_for(recorder: Recorder, make_record: Callable[..., Record]) -> None:
    recorder.put(make_record(for_owner=False, for_operator=False))

    assert (recorder.depth, recorder.dropped) == (0, 0)


async def test_what_an_account_wants_covered(
    recorder: Recorder, policies: Policies, records: Records, make_record: Callable[..., Record]
) -> None:
    await policies.put("acc_1", Policy(redact_paths=("messages.*.content",)))
    body = b'{"messages":[{"role":"user","content":"private"}]}'
    for account_id in ("acc_1", "acc_2"):
        recorder.put(make_record(account_id=account_id, request_body=body, response_headers=[]))
    assert recorder.depth == 2
    assert await recorder.flush()

    found = {record.account_id: record.request_body for record in await written(records) if record}
    assert found == {"acc_1": b'{"messages":[{"role":"user","content":"[redacted]"}]}', "acc_2": body}
    assert (recorder.depth, recorder.size_bytes, recorder.dropped) == (0, 0, 0)


async def test_a_clock_that_jumps(recorder: Recorder, records: Records, database: Database, make_record: Callable[..., Record]) -> None:
    moments = [1_700_000_000_000, 1_700_000_000_001, 1_500_000_000_000, 1_700_000_000_002]
    for moment in moments:
        recorder.put(make_record(created_at_ms=moment))
    assert await recorder.flush()

    assert [record.created_at_ms for record in await written(records) if record] == sorted(moments)
    async with database.session(read_only=True) as session:
        assert len((await session.scalars(select(SegmentRow))).all()) == 3


async def test_stop_writes_what_waits(database: Database, vault: Vault, records: Records, make_record: Callable[..., Record]) -> None:
    recorder = Recorder(database, vault, 1 << 20)
    await recorder.start()
    for _ in range(3):
        recorder.put(make_record())
    await recorder.stop()

    assert len(await written(records)) == 3
    recorder.put(make_record())
    assert (recorder.depth, recorder.dropped) == (0, 1)
    await recorder.stop()
    assert await recorder.flush()


async def test_a_record_that_cannot_be_written_is_counted(recorder: Recorder, records: Records, make_record: Callable[..., Record]) -> None:
    recorder.put(make_record(duration_ms=1 << 70))
    recorder.put(good := make_record())
    await recorder.flush()
    recorder.put(make_record(duration_ms=1 << 70))
    await recorder.flush()

    assert [record.id for record in await written(records)] == [good.id]
    assert (recorder.dropped, recorder.depth, recorder.size_bytes) == (2, 0, 0)


async def test_a_store_that_fails_for_a_while(
    recorder: Recorder, records: Records, folder: Path, make_record: Callable[..., Record]
) -> None:
    broken(folder)
    recorder.put(make_record())
    await until(lambda: recorder.failures)
    mended(folder)

    assert await recorder.flush(20)
    assert len(await written(records)) == 1
    assert recorder.dropped == 0


async def test_a_store_that_fails_for_good(
    recorder: Recorder, folder: Path, database: Database, make_record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    broken(folder)
    recorder.put(make_record())
    recorder.put(make_record())
    await recorder.stop()

    assert (recorder.dropped, recorder.depth, recorder.size_bytes) == (2, 0, 0)
    assert recorder.failures > 1
    assert "dropped" in caplog.text
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(SegmentRow))).all() == [], "no row without a body"


async def test_a_database_that_fails_for_a_while(empty_database_url: str, vault: Vault, make_record: Callable[..., Record]) -> None:
    database = Database(empty_database_url)
    recorder = Recorder(database, vault, 1 << 20)
    await recorder.start()
    recorder.put(make_record())
    await until(lambda: recorder.failures)
    await schema.migrate(database)

    assert await recorder.flush(20)
    policies, keeper = Policies(database), Keeper(database, vault)
    assert len(await written(Records(database, vault, recorder, policies, keeper))) == 1
    assert recorder.dropped == 0
    await recorder.stop()
    await database.close()


async def test_a_flush_does_not_wait_for_ever(recorder: Recorder, folder: Path, make_record: Callable[..., Record]) -> None:
    broken(folder)
    recorder.put(make_record())

    assert not await recorder.flush(0.05)


async def test_the_end_does_not_wait_for_ever(
    database: Database, vault: Vault, make_record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(database, vault, 1 << 20)
    await recorder.start()
    recorder.put(make_record())
    await recorder.stop(0)

    assert (recorder.dropped, recorder.depth, recorder.size_bytes) == (1, 0, 0)
    assert "before the end" in caplog.text
