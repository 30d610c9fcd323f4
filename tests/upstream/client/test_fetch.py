"""Fetching: the whole answer of one call, over real sockets, and what becomes of the connection."""

from __future__ import annotations

import asyncio

import pytest

from fake_answers import head
from fake_faults import PLAIN
from fake_provider import close, hang
from penstock.kit.tasks import spawn
from penstock.upstream.channel import Channel
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.fetch import Fetcher, fetch
from penstock.upstream.providers import PROVIDERS


@pytest.fixture
def channel(make_pool, provider) -> Channel:
    return Channel("main", PROVIDERS["openai"], f"{provider.url}/v1", make_pool(provider.url), secret="sk-main")


async def test_a_call_has_the_channels_address_and_credential(channel, provider):
    provider.script(head(200, "content-length: 2", "x-more: yes") + b"{}")
    found = await fetch(channel, "POST", "/v1/predictions", query=b"a=1", headers=b"content-type: application/json\r\n", body=b'{"x":1}')
    assert (found.status, found.content_type, found.body) == (200, "application/json", b"{}")
    assert (b"x-more", b"yes") in found.headers
    asked = provider.requests[0]
    assert (asked.method, asked.target, asked.body) == ("POST", "/v1/predictions?a=1", b'{"x":1}')
    assert asked.header("authorization") == b"Bearer sk-main"
    assert asked.header("content-type") == b"application/json"


async def test_without_a_body_only_what_always_has_one_says_its_length(channel, provider):
    provider.script(PLAIN).script(PLAIN)
    await fetch(channel, "GET", "/v1/models")
    await fetch(channel, "POST", "/v1/stop")
    assert [asked.header("content-length") for asked in provider.requests] == [None, b"0"]


async def test_any_status_is_an_answer_and_the_connection_is_kept(channel, provider):
    provider.script(head(500, "content-length: 4") + b"oops").script(head(302, "content-length: 1", "location: http://10.0.0.1/") + b"x")
    assert [(await fetch(channel, "GET", "/v1/x")).status for _ in range(2)] == [500, 302]
    assert (provider.opened, channel.pool.idle, channel.pool.busy) == (1, 1, 0)


async def test_an_answer_to_head_has_no_body(channel, provider):
    provider.script(head(200, "content-length: 100"))
    assert (await fetch(channel, "HEAD", "/v1/models")).body == b""


async def test_a_kept_connection_that_was_just_closed_is_replaced_once(channel, provider):
    provider.script(PLAIN).script(close).script(PLAIN)
    await fetch(channel, "POST", "/v1/x", body=b"1")
    assert (await fetch(channel, "POST", "/v1/x", body=b"2")).status == 200
    assert [asked.body for asked in provider.requests] == [b"1", b"2", b"2"]


async def test_no_answer_is_an_error(channel, provider):
    provider.script(close)
    with pytest.raises(UpstreamError) as caught:
        await fetch(channel, "GET", "/v1/x")
    assert caught.value.kind == "broken"
    assert channel.pool.busy == 0


async def test_cancelling_hangs_up(channel, provider):
    provider.script(head(200, "content-length: 10") + b"12345", hang)
    waiting = spawn(fetch(channel, "GET", "/v1/x"), name="fetch")
    await provider.until_requests(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (channel.pool.busy, channel.pool.idle) == (0, 0)
    await provider.until_closed()


async def test_a_fetcher_is_bound_to_its_channel(channel, provider):
    provider.script(head(200, "content-length: 5") + b"12345")
    with pytest.raises(UpstreamError, match="longer than 4 bytes"):
        await Fetcher(channel, "some-model", limit=4)("GET", "/v1/models", query=b"limit=1")
    assert provider.requests[0].target == "/v1/models?limit=1"
    assert channel.pool.busy == 0
