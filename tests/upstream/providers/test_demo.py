"""The demo provider is called like OpenAI, for the wires of both."""

from __future__ import annotations

from penstock.upstream.providers import PROVIDERS
from penstock.upstream.providers.demo import PROVIDER


def test_where_and_how():
    assert PROVIDER.target("/v1", "/v1/messages") == "/v1/messages"
    assert PROVIDER.credential("demo") == b"authorization: Bearer demo\r\n"


def test_it_speaks_every_wire_that_others_speak():
    assert all(provider.wires <= PROVIDER.wires for provider in PROVIDERS.values())
