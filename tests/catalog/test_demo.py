"""The demo's price: its version is of its rates, and the one that the first release wrote is another name for it."""

from __future__ import annotations

from penstock.catalog.demo import DEMO, FIRST_VERSION
from penstock.catalog.prices import pack, unpack


def test_the_version():
    assert DEMO.version.startswith("demo ")
    assert DEMO.version != FIRST_VERSION
    assert unpack(DEMO.version, pack(DEMO)) == DEMO
