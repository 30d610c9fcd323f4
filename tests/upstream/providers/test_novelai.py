from __future__ import annotations

from penstock.upstream.providers import PROVIDERS
from vendor_server import SECRET, Caller


async def test_its_models_are_known():
    provider = PROVIDERS["novelai"]
    assert provider.credential(SECRET) == f"authorization: Bearer {SECRET}\r\n".encode()
    offers = await provider.discover(Caller("http://127.0.0.1:1").fetch, {})
    assert ("nd-imagine-v3", "nai-diffusion-3") in [(offer.name, offer.title) for offer in offers]
