"""Dialling: what was checked is what is connected to."""

from __future__ import annotations

import pytest

from fake_provider import FakeProvider, refusing_port
from fake_proxy import FakeProxy
from penstock.kit.errors import PenstockError
from penstock.upstream.client.connection import Connection
from penstock.upstream.client.dial import Dial
from penstock.upstream.client.origin import Origin
from penstock.upstream.client.proxy import Proxy


def finds(*addresses: str):
    """A look-up that finds these, as long as it is asked once."""
    asked: list[str] = []

    async def look_up(host: str, port: int) -> list[str]:
        asked.append(host)
        assert len(asked) == 1
        return list(addresses)

    return look_up


async def test_without_a_guard_names_are_left_to_the_loop(pool, provider):
    dial = Dial(Origin.of(f"http://localhost:{provider.port}"), None, look_up=finds())
    connection = await dial.connect(lambda: Connection(pool))
    assert not connection.lost
    connection.abort()


async def test_the_address_that_was_checked_is_the_one(pool, client, authority):
    async with FakeProvider(authority.server("api.example")) as provider:
        origin = Origin.of(f"https://api.example:{provider.port}")
        dial = Dial(origin, authority.client(), allow_private=False, look_up=finds("127.0.0.1"))
        kept = await client.ask(await dial.connect(lambda: Connection(pool)))
        assert kept.content == b'{"ok":true}'
        pool.close()


async def test_the_next_address_if_the_first_does_not_answer(pool, provider):
    dial = Dial(Origin.of(f"http://api.example:{provider.port}"), None, allow_private=False, look_up=finds("127.0.0.9", "127.0.0.1"))
    (await dial.connect(lambda: Connection(pool))).abort()


@pytest.mark.parametrize("addresses", [(), ("127.0.0.1",), ("127.0.0.1", "127.0.0.1")])
async def test_none_answers(pool, addresses):
    with refusing_port() as port:
        dial = Dial(Origin.of(f"http://api.example:{port}"), None, allow_private=False, look_up=finds(*addresses))
        with pytest.raises(OSError):
            await dial.connect(lambda: Connection(pool))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "printer.local"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_private_networks(pool, host, proxied):
    async with FakeProxy() as proxy:
        dial = Dial(Origin.of(f"http://{host}"), None, Proxy.of(proxy.url) if proxied else None, allow_private=False)
        with pytest.raises(PenstockError) as caught:
            await dial.connect(lambda: Connection(pool))
        assert caught.value.code == "private_address"
        assert proxy.asked == []


async def test_behind_a_proxy_names_are_the_proxys_business(pool, provider):
    async with FakeProxy(names={"api.example": provider.port}) as proxy:
        dial = Dial(Origin.of("http://api.example"), None, Proxy.of(proxy.url), allow_private=False, look_up=finds())
        (await dial.connect(lambda: Connection(pool))).abort()
        assert proxy.asked == ["api.example:80"]
