"""The page on bridges says what every side drops and refuses, as the sides themselves have it."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from penstock.upstream.bridges import SIDES

PAGE = (Path(__file__).parents[2] / "docs" / "bridges.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^### {title}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


def names(table: Any) -> list[str]:
    """A list of words; a mapping to words; or rows of which the last is the word."""
    if isinstance(table, dict):
        return [*table.values()]
    return [row if isinstance(row, str) else row[-1] for row in table]


@pytest.mark.parametrize("wire", SIDES)
@pytest.mark.parametrize(("direction", "module"), [("To", "asks_out"), ("From", "asks_in")])
def test_all_that_is_dropped_and_refused_is_in_the_docs(wire, direction, module):
    side = import_module(f"penstock.upstream.bridges.{wire}.{module}")
    words = section(f"{direction} {wire}")
    listed = [name for table in ("DROPS", "REFUSES") for name in names(getattr(side, table, ()))]
    assert module == "asks_in" or listed
    assert [name for name in listed if name not in words] == []


def test_fields_that_only_anthropic_knows_are_in_the_docs():
    side = import_module("penstock.upstream.bridges.messages.asks_in")
    assert [name for name in side.ONLY_ANTHROPICS if f"`{name}`" not in section("From messages")] == []
