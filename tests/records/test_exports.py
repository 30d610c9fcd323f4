"""Exports: each form can be read again, nothing in it runs in a spreadsheet, and nothing is kept but what is being written."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_records import made, opened
from penstock.records.exports import AT_ONCE, COLUMNS, MEDIA_TYPES, export
from penstock.records.service import Opened

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1")
STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class Source:
    """What is read, one by one; how many were, and whether it was closed."""

    def __init__(self, items: list[Opened] | None = None) -> None:
        self.items = items
        self.given = 0
        self.closed = False

    async def read(self) -> AsyncIterator[Opened]:
        try:
            for item in self.items if self.items is not None else iter(lambda: opened(made()), None):
                self.given += 1
                yield item
        finally:
            self.closed = True


async def exported(items: list[Opened], form: str) -> str:
    return b"".join([piece async for piece in export(Source(items).read(), form)]).decode()


def hostile(text: str) -> Opened:
    """A record that has this text wherever it can."""
    data = text.encode(errors="replace")
    record = made(
        path=text, method=text, wire=text, original_model=text, rewritten_model=text, channel=text, outcome=text, key_id=text,
        request_body=data, ruled_body=data, sent_body=data, sent_head=data + b"\r\n\r\n", response_body=[data], came_body=[data],
        request_headers=[(b"x-test", data)], response_headers=[(b"x-test", data)], attempts=(text,), rules=(text,),
    )  # fmt: skip
    return opened(record)


@pytest.mark.parametrize("form", MEDIA_TYPES)
@pytest.mark.parametrize("count", [0, 1, AT_ONCE + 1])
async def test_every_form_can_be_read_again(form, count):
    items = [opened(made()) for _ in range(count)]
    ids = [item.entry.id for item in items]
    text = await exported(items, form)
    if form == "csv":
        assert [row["id"] for row in csv.DictReader(io.StringIO(text, newline=""))] == ids
        assert tuple(next(csv.reader(io.StringIO(text)))) == COLUMNS
    elif form == "json":
        assert [one["id"] for one in json.loads(text)] == ids
    elif form == "jsonl":
        assert [json.loads(line)["id"] for line in text.splitlines()] == ids
    else:
        assert [one["_id"] for one in json.loads(text)["log"]["entries"]] == ids


@pytest.mark.parametrize("formula", FORMULAS)
async def test_no_cell_starts_a_formula(formula):
    rows = list(csv.reader(io.StringIO(await exported([hostile(formula)], "csv"), newline="")))
    assert not [cell for cell in rows[1] if cell.startswith(STARTS)]
    assert sum(cell == f"'{formula}" for cell in rows[1]) >= 8


@given(st.text(max_size=30))
def test_whatever_the_text_each_form_stays_whole(text):
    item = hostile(text)
    rows = list(csv.reader(io.StringIO(asyncio.run(exported([item, item], "csv")), newline="")))
    assert [len(row) for row in rows] == [len(COLUMNS)] * 3
    assert not [cell for cell in rows[1] if cell.startswith(STARTS)]
    assert len(json.loads(asyncio.run(exported([item, item], "json")))) == 2
    assert len(json.loads(asyncio.run(exported([item, item], "har")))["log"]["entries"]) == 2
    assert len(asyncio.run(exported([item, item], "jsonl")).strip("\n").split("\n")) == 2


async def test_a_record_that_is_gone_stays_in_the_list():
    item = opened(made(), "Its segment is damaged.")
    [row] = csv.DictReader(io.StringIO(await exported([item], "csv"), newline=""))
    assert row["missing"] == "Its segment is damaged." and row["request_body"] == ""
    [fact] = json.loads(await exported([item], "json"))
    assert fact["record"] is None and fact["missing"] == "Its segment is damaged."


async def test_one_who_leaves_ends_the_reading_and_nothing_was_read_ahead():
    source = Source()
    pieces = export(source.read(), "jsonl")
    await anext(pieces)
    await anext(pieces)
    assert source.given == AT_ONCE
    await pieces.aclose()
    assert source.closed


async def test_large_records_are_written_one_at_a_time():
    source = Source([opened(made(request_body=b"x" * (1 << 20))) for _ in range(3)])
    pieces = export(source.read(), "jsonl")
    await anext(pieces)
    await anext(pieces)
    assert source.given == 1
    await pieces.aclose()
