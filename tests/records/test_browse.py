"""Pages that overlap are read as one list, in either direction, from anywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.infra.database import Database
from penstock.records.browse import FIRST_PAGES, MOST_PAGES, Browser
from penstock.records.entries import OPERATOR_SHELF
from penstock.records.filters import Filters
from penstock.records.record import Record
from penstock.records.segments import SPAN_MS
from penstock.records.vault import Vault

T = 1_700_000_000_000
Make = Callable[..., Record]


@pytest.fixture
def browser(database: Database, vault: Vault) -> Browser:
    return Browser(database, vault)


async def ids(browser: Browser, position=None, *, newest_first: bool = True, **wanted) -> list[str]:
    found = browser.batches(OPERATOR_SHELF, Filters(**wanted), position, newest_first=newest_first)
    return [located.id async for batch in found for located in batch.entries]


@pytest.mark.parametrize("pages", [1, FIRST_PAGES, FIRST_PAGES + 1, MOST_PAGES * 3])
@pytest.mark.parametrize("step", [0, 1, 5])
async def test_pages_that_overlap(browser: Browser, write, make_record: Make, pages: int, step: int) -> None:
    """From all at the same moment to hardly any two."""
    given = []
    for page in range(pages):
        some = [make_record(id=f"req_{page:02d}{place}", created_at_ms=T + step * page + place * min(step, 3)) for place in range(3)]
        await write(*some)
        given += some
    expected = [record.id for record in sorted(given, key=lambda one: (one.created_at_ms, one.id))]

    assert await ids(browser) == expected[::-1]
    assert await ids(browser, newest_first=False) == expected
    for record in given:
        behind = expected[: expected.index(record.id)][::-1]
        assert await ids(browser, (record.created_at_ms, record.id)) == behind


async def test_a_long_page_among_short_ones(browser: Browser, write, make_record: Make) -> None:
    """What spans an hour is found from both of its ends."""
    moments = [T, T + SPAN_MS // 2 - 1]
    await write(*(make_record(id=f"req_long{moment}", created_at_ms=moment) for moment in moments))
    between = [T + number * 60_000 for number in range(1, 20)]
    for moment in between:
        await write(make_record(id=f"req_{moment}", created_at_ms=moment))
    expected = [f"req_long{T}", *(f"req_{moment}" for moment in between), f"req_long{moments[1]}"]

    assert await ids(browser, newest_first=False) == expected
    assert await ids(browser) == expected[::-1]
    assert await ids(browser, until_ms=T + 1) == expected[:1]
    assert await ids(browser, from_ms=moments[1]) == expected[-1:]


async def test_a_record_that_was_written_twice(browser: Browser, write, make_record: Make) -> None:
    """As after a crash in between, or by two clocks."""
    for _ in range(2):
        await write(make_record(id="req_1", created_at_ms=T), make_record(id="req_2", created_at_ms=T))
    assert await ids(browser) == ["req_2", "req_1"]
    assert await ids(browser, newest_first=False) == ["req_1", "req_2"]


async def test_find(browser: Browser, write, make_record: Make) -> None:
    for page in range(5):
        await write(*(make_record(id=f"req_{place}{page}", created_at_ms=T + page) for place in range(3)))

    found = await browser.find(OPERATOR_SHELF, "req_14")
    assert found is not None
    assert (found.id, found.entry.place.position) == ("req_14", 1)
    assert await browser.find(OPERATOR_SHELF, "req_15") is None
    assert await browser.find("acc_other", "req_14") is None


async def test_what_does_not_fit_is_not_read(browser: Browser, write, make_record: Make) -> None:
    """By its summary a page is left alone; one that says nothing is read."""
    await write(make_record(id="req_a", key_id="key_a"))
    await write(make_record(id="req_b", key_id="key_b"))
    await write(*(make_record(id=f"req_c{number}", key_id=f"key_{number}") for number in range(100)))

    assert {one[:5] for one in await ids(browser, key_id="key_a")} == {"req_a", "req_c"}
    assert {one[:5] for one in await ids(browser, key_id="key_%")} == {"req_c"}
    assert await ids(browser, model="claude*") == []
    assert len(await ids(browser, model="gpt-*")) == 102
