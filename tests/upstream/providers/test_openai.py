"""OpenAI is called as its SDKs call it."""

from __future__ import annotations

from penstock.upstream.providers.openai import PROVIDER


def test_where_and_how():
    assert PROVIDER.target("/v1", "/v1/chat/completions") == "/v1/chat/completions"
    assert PROVIDER.credential("sk-test") == b"authorization: Bearer sk-test\r\n"
    assert PROVIDER.extra_headers == ()


def test_which_wires():
    assert {"chat", "responses", "embeddings", "realtime", "passthrough"} <= set(PROVIDER.wires)
    assert not {"messages", "count_tokens"} & set(PROVIDER.wires)
