"""Taking records off a shelf: whole pages at once, some of a page without bringing back what another has cleared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import select

from penstock.infra.database import Database
from penstock.records.browse import Browser, Located
from penstock.records.clearing import clear_pages, clear_some, clear_time, mark_stale
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.models import PageRow, SegmentRow
from penstock.records.record import Record
from penstock.records.vault import Vault

T = 1_700_000_000_000
Make = Callable[..., Record]


@pytest.fixture
async def given(database: Database, vault: Vault, write, make_record: Make) -> list[Located]:
    """Ten records in two segments, the earliest first."""
    for half in range(2):
        await write(*(make_record(id=f"req_{half * 5 + place}", created_at_ms=T + half * 5 + place) for place in range(5)))
    return await left(database, vault)


async def left(database: Database, vault: Vault) -> list[Located]:
    found = Browser(database, vault).batches(OPERATOR_SHELF, Filters(), None, newest_first=False)
    return [located async for batch in found for located in batch.entries]


async def stale(database: Database) -> list[bool]:
    async with database.session(read_only=True) as session:
        return list(await session.scalars(select(SegmentRow.stale).order_by(SegmentRow.until_ms)))


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, 10), ({"until_ms": T + 5}, 5), ({"until_ms": T + 4}, 0), ({"from_ms": T + 5}, 5), ({"from_ms": T + 6}, 0),
        ({"from_ms": T, "until_ms": T + 10}, 10),
    ],
)  # fmt: skip
async def test_whole_pages_of_a_time(database: Database, vault: Vault, given: list[Located], asked: dict, count: int) -> None:
    assert await clear_time(database, OPERATOR_SHELF, Filters(**asked)) == count

    assert len(await left(database, vault)) == 10 - count
    assert sum(await stale(database)) == count // 5


async def test_some_of_a_page(database: Database, vault: Vault, given: list[Located]) -> None:
    assert await clear_some(database, vault, OPERATOR_SHELF, [given[0], given[4], given[7]]) == (3, [])

    assert [one.id for one in await left(database, vault)] == ["req_1", "req_2", "req_3", "req_5", "req_6", "req_8", "req_9"]
    assert await stale(database) == [True, True]
    async with database.session(read_only=True) as session:
        page = (await session.scalars(select(PageRow).where(PageRow.shelf == OPERATOR_SHELF).order_by(PageRow.until_ms))).first()
    assert page is not None
    assert (page.count, page.from_ms, page.until_ms, page.first_id, page.last_id) == (3, T + 1, T + 3, "req_1", "req_3")


async def test_what_is_not_there_any_more(database: Database, vault: Vault, given: list[Located]) -> None:
    await clear_some(database, vault, OPERATOR_SHELF, given[:3])
    count, missing = await clear_some(database, vault, OPERATOR_SHELF, given[:5])
    assert (count, sorted(missing)) == (2, ["req_0", "req_1", "req_2"])
    count, missing = await clear_some(database, vault, OPERATOR_SHELF, given[:1])
    assert (count, missing) == (0, ["req_0"])


async def test_two_who_clear_the_same_page(database: Database, vault: Vault, given: list[Located]) -> None:
    counts = await asyncio.gather(*(clear_some(database, vault, OPERATOR_SHELF, [one]) for one in given for _ in range(2)))

    assert sum(count for count, _ in counts) == 10
    assert await left(database, vault) == []


async def test_in_a_transaction_that_fails(database: Database, vault: Vault, given: list[Located]) -> None:
    async def fail() -> None:
        async with database.session() as session:
            assert await clear_pages(session, PageRow.shelf == OPERATOR_SHELF) == 10
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert len(await left(database, vault)) == 10


async def test_many_segments_are_marked(database: Database, given: list[Located]) -> None:
    async with database.session() as session:
        await mark_stale(session, [f"seg_{number}" for number in range(1200)] + [one.segment.id for one in given])
    assert await stale(database) == [True, True]
