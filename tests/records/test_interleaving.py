"""Whatever is written, cleared, rewritten and expired, in whatever order: a shelf is what a plain list of records would be."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from made_records import made
from penstock.infra.database import Database
from penstock.infra.secrets import Secrets
from penstock.kit.ids import new_id
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.index import Index
from penstock.records.keeping import DAY_MS, Keeper
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.pages import make_segment
from penstock.records.policies import Policies
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.segments import SPAN_MS, Draft
from penstock.records.service import Bounds, Records
from penstock.records.vault import Vault, open_store

T = 1_700_000_000_000
SHELVES = (OPERATOR_SHELF, "acc_1", "acc_2")
MODELS = ("gpt-4o", "claude-3", "claude-4")
STATUSES = (200, 429, 500, None)

moments = st.one_of(st.integers(0, 12), st.integers(0, SPAN_MS // 4))
facts = st.fixed_dictionaries(
    {
        "created_at_ms": moments.map(lambda ms: T + ms),
        "account_id": st.sampled_from(SHELVES[1:]),
        "for_whom": st.sampled_from([(True, True), (True, False), (False, True)]),
        "key_id": st.sampled_from(["key_1", "key_2", None]),
        "original_model": st.sampled_from(MODELS),
        "response_status": st.sampled_from(STATUSES),
        "request_body": st.sampled_from([b"one", b"two needles", b"x" * 70_000]),
    }
)
wanted = st.fixed_dictionaries(
    {},
    optional={
        "from_ms": moments.map(lambda ms: T + ms),
        "until_ms": moments.map(lambda ms: T + ms),
        "key_id": st.sampled_from(["key_1", "key_2"]),
        "model": st.sampled_from(["claude*", "gpt-4o", "?pt*", "none"]),
        "status": st.sampled_from([200, "4xx", "5xx", 404]),
        "text": st.sampled_from(["NEEDLE", "one", "xx"]),
    },
)
shelves = st.sampled_from(SHELVES)
written = st.tuples(st.just("write"), st.lists(facts, min_size=1, max_size=4))
steps = st.one_of(
    written,
    st.tuples(st.just("clear"), shelves, wanted),
    st.tuples(st.just("check"), shelves, wanted, st.integers(1, 4)),
    st.tuples(st.just("keep")),
    st.tuples(st.just("join")),
    st.tuples(st.just("expire"), moments),
    st.tuples(st.just("read"), shelves, st.booleans(), st.lists(facts, min_size=1, max_size=2), shelves, wanted),
)
FITTING: dict[str, Callable[[str], bool]] = {
    "claude*": lambda name: name.startswith("claude"),
    "gpt-4o": lambda name: name == "gpt-4o",
    "?pt*": lambda name: name.startswith("gpt"),
    "none": lambda _: False,
}
lives = st.tuples(st.lists(written, max_size=6), st.lists(steps, min_size=1, max_size=10)).map(lambda both: both[0] + both[1])


def fits(record: Record, asked: dict[str, Any]) -> bool:
    """What filters mean, said in another way."""
    status, model = asked.get("status"), asked.get("model")
    names = [name for name in (record.original_model, record.rewritten_model) if name]
    return (
        asked.get("from_ms", 0) <= record.created_at_ms < asked.get("until_ms", 1 << 62)
        and asked.get("key_id", record.key_id) == record.key_id
        and (status is None or str(record.response_status).startswith(str(status).rstrip("x")))
        and (model is None or any(FITTING[model](name) for name in names))
        and asked.get("text", "").lower().encode() in record.request_body
    )  # fmt: skip


@dataclass
class World:
    """The service, and beside it a plain list of records for each shelf."""

    database: Database
    vault: Vault
    records: Records
    keeper: Keeper
    index: Index
    lists: dict[str, list[Record]]

    async def write(self, given: list[dict[str, Any]]) -> None:
        draft = Draft()
        for fields in given:
            for_owner, for_operator = fields["for_whom"]
            others = {name: value for name, value in fields.items() if name != "for_whom"}
            whom = {"for_owner": for_owner, "for_operator": for_operator}
            record = made(rewritten_model=None, response_headers=[], response_body=[], **others, **whom)
            draft.add(record)
            for shelf in ((record.account_id,) if record.for_owner else ()) + ((OPERATOR_SHELF,) if record.for_operator else ()):
                self.lists[str(shelf)].append(record)
        segment = make_segment(self.vault, draft, new_id("seg"), max(fields["created_at_ms"] for fields in given))
        await self.vault.put(segment.path, segment.data)
        await self.index.add(segment)

    def expected(self, shelf: str, asked: dict[str, Any]) -> list[str]:
        found = [record for record in self.lists[shelf] if fits(record, asked)]
        return [record.id for record in sorted(found, key=lambda one: (one.created_at_ms, one.id))]

    async def clear(self, shelf: str, asked: dict[str, Any]) -> None:
        count = await self.records.clear(shelf, Filters(**asked))
        left = [record for record in self.lists[shelf] if not fits(record, asked)]
        assert count == len(self.lists[shelf]) - len(left)
        self.lists[shelf] = left

    async def check(self, shelf: str, asked: dict[str, Any], limit: int) -> None:
        ids: list[str] = []
        cursor = None
        for _ in range(1000):
            found = await self.records.list(shelf, Filters(**asked), cursor=cursor, limit=limit)
            ids += [entry.id for entry in found.entries]
            if (cursor := found.cursor) is None:
                break
        assert ids == self.expected(shelf, asked)[::-1]
        for record in self.lists[shelf][:3]:
            assert (await self.records.get(shelf, record.id)).record == record

    async def keep(self) -> None:
        await self.keeper.run()

    async def join(self) -> None:
        await self.keeper.repack(1e12, T + 10 * SPAN_MS)

    async def expire(self, ms: int) -> None:
        """Drop what is old: whole segments, and what was in them is on no shelf any more."""
        old = select(PageRow.shelf, PageRow.segment_id).join(SegmentRow, SegmentRow.id == PageRow.segment_id)
        async with self.database.session(read_only=True) as session:
            before = set(await session.scalars(select(SegmentRow.id).where(SegmentRow.until_ms < T + ms)))
            pages = [tuple(row) for row in await session.execute(old.where(SegmentRow.id.in_(before)))]
        gone = {shelf: set() for shelf in SHELVES}
        for shelf, segment_id in pages:
            async with self.database.session(read_only=True) as session:
                row = await session.get(EntriesRow, (segment_id, shelf))
            assert row is not None
            gone[shelf] |= {entry.id for entry in self.vault.entries(segment_id, shelf, row.data)}
        await Keeper(self.database, self.vault, days=1).expire(T + ms + DAY_MS)
        for shelf in SHELVES:
            self.lists[shelf] = [record for record in self.lists[shelf] if record.id not in gone[shelf]]

    async def read(self, shelf: str, newest_first: bool, given: list[dict[str, Any]], other: str, asked: dict[str, Any]) -> None:
        """Read a shelf while others write to it, clear some of it, and segments are rewritten."""
        before = {record.id: record for record in self.lists[shelf]}
        ids: list[str] = []
        async for opened in self.records.read(shelf, newest_first=newest_first):
            assert opened.record == before.get(opened.entry.id, opened.record)
            ids.append(opened.entry.id)
            if len(ids) == 1:
                await self.write(given)
                await self.clear(other, asked)
                await self.join()
        now = {record.id: record for record in self.lists[shelf]}
        assert len(set(ids)) == len(ids)
        assert set(before) & set(now) <= set(ids) <= set(before) | set(now)
        order = sorted(ids, key=lambda one: ((before | now)[one].created_at_ms, one), reverse=newest_first)
        assert ids == order


async def live(url: str, folder: Path, given: list[tuple[Any, ...]], *, encrypt: bool) -> None:
    database = Database(url)
    async with database.session() as session:
        for model in (SegmentRow, PageRow, EntriesRow):
            await session.execute(delete(model))
    vault = Vault(open_store(folder), Secrets(bytes(32)), encrypt=encrypt)
    keeper = Keeper(database, vault)
    records = Records(database, vault, Recorder(database, vault, 0), Policies(database), keeper, Bounds(entries=5))
    world = World(database, vault, records, keeper, Index(database), {shelf: [] for shelf in SHELVES})
    try:
        for name, *arguments in given:
            await getattr(world, name)(*arguments)
        for shelf in SHELVES:
            await world.check(shelf, {}, 3)
        for shelf in SHELVES:
            await world.clear(shelf, {})
        assert list(folder.rglob("*.zst")) == []
    finally:
        world.index.close()
        await database.close()


@pytest.fixture
def run(database_url: str) -> Callable[..., None]:
    """Lives a life on one database."""

    def once(given: list[tuple[Any, ...]], *, encrypt: bool) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            asyncio.run(live(database_url, folder, given, encrypt=encrypt))
        finally:
            shutil.rmtree(folder)

    return once


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(given=lives, encrypt=st.booleans())
def test_a_shelf_is_what_a_list_would_be(run: Callable[..., None], given: list[tuple[Any, ...]], encrypt: bool) -> None:
    run(given, encrypt=encrypt)
