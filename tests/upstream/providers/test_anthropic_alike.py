"""Those who copy Anthropic."""

from __future__ import annotations

from penstock.upstream.providers import PROVIDERS


def test_deepseeks_other_door():
    provider = PROVIDERS["deepseek-anthropic"]
    assert provider.target("/anthropic", "/v1/messages") == "/anthropic/v1/messages"
    assert provider.price_name == "deepseek"
    assert provider.credential("sk-x") == b"x-api-key: sk-x\r\n"


async def test_one_that_has_no_list_is_not_asked():
    async def fetch(*_, **__):
        raise AssertionError

    assert await PROVIDERS["deepseek-anthropic"].discover(fetch, {}) is None


def test_any_other_must_say_where_it_is():
    provider = PROVIDERS["anthropic-compatible"]
    assert provider.base_url == "" and provider.wires[0] == "messages"
