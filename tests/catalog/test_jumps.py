"""Jumps: bounds, zeros, service tiers, context lengths, and rates that fall back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalog.cards import read_cards
from penstock.catalog.jumps import find_jump
from penstock.catalog.prices import STANDARD, Price, build_price, flat


def plain(**dollars: str) -> Price:
    return build_price("test", {STANDARD: flat(**dollars)})


@pytest.mark.parametrize(
    ("before", "after", "jumps"),
    [
        ("1", "4", False),
        ("1", "4.000001", True),
        ("4", "1", False),
        ("4", "0.999999", True),
        ("1", "0", True),
        ("0", "1", True),
        ("0", "0", False),
        ("0.000000000001", "0.000000000004", False),
        ("1.02", "1.02", False),
    ],
)
def test_the_bound(before, after, jumps):
    found = find_jump(plain(input_mtok="1", output_mtok=before), plain(input_mtok="1", output_mtok=after), 4)
    assert (found is not None) is jumps
    if found is not None:
        assert (found.rate, found.tier, found.before, found.after) == ("output_mtok", "standard", before, after)


def test_multipliers_do_not_count():
    assert find_jump(plain(input_mtok="1").times(9_000_000), plain(input_mtok="1"), 2) is None


def test_a_rate_that_falls_back_to_a_dearer_one_jumps():
    found = find_jump(plain(input_mtok="3", cache_read_mtok="0.3"), plain(input_mtok="3"), 4)
    assert str(found) == "cache_read_mtok (standard) from 0.3 to 3 dollars"
    assert find_jump(plain(input_mtok="3", cache_read_mtok="1"), plain(input_mtok="3"), 4) is None


def test_a_service_tier_is_compared_with_what_it_was_charged_at():
    flex = build_price("test", {STANDARD: flat(input_mtok="2"), "flex": flat(input_mtok="0.4")})
    assert str(find_jump(plain(input_mtok="2"), flex, 4)) == "input_mtok (flex) from 2 to 0.4 dollars"
    assert str(find_jump(flex, plain(input_mtok="2"), 4)) == "input_mtok (flex) from 0.4 to 2 dollars"
    assert find_jump(flex, flex, 2) is None


def test_every_context_length_is_compared():
    cards = read_cards({"standard": {"input_mtok": [{"above_tokens": 0, "dollars": "1"}, {"above_tokens": 1000, "dollars": "5"}]}})
    stepped = build_price("test", cards)
    assert str(find_jump(plain(input_mtok="1"), stepped, 4)) == "input_mtok (standard, above 1,000 tokens) from 1 to 5 dollars"
    assert find_jump(stepped, plain(input_mtok="1"), 4) is not None
    assert find_jump(stepped, plain(input_mtok="2"), 4) is None


RATES = st.integers(0, 1000).map(str)


@given(RATES, RATES, st.integers(2, 10))
def test_it_is_the_same_both_ways(one: str, other: str, factor: int):
    prices = plain(input_mtok=one, output_mtok="1"), plain(input_mtok=other, output_mtok="1")
    assert (find_jump(*prices, factor) is None) == (find_jump(*reversed(prices), factor) is None)
    assert (find_jump(*prices, 1) is None) == (one == other)
