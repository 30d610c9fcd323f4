"""The record of an entry is read, found again where it has been moved to, or it is said why it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.infra.database import Database
from penstock.records.bodies import GONE, KEPT_BYTES, Bodies
from penstock.records.browse import Browser, Located
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.keeping import Keeper
from penstock.records.record import Record
from penstock.records.service import Records
from penstock.records.vault import Vault

T = 1_700_000_000_000
Make = Callable[..., Record]


@pytest.fixture
def browser(database: Database, vault: Vault) -> Browser:
    return Browser(database, vault)


@pytest.fixture
def bodies(vault: Vault, browser: Browser) -> Bodies:
    return Bodies(vault, browser, OPERATOR_SHELF)


async def located(browser: Browser) -> list[Located]:
    return [one async for batch in browser.batches(OPERATOR_SHELF, Filters(), None, newest_first=False) for one in batch.entries]


async def test_a_group_is_read_once(bodies: Bodies, browser: Browser, write, make_record: Make) -> None:
    given = [make_record(id=f"req_{number}", request_body=bytes(20_000)) for number in range(5)]
    await write(*given)
    found = await located(browser)

    assert [(await bodies.read(one)).record for one in found] == given
    expanded = bodies.expanded_bytes
    assert 100_000 < expanded < 110_000
    assert [(await bodies.read(one)).record for one in found] == given
    assert bodies.expanded_bytes == expanded


async def test_not_much_is_kept(bodies: Bodies, browser: Browser, write, make_record: Make) -> None:
    await write(*(make_record(id=f"req_{number}", request_body=bytes(KEPT_BYTES // 2)) for number in range(4)))
    found = await located(browser)

    for one in (*found, found[0]):
        assert (await bodies.read(one)).record is not None
    assert bodies.expanded_bytes > 2.4 * KEPT_BYTES, "the first was read again"


async def test_one_that_was_moved(bodies: Bodies, browser: Browser, keeper: Keeper, records: Records, write, make_record: Make) -> None:
    given = [make_record(id=f"req_{number}") for number in range(3)]
    await write(*given)
    found = await located(browser)
    for shelf in (OPERATOR_SHELF, "acc_operator"):
        await records.clear(shelf, Filters(record_id="req_0"))
    await keeper.run()

    assert await bodies.read(found[0]) == (None, GONE)
    assert [(await bodies.read(one)).record for one in found[1:]] == given[1:]


async def test_one_whose_place_another_has(bodies: Bodies, browser: Browser, write, make_record: Make) -> None:
    await write(make_record(id="req_0"), make_record(id="req_1"))
    first, second = await located(browser)
    first.entry.place = second.entry.place

    assert (await bodies.read(first)).missing == "Another record is in its place."


async def test_one_whose_segment_is_missing(bodies: Bodies, browser: Browser, write, folder: Path, make_record: Make) -> None:
    await write(make_record(id="req_0"))
    [one] = await located(browser)
    next(folder.rglob("*.zst")).unlink()

    assert await bodies.read(one) == (None, "The segment that it was in is missing.")


async def test_nobody_is_told_where_a_store_is_that_fails(bodies: Bodies, browser: Browser, write, folder: Path, make_record: Make) -> None:
    await write(make_record(id="req_0"))
    [one] = await located(browser)
    next(folder.rglob("*.zst")).write_bytes(b"")

    read = await bodies.read(one)

    assert (read.record, read.missing) == (None, "The segment that it is in cannot be read: the store failed.")
