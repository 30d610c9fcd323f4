"""Anthropic is called as its SDKs call it."""

from __future__ import annotations

from penstock.upstream.providers.anthropic import PROVIDER


def test_where_and_how():
    assert PROVIDER.target("", "/v1/messages") == "/v1/messages"
    assert PROVIDER.credential("sk-test") == b"x-api-key: sk-test\r\n"
    assert PROVIDER.extra_headers == ((b"anthropic-version", b"2023-06-01"),)


def test_which_wires():
    assert {"messages", "count_tokens", "passthrough"} <= set(PROVIDER.wires)
    assert not {"chat", "responses", "realtime"} & set(PROVIDER.wires)
