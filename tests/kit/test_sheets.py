"""CSV: what a spreadsheet reads back is what was written, and nothing of it runs."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.sheets import csv_lines, guard

texts = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from(list("=+-@\t\r\n\"',;\uff1d ")))
cells = texts | st.integers() | st.booleans() | st.none()


def shown(cell: str | int | bool | None) -> str:
    if isinstance(cell, str):
        return guard(cell)
    return "" if cell is None else str(cell).lower()


@given(st.lists(st.lists(cells, min_size=1, max_size=6), max_size=8))
def test_what_is_written_is_read_back(rows: list[list[str | int | bool | None]]) -> None:
    text = csv_lines(rows)

    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [[shown(cell) for cell in row] for row in rows]


@given(texts)
def test_no_text_starts_a_formula(text: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_lines([[text]]), newline=""))

    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell in (text, f"'{text}")


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("plain", "plain\r\n"),
        ("a,b", '"a,b"\r\n'),
        ('say "hi"', '"say ""hi"""\r\n'),
        ("two\nlines", '"two\nlines"\r\n'),
        ("bare\rreturn", '"bare\rreturn"\r\n'),
        ("=1+1", "'=1+1\r\n"),
        ('=HYPERLINK("x","y")', '"\'=HYPERLINK(""x"",""y"")"\r\n'),
        ("@SUM(A1)", "'@SUM(A1)\r\n"),
        ("-1", "'-1\r\n"),
        (-1, "-1\r\n"),
        (True, "true\r\n"),
        (None, '""\r\n'),
        ("", '""\r\n'),
    ],
)
def test_a_cell(cell: str | int | bool | None, line: str) -> None:
    assert csv_lines([[cell]]) == line


def test_no_rows_are_no_lines() -> None:
    assert csv_lines([]) == ""
