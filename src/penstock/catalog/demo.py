"""The price of the built-in demo provider: the same for any model."""

from __future__ import annotations

from penstock.catalog.prices import STANDARD, build_price, flat

DEMO = build_price(
    "demo",
    {
        STANDARD: flat(
            input_mtok="1",
            cache_read_mtok="0.1",
            cache_write_5m_mtok="1.25",
            cache_write_1h_mtok="2",
            output_mtok="2",
            images_count="0.04",
            input_mchars="15",
            audio_hours="0.36",
        )
    },
)
FIRST_VERSION = "demo 1"
"""What 0.1 has called it."""
