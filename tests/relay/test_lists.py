"""Lists: empty until something is listed."""

from __future__ import annotations

from penstock.relay.lists import Lists


def test_nothing_is_kept_at_first():
    lists = Lists()
    assert lists.of is None and lists.bodies == {}
