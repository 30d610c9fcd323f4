"""Exports: records as CSV, JSON, JSON lines or HAR, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal, cast

import msgspec

from penstock.kit.sheets import Cell, csv_lines
from penstock.records.har import creator, har_entry
from penstock.records.service import Opened
from penstock.records.shown import entry_shown, opened_shown, record_shown

Format = Literal["csv", "json", "jsonl", "har"]
MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8", "json": "application/json", "jsonl": "application/x-ndjson", "har": "application/json",
}  # fmt: skip
COLUMNS = (
    "id", "created_at", "account_id", "key_id", "method", "path", "wire", "model", "served_model", "channel", "status", "outcome",
    "streamed", "duration_ms", "first_byte_us", "cost_nano", "input_tokens", "output_tokens", "request_bytes", "response_bytes", "rules",
    "request_headers", "request_body", "ruled_body", "sent_line", "sent_headers", "sent_body", "answer_status", "answer_body",
    "response_headers", "response_body", "attempts", "missing",
)  # fmt: skip
"""Of the CSV."""
AT_ONCE = 32
"""So many records are made into text at a time, if they are no larger than `AT_ONCE_BYTES` together."""
AT_ONCE_BYTES = 1 << 20

_encode = msgspec.json.Encoder().encode


async def export(found: AsyncIterator[Opened], form: Format) -> AsyncGenerator[bytes, None]:
    """What was found, in its order, as text that is made on a thread. `found` is closed when nobody wants the rest."""
    head, between, tail = _FRAMES[form]
    yield head
    separator = b""
    async with aclosing(_groups(found)) as groups:
        async for group in groups:
            yield separator + await asyncio.to_thread(_piece, group, form)
            separator = between
    yield tail


async def _groups(found: AsyncIterator[Opened]) -> AsyncGenerator[list[Opened], None]:
    group: list[Opened] = []
    size = 0
    async with aclosing(cast(AsyncGenerator[Opened, None], found)) as items:
        async for item in items:
            group.append(item)
            size += item.entry.request_bytes + item.entry.response_bytes
            if len(group) == AT_ONCE or size >= AT_ONCE_BYTES:
                yield group
                group, size = [], 0
    if group:
        yield group


def _piece(group: list[Opened], form: Format) -> bytes:
    return _FRAMES[form][1].join(map(_WRITERS[form], group))


def _as_json(opened: Opened) -> bytes:
    return _encode(opened_shown(opened))


def _as_line(opened: Opened) -> bytes:
    return _encode(opened_shown(opened)) + b"\n"


def _as_har(opened: Opened) -> bytes:
    return _encode(har_entry(opened))


def _as_row(opened: Opened) -> bytes:
    row = entry_shown(opened.entry)
    if opened.record is not None:
        wire = record_shown(opened.record)
        row["attempts"] = wire["attempts"]
        for part in ("request", "ruled", "sent", "answer", "response"):
            row |= {f"{part}_{name}": value for name, value in (wire[part] or {}).items()}
    row["missing"] = opened.missing
    return csv_lines([[_cell(row.get(column)) for column in COLUMNS]]).encode(errors="replace")


def _cell(value: Any) -> Cell:
    if isinstance(value, Mapping):
        return _encode(value).decode()
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return cast(Cell, value)


_FRAMES: dict[Format, tuple[bytes, bytes, bytes]] = {
    "csv": (csv_lines([COLUMNS]).encode(), b"", b""),
    "json": (b"[", b",\n", b"]\n"),
    "jsonl": (b"", b"", b""),
    "har": (b'{"log":{"version":"1.2","creator":%b,"entries":[' % _encode(creator()), b",\n", b"]}}\n"),
}
_WRITERS: dict[Format, Callable[[Opened], bytes]] = {
    "csv": _as_row, "json": _as_json, "jsonl": _as_line, "har": _as_har,
}  # fmt: skip
