from __future__ import annotations

from penstock.upstream.providers import PROVIDERS
from vendor_server import SECRET, Caller


async def test_it_offers_one_thing_and_is_not_asked_for_it():
    provider = PROVIDERS["serper"]
    assert provider.credential(SECRET) == f"x-api-key: {SECRET}\r\n".encode()
    offers = await provider.discover(Caller("http://127.0.0.1:1").fetch, {})
    assert [(offer.name, offer.wires) for offer in offers] == [("serper", ("serper_search",))]
