"""Proxies: tunnels over real sockets, with and without TLS inside, and every way in which a proxy can refuse."""

from __future__ import annotations

import asyncio

import pytest

from fake_provider import FakeProvider, refusing_port
from fake_proxy import FakeProxy
from penstock.kit.tasks import spawn
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.origin import Origin
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.client.proxy import Proxy


@pytest.fixture
async def through(pulse):
    """Makes pools that go through a proxy."""
    made: list[Pool] = []

    def make(url: str, proxy: FakeProxy | str, tls=None, **limits: float) -> Pool:
        way = Proxy.of(proxy if isinstance(proxy, str) else proxy.url)
        made.append(Pool(Origin.of(url), Limits(**limits), pulse, tls, proxy=way))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def failure(coroutine) -> str:
    """What is said when it fails; what the proxy was told in confidence is not in it."""
    with pytest.raises(UpstreamError) as caught:
        await coroutine
    assert caught.value.kind in ("refused", "timeout")
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "line"),
    [
        ("http://proxy.example:3128", "proxy.example", 3128, b""),
        ("http://proxy.example/", "proxy.example", 80, b""),
        ("http://[::1]:8080", "::1", 8080, b""),
        ("http://user:p%40ss@proxy.example:1", "proxy.example", 1, b"proxy-authorization: Basic dXNlcjpwQHNz\r\n"),
        ("http://user@proxy.example:1", "proxy.example", 1, b"proxy-authorization: Basic dXNlcjo=\r\n"),
    ],
)
def test_urls(url, host, port, line):
    proxy = Proxy.of(url)
    assert (proxy.host, proxy.port) == (host, port)
    request = proxy.request(Origin.of("https://api.example/v1"))
    assert request == b"CONNECT api.example:443 HTTP/1.1\r\nhost: api.example:443\r\n" + line + b"\r\n"
    assert line == b"" or "dXNl" not in repr(proxy)


@pytest.mark.parametrize(
    "url", ["", "proxy:3128", "https://user:secret@proxy", "socks5://user:secret@proxy", "http://user:secret@", "http://user:secret@proxy/path",
            "http://user:secret@proxy?x=1", "http://user:secret@proxy:port", "http://user:secret@[::1"]
)  # fmt: skip
def test_what_is_no_proxy_is_refused_without_showing_its_secret(url):
    with pytest.raises(ValueError) as caught:
        Proxy.of(url)
    assert "secret" not in str(caught.value)


def test_an_address_of_ipv6_has_brackets():
    assert Proxy.of("http://proxy").request(Origin.of("http://[2001:db8::1]")).startswith(b"CONNECT [2001:db8::1]:80 ")


async def test_a_plain_origin_is_reached_through_a_tunnel_that_is_kept(through, provider, client):
    async with FakeProxy("user:secret", {"api.example": provider.port}) as proxy:
        pool = through("http://api.example/v1", proxy)
        for _ in range(2):
            kept = await client.ask(pool.take() or await pool.connect())
            assert kept.content == b'{"ok":true}'
        assert (proxy.asked, pool.idle, provider.opened) == (["api.example:80"], 1, 1)
        assert b"proxy-authorization" not in provider.requests[0].raw_head


async def test_tls_goes_through_the_tunnel_to_the_origin(through, client, authority):
    async with FakeProvider(authority.server("api.example")) as provider, FakeProxy("user:secret", {"api.example": provider.port}) as proxy:
        pool = through("https://api.example/v1", proxy, authority.client())
        for _ in range(2):
            kept = await client.ask(pool.take() or await pool.connect())
            assert kept.content == b'{"ok":true}'
        assert (proxy.asked, pool.idle) == (["api.example:443"], 1)
        pool.close()
        await provider.until_closed()


async def test_a_certificate_for_somebody_else(through, client, authority):
    async with FakeProvider(authority.server("other.example")) as provider, FakeProxy(names={"api.example": provider.port}) as proxy:
        pool = through("https://api.example", proxy, authority.client())
        assert "TLS with api.example through the proxy 127.0.0.1" in await failure(pool.connect())
        assert pool.busy == 0
        await provider.until_closed()


async def test_an_origin_that_closes_instead_of_tls(through, authority, provider):
    async def leave(line) -> None:
        line.close()

    provider.greet(leave)
    async with FakeProxy(names={"api.example": provider.port}) as proxy:
        await failure(through("https://api.example", proxy, authority.client()).connect())


async def test_other_credentials(through):
    async with FakeProxy("user:secret") as proxy:
        found = await failure(through("https://api.example", f"http://user:other-secret@127.0.0.1:{proxy.port}", tls_of_nobody()).connect())
        assert found == f"the proxy 127.0.0.1:{proxy.port} wants other credentials (407)"


def tls_of_nobody():
    import ssl  # noqa: PLC0415  only here

    return ssl.create_default_context()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nsecret", "does not let us reach it (403)"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot reach it (502)"),
        (b"HTTP/1.1 418 secret\r\n\r\n", "refuses (418)"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "more than it was asked for"),
        (b"SSH-2.0-secret\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000, "more than it was asked for"),
    ],
)
async def test_refusals(through, client, answer, said):
    async with FakeProxy("user:secret", answer=answer) as proxy:
        pool = through("http://api.example", proxy)
        assert (await failure(pool.connect())).endswith(said)
        await client.soon(lambda: proxy.open == 0)
        assert pool.busy == 0


async def test_a_proxy_that_is_not_there(through):
    with refusing_port() as port:
        assert f"no connection to the proxy 127.0.0.1:{port}" in await failure(
            through("http://x", f"http://user:secret@127.0.0.1:{port}").connect()
        )


async def test_an_origin_that_is_not_there(through):
    with refusing_port() as port:
        async with FakeProxy(names={"api.example": port}) as proxy:
            assert "cannot reach it (502)" in await failure(through("http://api.example", proxy).connect())


async def test_a_proxy_that_says_nothing(through, client):
    async with FakeProxy("user:secret", answer=b"") as proxy:
        pool = through("http://api.example", proxy, connect_s=0.05)
        assert "no connection to api.example through the proxy" in await failure(pool.connect())
        await client.soon(lambda: proxy.open == 0)


async def test_connecting_may_be_cancelled(through, client):
    async with FakeProxy(answer=b"") as proxy:
        pool = through("http://api.example", proxy)
        connecting = spawn(pool.connect(), name="connecting", awaited=True)
        await client.soon(lambda: proxy.asked)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await client.soon(lambda: proxy.open == 0)
        assert pool.busy == 0
