"""Selections: what they say of themselves, and the times in ids."""

from __future__ import annotations

import pytest

from penstock.billing.selection import ALWAYS, LAST_MS, Selection, Span, came_ms, first_id
from penstock.kit.ids import new_id


@pytest.mark.parametrize("at_ms", [0, 1, 1_760_000_000_000, LAST_MS])
def test_the_first_id_of_a_moment(at_ms):
    assert came_ms(first_id(at_ms)) == at_ms
    assert first_id(at_ms) <= new_id("req", at_ms) < first_id(at_ms + 1) or at_ms == LAST_MS


def test_moments_that_no_id_begins_with():
    assert first_id(-5) == first_id(0)
    assert first_id(2**63) == first_id(LAST_MS)
    assert [came_ms(text) for text in ("", "req_", "req_zzzzzzzzzzzz", "something else")] == [0, 0, 0, 0]


def test_always_has_every_id():
    assert first_id(ALWAYS.since_ms) <= new_id("req") < first_id(ALWAYS.until_ms)


@pytest.mark.parametrize(
    ("given", "summed", "plain"),
    [
        ({}, True, True),
        ({"account_id": "a", "key_id": "b", "span": Span(1, 2)}, True, True),
        ({"model": "*"}, True, False),
        ({"channel": "c"}, True, False),
        ({"free": False}, False, False),
        ({"estimated": False}, False, False),
        ({"status": 200}, False, False),
        ({"outcome": "complete"}, False, False),
        ({"cost_from_nano": 0}, False, False),
        ({"cost_to_nano": 0}, False, False),
    ],
)
def test_what_sums_and_the_index_can_tell(given, summed, plain):
    of = Selection(**given)
    assert (of.summed, of.plain) == (summed, plain)
