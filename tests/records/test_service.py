"""Listing, reading and clearing records, whatever has become of their segments."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from penstock.accounts.models import OPERATOR
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.keeping import Keeper
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.policies import Policies, Policy
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.service import Bounds, Records
from penstock.records.vault import Vault

T = 1_700_000_000_000
Make = Callable[..., Record]


async def listed(records: Records, shelf: str = OPERATOR_SHELF, limit: int = 50, **wanted) -> list[str]:
    """The ids of a whole list, page by page."""
    ids: list[str] = []
    cursor = None
    while True:
        found = await records.list(shelf, Filters(**wanted), cursor=cursor, limit=limit)
        ids += [entry.id for entry in found.entries]
        assert len(found.entries) <= limit
        cursor = found.cursor
        if cursor is None:
            return ids


async def read(records: Records, shelf: str = OPERATOR_SHELF, *, newest_first: bool = False, **wanted) -> list[str]:
    return [opened.entry.id async for opened in records.read(shelf, Filters(**wanted), newest_first=newest_first)]


@pytest.fixture
async def given(write, make_record: Make) -> list[str]:
    """The ids of six records, the earliest first, in three segments that overlap."""
    made = [make_record(id=f"req_{number}", created_at_ms=T + number) for number in range(6)]
    for some in ((0, 3), (1, 4), (2, 5)):
        await write(*(made[number] for number in some))
    return [record.id for record in made]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.zst"))


async def count(database: Database, model=SegmentRow) -> int | None:
    async with database.session(read_only=True) as session:
        return await session.scalar(select(func.count()).select_from(model))


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 100])
async def test_the_latest_come_first(records: Records, given: list[str], limit: int) -> None:
    assert await listed(records, limit=limit) == given[::-1]
    assert await read(records) == given
    assert await read(records, newest_first=True) == given[::-1]


async def test_what_an_entry_says(records: Records, write, make_record: Make) -> None:
    record = make_record(
        account_id="acc_1", channel="first", cost_nano=12, input_tokens=3, output_tokens=4, rules=("rul_1",),
        phases_us=(1, 2, 3, 4, 5, 6, 7),
    )  # fmt: skip
    await write(record)

    [entry] = (await records.list("acc_1")).entries

    assert (entry.id, entry.created_at_ms, entry.account_id, entry.key_id) == (record.id, record.created_at_ms, "acc_1", "key_1")
    assert (entry.method, entry.path, entry.wire) == ("POST", "/v1/chat/completions", "chat_completions")
    assert (entry.model, entry.served, entry.channel, entry.status, entry.outcome) == ("gpt-4o", "gpt-4o-mini", "first", 200, "complete")
    assert (entry.is_stream, entry.duration_ms, entry.first_byte_us, entry.rules) == (False, 12, 15, ("rul_1",))
    assert (entry.cost_nano, entry.input_tokens, entry.output_tokens) == (12, 3, 4)
    assert (entry.request_bytes, entry.response_bytes) == (18, 19)


async def test_shelves(records: Records, write, make_record: Make) -> None:
    await write(
        make_record(id="req_1", account_id="acc_1"),
        make_record(id="req_2", account_id="acc_1", for_operator=False),
        make_record(id="req_3", account_id="acc_2", for_owner=False),
        make_record(id="req_4"),
    )

    shelves = {shelf: await listed(records, shelf) for shelf in (OPERATOR_SHELF, "acc_1", "acc_2", OPERATOR)}
    assert shelves == {OPERATOR_SHELF: ["req_4", "req_3", "req_1"], "acc_1": ["req_2", "req_1"], "acc_2": [], OPERATOR: ["req_4"]}
    with pytest.raises(PenstockError) as refused:
        await records.get("acc_1", "req_3")
    assert refused.value.code == "not_found"
    assert (await records.get(OPERATOR_SHELF, "req_3")).record is not None


async def test_new_ones_do_not_move_a_cursor(records: Records, write, given: list[str], make_record: Make) -> None:
    first = await records.list(OPERATOR_SHELF, limit=2)
    await write(make_record(id="req_new", created_at_ms=T + 100), make_record(id="req_late", created_at_ms=T + 2))
    second = await records.list(OPERATOR_SHELF, cursor=first.cursor, limit=100)

    ids = [entry.id for entry in second.entries]
    assert [one for one in ids if one != "req_late"] == ["req_3", "req_2", "req_1", "req_0"]
    assert "req_new" not in ids


@pytest.mark.parametrize("cursor", ["", "x", "bm9uZQ", "MS4", "LTEucg", "MTIz", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OS5y"])
async def test_a_cursor_that_is_none(records: Records, given: list[str], cursor: str) -> None:
    if cursor == "MS4":  # what a list that was cut short gives: a moment alone
        assert (await records.list(OPERATOR_SHELF, cursor=cursor)).entries == []
        return
    with pytest.raises(PenstockError) as refused:
        await records.list(OPERATOR_SHELF, cursor=cursor)
    assert (refused.value.code, refused.value.param) == ("invalid_request", "cursor")


async def test_get(records: Records, given: list[str], make_record: Make) -> None:
    for record_id in given:
        opened = await records.get(OPERATOR_SHELF, record_id)
        assert opened.entry.id == record_id
        assert opened.record is not None
        assert opened.record.id == record_id
    for unknown in ("req_unknown", "req_", "req_5\nreq_4", "%", "", "req_9"):
        with pytest.raises(PenstockError) as refused:
            await records.get(OPERATOR_SHELF, unknown)
        assert refused.value.code == "not_found"


async def test_get_by_an_id_of_ours(records: Records, write, make_record: Make) -> None:
    now_ms = time.time_ns() // 1_000_000
    made = [make_record(created_at_ms=now_ms + number) for number in range(30)]
    for number in range(3):
        await write(*made[number::3])

    for record in made:
        assert (await records.get(OPERATOR_SHELF, record.id)).record == record


@pytest.mark.parametrize("damage", ["missing", "empty", "foreign", "short"])
async def test_a_damaged_segment(records: Records, given: list[str], folder: Path, damage: str) -> None:
    path = segments(folder)[1]
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "foreign": b"not a segment" * 100, "short": data[: len(data) // 2]}[damage])

    assert await listed(records) == given[::-1]
    assert (await records.get(OPERATOR_SHELF, "req_0")).record is not None
    opened = await records.get(OPERATOR_SHELF, "req_1")
    assert opened.record is None
    assert "segment" in opened.missing
    assert [one.record is None for one in [one async for one in records.read(OPERATOR_SHELF)]] == [False, True, False] * 2


async def test_a_damaged_page_is_left_out(records: Records, given: list[str], database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async with database.session() as session:
        row = (await session.scalars(select(EntriesRow).where(EntriesRow.shelf == OPERATOR_SHELF).limit(1))).one()
        row.data = b"\x28\xb5\x2f\xfdnonsense"

    assert len(await listed(records)) == 4
    assert "2 records are left out" in caplog.text


FILTERS = [
    ({"key_id": "key_2"}, "2"),
    ({"model": "claude-3"}, "3"),
    ({"model": "claude*"}, "34"),
    ({"model": "*mini"}, "0125"),
    ({"model": "Claude*"}, ""),
    ({"wire": "messages"}, "3"),
    ({"status": 429}, "4"),
    ({"status": "4xx"}, "45"),
    ({"status": "5xx"}, ""),
    ({"outcome": "stopped"}, "5"),
    ({"channel": "second"}, "1"),
    ({"least_cost_nano": 10}, "05"),
    ({"record_id": "req_4"}, "4"),
    ({"rule_id": "rul_a"}, "13"),
    ({"text": "NEEDLE"}, "02"),
    ({"text": 'say "hé"'}, "1"),
    ({"text": "line\nbreak"}, "3"),
    ({"text": "HÉ"}, "1"),
    ({"text": "needle", "key_id": "key_2"}, "2"),
    ({"from_ms": T + 2}, "2345"),
    ({"until_ms": T + 2}, "01"),
    ({"from_ms": T + 1, "until_ms": T + 3}, "12"),
    ({"from_ms": T + 3, "until_ms": T + 3}, ""),
]  # fmt: skip


@pytest.fixture
async def various(write, make_record: Make) -> None:
    """Six records, each of which has something of its own, in three segments."""
    packed = gzip.compress(b"the needle in it")
    own: list[dict] = [
        {"cost_nano": 10, "response_body": [packed], "response_headers": [(b"Content-Encoding", b"gzip")]},
        {"channel": "second", "rules": ("rul_b", "rul_a"), "request_body": json.dumps({"x": 'Say "Hé"'}).encode()},
        {"key_id": "key_2", "sent_body": b"a NEEdle"},
        {"original_model": "claude-3", "rewritten_model": "claude-3", "wire": "messages", "rules": ("rul_a",),
         "request_body": json.dumps({"x": "Line\nBreak"}).encode()},
        {"original_model": "claude-4", "rewritten_model": None, "response_status": 429},
        {"response_status": 400, "outcome": "stopped", "cost_nano": 11},
    ]  # fmt: skip
    made = [make_record(id=f"req_{number}", created_at_ms=T + number, **fields) for number, fields in enumerate(own)]
    for some in ((0, 3), (1, 4), (2, 5)):
        await write(*(made[number] for number in some))


@pytest.mark.parametrize(("wanted", "numbers"), FILTERS)
async def test_filters(records: Records, various: None, wanted: dict, numbers: str) -> None:
    ids = [f"req_{number}" for number in numbers]
    assert await read(records, **wanted) == ids
    for limit in (1, 2, 50):
        assert await listed(records, limit=limit, **wanted) == ids[::-1]


@pytest.mark.parametrize(("wanted", "numbers"), FILTERS)
async def test_clear_what_fits(records: Records, various: None, wanted: dict, numbers: str) -> None:
    assert await records.clear(OPERATOR_SHELF, Filters(**wanted)) == len(numbers)

    left = [f"req_{number}" for number in "012345" if number not in numbers]
    assert await listed(records) == left[::-1]
    assert [one.record is not None async for one in records.read(OPERATOR_SHELF)] == [True] * len(left)
    assert len(await listed(records, OPERATOR)) == 6, "the other shelf"


Bounded = Callable[[Bounds], Records]


@pytest.fixture
def bounded(database: Database, vault: Vault, recorder: Recorder, policies: Policies, keeper: Keeper) -> Bounded:
    """Makes a service that looks at less in one list."""
    return lambda bounds: Records(database, vault, recorder, policies, keeper, bounds)


async def test_a_list_that_looks_at_too_much(bounded: Bounded, various: None) -> None:
    records = bounded(Bounds(entries=2))
    first = await records.list(OPERATOR_SHELF, Filters(text="needle", channel=""))
    assert (first.entries, first.complete) == ([], False)
    assert await listed(records, text="needle", channel="") == ["req_2", "req_0"]


async def test_a_search_that_expands_too_much(bounded: Bounded, various: None) -> None:
    records = bounded(Bounds(expanded_bytes=1))
    first = await records.list(OPERATOR_SHELF, Filters(text="needle"))
    assert (first.entries, first.complete) == ([], False)
    assert await listed(records, text="needle") == ["req_2", "req_0"]


async def test_a_list_that_takes_too_long(bounded: Bounded, various: None) -> None:
    records = bounded(Bounds(within_s=0.0))
    assert await listed(records, text="needle") == ["req_2", "req_0"]
    assert await listed(records, status=429) == ["req_4"]


async def test_clear(records: Records, recorder: Recorder, given: list[str], folder: Path, database: Database, make_record: Make) -> None:
    assert await records.clear(OPERATOR_SHELF) == 6
    assert await listed(records) == []
    assert await read(records, OPERATOR) == given, "they stand on their owner's shelf still"
    assert len(segments(folder)) == 3

    assert await records.clear(OPERATOR) == 6
    assert segments(folder) == []
    assert [await count(database, model) for model in (SegmentRow, PageRow, EntriesRow)] == [0, 0, 0]
    recorder.put(make_record(id="req_new"))
    await records.flush()
    assert await listed(records) == ["req_new"]


async def test_clear_when_segments_are_gone_already(records: Records, given: list[str], folder: Path, database: Database) -> None:
    for path in segments(folder):
        path.unlink()

    for shelf in (OPERATOR_SHELF, OPERATOR):
        assert await records.clear(shelf) == 6
    assert await count(database) == 0


async def test_clear_nothing(records: Records) -> None:
    assert await records.clear(OPERATOR_SHELF) == 0
    assert await listed(records) == []
    assert await read(records) == []


async def test_reading_goes_on_when_records_are_deleted(records: Records, write, make_record: Make) -> None:
    for number in range(8):
        await write(make_record(id=f"req_{number}", created_at_ms=T + number), make_record(id=f"req_{number}x", created_at_ms=T + number))
    ids = []
    async for opened in records.read(OPERATOR_SHELF):
        ids.append(opened.entry.id)
        assert opened.record is not None
        if len(ids) == 1:
            await records.clear(OPERATOR_SHELF, Filters(until_ms=T + 6))

    assert ids[0] == "req_0"
    assert ids[-4:] == ["req_6", "req_6x", "req_7", "req_7x"]


async def test_reading_goes_on_when_segments_are_rewritten(records: Records, keeper: Keeper, write, make_record: Make) -> None:
    for number in range(8):
        pair = [make_record(id=f"req_{number}{which}", created_at_ms=T + number) for which in "ab"]
        await write(*pair)
    for shelf in (OPERATOR_SHELF, OPERATOR):
        for number in range(8):
            await records.clear(shelf, Filters(record_id=f"req_{number}b"))
    ids = []
    async for opened in records.read(OPERATOR_SHELF):
        ids.append(opened.entry.id)
        assert opened.record is not None, opened.missing
        if len(ids) == 1:
            await keeper.run()

    assert ids == [f"req_{number}a" for number in range(8)]


async def test_what_comes_while_reading_is_not_read(records: Records, write, given: list[str], make_record: Make) -> None:
    later_ms = time.time_ns() // 1_000_000 + 5_000
    ids = []
    async for opened in records.read(OPERATOR_SHELF):
        ids.append(opened.entry.id)
        if len(ids) == 1:
            await write(make_record(id="req_new", created_at_ms=later_ms))

    assert ids == given


async def test_policies(records: Records) -> None:
    assert await records.policy("acc_1") == Policy()
    set_to = await records.set_policy("acc_1", Policy(record=True, retention_days=3))
    assert await records.policy("acc_1") == set_to
    assert (await records.policy("acc_2")).record is False


async def test_the_state(records: Records, recorder: Recorder, make_record: Make) -> None:
    assert records.state() == (True, "", 0, 0)
    recorder.put(make_record())
    assert records.state().waiting == 1


async def test_a_segment_that_is_added_is_seen_as_a_whole(records: Records, given: list[str], database: Database) -> None:
    """Until its own row is there, nobody sees its pages."""
    async with database.session() as session:
        await session.execute(delete(SegmentRow))

    assert await listed(records) == []
