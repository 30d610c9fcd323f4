"""Identifiers: their form, their order, and that they are unique across processes."""

from __future__ import annotations

import re

from penstock.kit import ids


def test_form() -> None:
    assert re.fullmatch(r"req_[0-9a-f]{30}", ids.new_id("req"))
    assert ids.new_id("key", 0x123).startswith("key_000000000123")


def test_sorted_by_time() -> None:
    assert ids.new_id("req", 1_000) < ids.new_id("req", 1_001) < ids.new_id("req", 2**41)


def test_unique_within_a_millisecond() -> None:
    assert len({ids.new_id("req", 5) for _ in range(10_000)}) == 10_000
