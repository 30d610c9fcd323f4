from __future__ import annotations

from penstock.upstream.providers import PROVIDERS
from vendor_server import SECRET, Caller


async def test_it_is_not_asked_for_what_would_cost_a_search():
    provider = PROVIDERS["serper"]
    assert provider.credential(SECRET) == f"x-api-key: {SECRET}\r\n".encode()
    assert await provider.discover(Caller("http://127.0.0.1:1").fetch, {}) is None
