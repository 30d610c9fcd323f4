from __future__ import annotations

import pytest

from media_vendors import FakeReplicate
from penstock.upstream.providers import PROVIDERS
from vendor_server import SECRET, Caller


async def test_the_flux_models_once_the_token_is_accepted():
    provider = PROVIDERS["replicate"]
    async with FakeReplicate() as vendor:
        offers = await provider.discover(Caller(vendor.url, provider.credential(SECRET)).fetch, {})
        assert [offer.name for offer in offers] == ["flux-schnell", "flux-dev", "flux-pro", "flux-11-pro", "flux-11-pro-ultra"]
        assert {offer.wires for offer in offers} == {provider.wires}
        with pytest.raises(ValueError, match="operator"):
            await provider.discover(Caller(vendor.url, provider.credential("sk-wrong")).fetch, {})


def test_where_it_is():
    provider = PROVIDERS["replicate"]
    assert provider.base_url == "https://api.replicate.com"
    assert provider.target("/proxy", "/v1/predictions/x") == "/proxy/v1/predictions/x"
