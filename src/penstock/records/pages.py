"""Pages: which records of a segment stand on a shelf, with a summary by which a database can tell that none is looked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec

from penstock.records.entries import Row
from penstock.records.segments import SPAN_MS as DRAFT_SPAN_MS
from penstock.records.segments import Draft, segment_path
from penstock.records.vault import Vault, pack_rows

SPAN_MS = 2 * DRAFT_SPAN_MS
"""So far apart are the ends of two exchanges on a page at most: a draft keeps to half of it, and those of an hour may be joined."""
_BIGINT = 2**63 - 1
_order = itemgetter(0, 1)
ITEMS, ITEMS_LENGTH = 64, 4096
"""How many items a summary lists, and in how many characters; where there are more it says nothing."""


@dataclass(frozen=True)
class Segment:
    """A segment to be added: the rows of it, of its pages and of their entries, by column, and what is to be stored at `path`."""

    path: str
    data: bytes
    row: dict[str, Any]
    pages: list[dict[str, Any]]
    entries: list[dict[str, Any]]

    @property
    def count(self) -> int:
        """How many records it has."""
        return int(self.row["count"])


def make_segment(vault: Vault, draft: Draft, segment_id: str, now_ms: int) -> Segment:
    """The segment of a draft that has a record at least. Takes its time: for a thread."""
    packed = vault.pack(segment_id, draft.close())
    path = segment_path(segment_id, now_ms)
    pages: list[dict[str, Any]] = []
    entries = []
    before: list[Row] = []
    plain = b""
    for shelf, rows in draft.shelves.items():
        if not rows:
            continue
        rows.sort(key=_order)
        if rows == before:  # an account that sends all there is: its page is the operator's
            pages.append(pages[-1] | {"shelf": shelf})
        else:
            pages.append(make_page(segment_id, shelf, rows, len(packed.data) * len(rows) // draft.count))
            plain = pack_rows(rows)
        before = rows
        entries.append({"segment_id": segment_id, "shelf": shelf, "data": vault.sealed_entries(segment_id, shelf, plain)})
    until_ms = max((page["until_ms"] for page in pages), default=now_ms)
    row = {
        "id": segment_id, "created_at_ms": now_ms, "until_ms": until_ms, "path": path, "count": draft.count,
        "size_bytes": len(packed.data), "offsets": msgspec.msgpack.encode(packed.offsets), "stale": False,
    }  # fmt: skip
    return Segment(path, packed.data, row, pages, entries)


def make_page(segment_id: str, shelf: str, rows: Sequence[Row], size_bytes: int) -> dict[str, Any]:
    """The row of a page that has these entries, which are in their order, the earliest first."""
    columns = list(zip(*rows, strict=True))
    ids = columns[1]
    return {
        "shelf": shelf,
        "segment_id": segment_id,
        "from_ms": rows[0][0],
        "until_ms": rows[-1][0],
        "count": len(rows),
        "size_bytes": size_bytes,
        "first_id": min(ids),
        "last_id": max(ids),
        "keys": items(columns[3]),
        "models": items(chain(columns[7], columns[8])),
        "wires": items(columns[6]),
        "channels": items(columns[9]),
        "statuses": items(columns[10]),
        "outcomes": items(columns[11]),
        "greatest_cost_nano": min(max(columns[14]), _BIGINT),
        "ruled": any(columns[17]),
    }


def items(values: Iterable[str | int | None]) -> str:
    """The different ones of some values, a line each; empty when they are too many."""
    distinct = set(values)
    distinct.discard(None)
    if len(distinct) > ITEMS:
        return ""
    lines = "".join(f"{plain(str(value))}\n" for value in sorted(distinct, key=str))
    return "\n" + lines if len(lines) <= ITEMS_LENGTH else ""


def plain(value: str) -> str:
    """A value as summaries have it: PostgreSQL keeps no NUL."""
    return value.replace("\0", "") if "\0" in value else value
