"""Exports: the bill as CSV, JSON or JSON lines, a piece at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal

import msgspec

from penstock.billing.bill import Bill, Listed
from penstock.billing.selection import Selection
from penstock.billing.shown import COLUMNS, shown
from penstock.kit.sheets import Cell, csv_lines

Format = Literal["csv", "json", "jsonl"]
MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv; charset=utf-8", "json": "application/json", "jsonl": "application/x-ndjson"}
_encoder = msgspec.json.Encoder()


async def export(bill: Bill, of: Selection, form: Format) -> AsyncGenerator[bytes, None]:
    """The charges that are selected, newest first. What arrives meanwhile is left out, unless its request came earlier.

    Some hundreds are read and kept at a time, and made into text on a thread: neither the loop nor the memory is taken up.
    """
    if form == "csv":
        yield csv_lines([COLUMNS]).encode()
    elif form == "json":
        yield b"["
    first = True
    async for listed in bill.pages(of):
        if listed.charges:
            piece = await asyncio.to_thread(_WRITERS[form], listed)
            yield piece if first or form != "json" else b",\n" + piece
            first = False
    if form == "json":
        yield b"]\n"


def _facts(listed: Listed) -> list[dict[str, Any]]:
    return [shown(charge, listed.names.get(charge.key_id or "")) for charge in listed.charges]


def _as_csv(listed: Listed) -> bytes:
    return csv_lines([[_cell(value) for value in facts.values()] for facts in _facts(listed)]).encode()


def _cell(value: Any) -> Cell:
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return f"{value:.3f}" if isinstance(value, float) else value


def _as_json(listed: Listed) -> bytes:
    return b",\n".join(map(_encoder.encode, _facts(listed)))


def _as_lines(listed: Listed) -> bytes:
    return b"".join(_encoder.encode(facts) + b"\n" for facts in _facts(listed))


_WRITERS: dict[Format, Callable[[Listed], bytes]] = {"csv": _as_csv, "json": _as_json, "jsonl": _as_lines}
