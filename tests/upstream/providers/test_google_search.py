from __future__ import annotations

import pytest

from penstock.upstream.providers import PROVIDERS
from vendor_server import SECRET, Caller

PROVIDER = PROVIDERS["google-search"]


async def test_it_is_not_asked_for_what_would_cost_a_search():
    assert PROVIDER.credential(SECRET) == f"x-goog-api-key: {SECRET}\r\n".encode()
    assert await PROVIDER.discover(Caller("http://127.0.0.1:1").fetch, {}) is None


@pytest.mark.parametrize(
    ("query", "options", "placed"),
    [
        (b"q=a", {"cx": "0176:omu af"}, b"q=a&cx=0176:omu%20af"),
        (b"", {"cx": "x"}, b"cx=x"),
        (b"q=a&cx=own", {"cx": "x"}, b"q=a&cx=own"),
        (b"q=a", {}, b"q=a"),
    ],
)
def test_the_channels_search_engine(query, options, placed):
    assert PROVIDER.place("", "/customsearch/v1", query, "google-search", options) == ("/customsearch/v1", placed)
