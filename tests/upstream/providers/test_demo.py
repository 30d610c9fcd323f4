"""The demo provider is called like OpenAI, for the wires of both."""

from __future__ import annotations

from penstock.upstream.providers import PROVIDERS
from penstock.upstream.providers.demo import PROVIDER


def test_where_and_how():
    assert PROVIDER.target("/v1", "/v1/messages") == "/v1/messages"
    assert PROVIDER.credential("demo") == b"authorization: Bearer demo\r\n"


def test_it_speaks_what_openai_and_anthropic_speak():
    assert set(PROVIDER.wires) == {*PROVIDERS["openai"].wires, *PROVIDERS["anthropic"].wires}
    assert len(set(PROVIDER.wires)) == len(PROVIDER.wires)
