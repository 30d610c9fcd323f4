from __future__ import annotations

from penstock.upstream.providers import PROVIDERS
from penstock.upstream.providers.novelai import MODELS
from vendor_server import SECRET, Caller


async def test_it_has_no_list_of_its_models():
    provider = PROVIDERS["novelai"]
    assert provider.credential(SECRET) == f"authorization: Bearer {SECRET}\r\n".encode()
    assert await provider.discover(Caller("http://127.0.0.1:1").fetch, {}) is None
    assert MODELS["nd-imagine-v3"] == "nai-diffusion-3"
