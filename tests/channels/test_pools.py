"""Pools: shared by those who go the same way, and let go of when nobody does."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from fake_answers import answer
from fake_provider import FakeProvider
from penstock.channels.pools import Pools, Way, limits_of, tls_context
from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.channel import Channel
from penstock.upstream.client.fetch import fetch
from penstock.upstream.client.pool import Limits, Origin
from penstock.upstream.providers import PROVIDERS

PLACE = Origin.of("http://example.com/v1")


def pools() -> Pools:
    return Pools(Settings(), Pulse(0.01))


def test_one_for_all_who_go_the_same_way():
    found = pools()
    way = Way(PLACE, Limits())
    first = found.get(way)
    assert found.get(Way(Origin.of("http://example.com/other"), Limits())) is first
    for other in (
        way._replace(origin=Origin.of("https://example.com")),
        way._replace(limits=Limits(idle_s=1)),
        way._replace(proxy="http://proxy.example.com"),
        way._replace(allow_private=False),
    ):
        assert found.get(other) is not first
    assert len(found.all()) == 5


async def test_what_nobody_uses_is_closed_when_it_is_idle():
    async with FakeProvider() as provider:
        provider.always(answer({}))
        found = pools()
        pool = found.get(Way(Origin.of(provider.url), Limits()))
        channel = Channel("x", PROVIDERS["openai"], f"{provider.url}/v1", pool, secret="sk-x")
        assert (await fetch(channel, "GET", "/v1/models")).status == 200
        assert pool.idle == 1
        found.keep([])
        assert pool.idle == 0 and found.all() == []
        assert found.get(Way(Origin.of(provider.url), Limits())) is not pool
        await provider.until_closed()
        found.close()


async def test_what_runs_on_a_pool_that_was_left_runs_to_its_end():
    go = asyncio.Event()

    async def wait(_) -> None:
        await go.wait()

    async with FakeProvider() as provider:
        provider.script(wait, answer({}))
        found = pools()
        pool = found.get(Way(Origin.of(provider.url), Limits()))
        channel = Channel("x", PROVIDERS["openai"], f"{provider.url}/v1", pool, secret="sk-x")
        asking = asyncio.create_task(fetch(channel, "GET", "/v1/models"))
        async with asyncio.timeout(5):
            while not provider.requests:  # noqa: ASYNC110  it comes over a socket
                await asyncio.sleep(0.01)
        found.keep([])
        assert found.all() == [pool]
        go.set()
        assert (await asking).status == 200
        found.keep([])
        assert found.all() == []
        found.close()


def test_a_channels_own_timeouts():
    assert limits_of(Settings(idle_s=3), {"total_s": 9.0})[:4] == (10, 600, 3, 9)


def test_tls_is_checked_and_speaks_http_1():
    context = tls_context(Settings())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_file_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="ca_file"):
        tls_context(Settings(ca_file=tmp_path / "none.pem"))
