"""Sheets: CSV as RFC 4180 writes it, with cells that a spreadsheet must not run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

Cell = str | int | bool | None

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are full-width forms, which some spreadsheets read as the plain ones."""


def guard(text: str) -> str:
    """The text as a spreadsheet shows it: what would start a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(_STARTS_FORMULA) else text


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as lines that end in CRLF. Text is guarded, None is empty, booleans are `true` and `false`."""
    lines: list[str] = []
    writer = csv.writer(_Lines(lines), lineterminator="\r\n")
    for row in rows:
        writer.writerow([_shown(cell) for cell in row])
    return "".join(lines)


def _shown(cell: Cell) -> str:
    if isinstance(cell, str):
        return guard(cell)
    if cell is None:
        return ""
    return str(cell).lower()


class _Lines:
    """What the standard writer writes to: each line is kept."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append
