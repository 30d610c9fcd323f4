"""The rows that say where records are, on both engines."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from penstock.infra.database import Database, DatabaseAway
from penstock.infra.secrets import Secrets
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.index import Index, add_rows
from penstock.records.models import EntriesRow, PageRow, SegmentRow
from penstock.records.pages import Segment, make_segment
from penstock.records.record import Record
from penstock.records.segments import Draft
from penstock.records.vault import Vault, open_store

T = 1_700_000_000_000
Make = Callable[..., Record]


@pytest.fixture
async def index(database: Database) -> AsyncIterator[Index]:
    index = Index(database)
    yield index
    index.close()


@pytest.fixture
def segment(vault: Vault, make_record: Make) -> Callable[..., Segment]:
    """Makes a segment of records of these accounts."""

    def make(*accounts: str, number: int = 1) -> Segment:
        draft = Draft()
        for place, account_id in enumerate(accounts):
            draft.add(make_record(account_id=account_id, created_at_ms=T + place))
        return make_segment(vault, draft, f"seg_{number}", T + 1_000_000)

    return make


async def count(database: Database) -> list[int | None]:
    async with database.session(read_only=True) as session:
        return [await session.scalar(select(func.count()).select_from(model)) for model in (SegmentRow, PageRow, EntriesRow)]


@pytest.mark.parametrize("accounts", [1, 2, 1200])
async def test_the_rows_of_a_segment(index: Index, database: Database, segment: Callable[..., Segment], accounts: int) -> None:
    """More pages than one statement takes are several statements."""
    await index.add(segment(*(f"acc_{number}" for number in range(accounts))))

    assert await count(database) == [1, accounts + 1, accounts + 1]
    async with database.session(read_only=True) as session:
        row = (await session.scalars(select(SegmentRow))).one()
        page = (await session.scalars(select(PageRow).where(PageRow.shelf == OPERATOR_SHELF))).one()
    assert (row.id, row.created_at_ms, row.until_ms, row.path) == ("seg_1", T + 1_000_000, T + accounts - 1, "2023/11/14/seg_1.zst")
    assert (row.count, row.stale) == (accounts, False)
    assert (page.from_ms, page.until_ms, page.count, page.size_bytes) == (T, T + accounts - 1, accounts, row.size_bytes)


async def test_adding_again_is_harmless(index: Index, database: Database, segment: Callable[..., Segment]) -> None:
    await index.add(segment("acc_1", "acc_2"))
    await index.add(segment("acc_1", "acc_2"))
    await index.add(segment("acc_1", number=2))

    assert await count(database) == [2, 5, 5]


async def test_adding_in_a_transaction(database: Database, segment: Callable[..., Segment]) -> None:
    async def fail() -> None:
        async with database.session() as session:
            await add_rows(session, segment("acc_1"))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await count(database) == [0, 0, 0]
    async with database.session() as session:
        await add_rows(session, segment("acc_1"))
    assert await count(database) == [1, 2, 2]


async def test_a_database_without_tables(empty_database_url: str, segment: Callable[..., Segment]) -> None:
    database = Database(empty_database_url)
    index = Index(database)
    with pytest.raises((DatabaseAway, SQLAlchemyError)):
        await index.add(segment("acc_1"))
    index.close()
    await database.close()


async def test_another_writer_is_not_kept_waiting(index: Index, database: Database, segment: Callable[..., Segment]) -> None:
    if database.path is None:
        return  # PostgreSQL locks rows, not the database
    await index.add(segment("acc_1"))
    with closing(sqlite3.connect(database.path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    assert (await count(database))[0] == 1


def test_texts_that_a_database_refuses(tmp_path, make_record: Make) -> None:
    draft = Draft()
    draft.add(make_record(original_model="a\0b", channel="c\nd\0"))
    segment = make_segment(Vault(open_store(tmp_path), Secrets(bytes(32))), draft, "seg_1", T)

    assert segment.pages[0]["models"] == "\nab\ngpt-4o-mini\n"
    assert segment.pages[0]["channels"] == "\nc\nd\n"
