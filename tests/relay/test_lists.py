"""Lists: empty until something is listed."""

from __future__ import annotations

from penstock.catalog.door import Entry
from penstock.relay.lists import RATES_KEPT, Lists


def test_nothing_is_kept_at_first():
    lists = Lists()
    assert lists.of is None and lists.bodies == {}


def test_what_was_written_with_other_prices_is_forgotten():
    lists, entries = Lists(), (Entry("m", "openai", False, 1_000_000, {}, None),)
    assert lists.priced(1_000_000, entries)["m"] is entries[0]
    lists.bodies["openai",] = b"{}"
    lists.priced(1_000_000, entries)
    assert lists.bodies
    assert lists.priced(1_000_000, ()) == {} and not lists.bodies


def test_multipliers_are_bounded():
    lists = Lists()
    for number in range(RATES_KEPT * 2):
        lists.priced(number, ())
    assert len(lists.rates) <= RATES_KEPT
