from __future__ import annotations

import pytest

from media_vendors import FakeAzureSpeech
from penstock.upstream.providers import PROVIDERS
from vendor_server import SECRET, Caller


async def test_what_it_does_once_it_accepts_the_key():
    provider = PROVIDERS["azure-speech"]
    async with FakeAzureSpeech() as vendor:
        offers = await provider.discover(Caller(vendor.url, provider.credential(SECRET)).fetch, {})
        assert [(offer.name, offer.wires) for offer in offers] == [("azure-tts", ("ssml",)), ("azure-voices", ("voice_list",))]
        with pytest.raises(ValueError, match="operator"):
            await provider.discover(Caller(vendor.url, provider.credential("sk-wrong")).fetch, {})


def test_a_channel_must_say_where_it_is():
    assert PROVIDERS["azure-speech"].base_url == ""
