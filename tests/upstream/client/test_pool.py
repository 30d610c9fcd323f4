"""Pools, over real sockets: connections are kept, counted, bounded and timed out; connecting fails by name."""

from __future__ import annotations

import asyncio
import socket

import pytest

from fake_answers import chunk, head, stream_head
from fake_faults import PLAIN
from fake_provider import FakeProvider, close, hang, hold, refusing_port, reset, silent_port
from penstock.kit.pulse import Pulse
from penstock.kit.tasks import spawn
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.pool import Limits, Origin, Pool


async def failure(coroutine) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await coroutine
    return caught.value


# where connections go


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("https://api.openai.com/v1", (True, "api.openai.com", 443), b"api.openai.com"),
        ("http://Example.COM", (False, "example.com", 80), b"example.com"),
        ("http://127.0.0.1:8080/v1/", (False, "127.0.0.1", 8080), b"127.0.0.1:8080"),
        ("https://host:80", (True, "host", 80), b"host:80"),
        ("http://host:443", (False, "host", 443), b"host:443"),
        ("https://host:443", (True, "host", 443), b"host"),
        ("http://[::1]:9000/", (False, "::1", 9000), b"[::1]:9000"),
        ("http://[::1]/", (False, "::1", 80), b"[::1]"),
        ("http://my_service:9000", (False, "my_service", 9000), b"my_service:9000"),
        ("https://b\xfccher.example/v1", (True, "b\xfccher.example", 443), b"xn--bcher-kva.example"),
    ],
)
def test_origins(url, origin, authority):
    found = Origin.of(url)
    assert (tuple(found), found.authority) == (origin, authority)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.openai.com", "api.openai.com/v1", "ftp://host", "https://", "https:///v1", "http://:80", "file:///etc/passwd", "http://host:99999",
        "http://host:x", "http://a..b", f"http://{'a' * 64}.example", "http://user:secret@host", "http://host/v1?key=secret", "http://host/v1#x",
        "http://[::1", "//host/v1",
    ],
)  # fmt: skip
def test_what_is_not_a_base_url_is_refused_without_showing_what_may_be_secret(url):
    with pytest.raises(ValueError) as caught:
        Origin.of(url)
    assert "secret" not in str(caught.value)


def test_https_without_a_context_is_refused():
    with pytest.raises(ValueError):
        Pool(Origin.of("https://host"), Limits(), Pulse())


# keeping


async def test_the_connection_used_last_is_taken_first(pool, provider, client):
    first, second = await pool.connect(), await pool.connect()
    assert (pool.busy, pool.idle) == (2, 0)
    for connection in (first, second):
        await client.ask(connection)
    assert (pool.busy, pool.idle) == (0, 2)
    assert [pool.take(), pool.take(), pool.take()] == [second, first, None]
    assert (pool.busy, pool.idle) == (2, 0)


async def test_a_connection_that_the_provider_closed_is_not_taken(pool, provider, client):
    go_on = asyncio.Event()
    provider.script(PLAIN, hold(go_on), close)
    await client.ask(await pool.connect())
    assert pool.idle == 1
    go_on.set()
    await client.soon(lambda: pool.idle == 0)
    assert (pool.take(), pool.busy) == (None, 0)


async def test_a_connection_that_closes_while_it_is_idle_is_not_taken(pool, provider, client):
    connection = await pool.connect()
    await client.ask(connection)
    connection.transport.close()
    assert pool.take() is None
    assert (pool.busy, pool.idle) == (0, 0)


async def test_idle_connections_are_closed_after_a_while_the_oldest_first(make_pool, provider, client, beat):
    pool = make_pool(provider.url, keep_alive_s=3)
    old, new = await pool.connect(), await pool.connect()
    await client.ask(old)
    beat(2)
    await client.ask(new)
    beat(2)
    assert (pool.idle, pool.busy) == (1, 0)
    await provider.until(lambda: provider.open == 1)
    assert pool.take() is new
    beat(10)
    assert not new.transport.is_closing()


async def test_close_closes_everything(pool, provider, client):
    provider.script(PLAIN).script(hang)
    idle, busy = await pool.connect(), await pool.connect()
    await client.ask(idle)
    busy.ask(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await provider.until_requests(2)
    pool.close()
    await provider.until_closed()
    assert (pool.take(), pool.busy, pool.idle) == (None, 0, 0)


async def test_a_pool_that_is_let_go_of_closes_as_its_answers_end(pool, provider, client, beat, pulse):
    provider.script(PLAIN).script(PLAIN)
    idle, busy = await pool.connect(), await pool.connect()
    await client.ask(idle)
    pool.close_idle()
    assert (pool.idle, pool.busy, pool.take()) == (0, 1, None)
    assert (await client.ask(busy)).error is None
    assert pool.idle == 1
    beat()
    assert (pool.idle, pool.busy) == (0, 0)
    beat()
    assert pulse._sweepers == []
    await provider.until_closed()


async def test_whoever_still_has_it_may_use_it(pool, provider, client, beat, pulse):
    pool.close_idle()
    assert pulse._sweepers == []
    await client.ask(await pool.connect())
    assert (pool.idle, len(pulse._sweepers)) == (1, 1)
    beat()
    assert (pool.idle, pulse._sweepers) == (0, [])


# bounds


async def test_connections_are_bounded(make_pool, provider, client):
    pool = make_pool(provider.url, connections=2)
    first, _ = await asyncio.gather(pool.connect(), pool.connect())
    assert (await failure(pool.connect())).kind == "full"
    await client.ask(first)
    assert pool.take() is first
    first.abort()
    assert pool.busy == 1
    await pool.connect()
    assert pool.busy == 2


async def test_those_being_made_count(make_pool, provider):
    pool = make_pool(provider.url, connections=2)
    results = await asyncio.gather(*(pool.connect() for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, UpstreamError) for result in results) == 3
    assert pool.busy == 2


# time limits


async def test_no_answer_in_time(make_pool, provider, client, beat):
    provider.script(hang)
    pool = make_pool(provider.url, first_byte_s=3, idle_s=1)
    waiting = spawn(client.head(await pool.connect()), name="waiting")
    await provider.until_requests(1)
    beat(3)
    assert pool.busy == 1
    beat(1)
    error = await failure(waiting)
    assert (error.kind, error.reused, pool.busy) == ("timeout", False, 0)
    await provider.until_closed()


async def test_an_interim_answer_is_not_the_answer(make_pool, provider, client, beat):
    """Reasoning takes longer than a pause in a stream may, whether or not 100 or 103 came before."""
    go_on = asyncio.Event()
    provider.script(b"HTTP/1.1 103 Early Hints\r\n\r\n", hold(go_on), PLAIN)
    pool = make_pool(provider.url, first_byte_s=5, idle_s=1)
    connection = await pool.connect()
    waiting = spawn(client.head(connection), name="waiting")
    await client.soon(lambda: connection.answered)
    beat(4)
    go_on.set()
    assert (await waiting).status == 200


async def test_silence_in_the_middle(make_pool, provider, client, beat):
    go_on = asyncio.Event()
    provider.script(stream_head() + chunk(b"one"), hold(go_on), chunk(b"two"), hang)
    pool = make_pool(provider.url, first_byte_s=1, idle_s=3)
    connection, kept = await pool.connect(), client.kept()
    await client.head(connection)
    connection.deliver(kept)
    beat(3)
    go_on.set()
    await client.soon(lambda: kept.content == b"onetwo")
    beat(3)
    assert pool.busy == 1
    beat(1)
    error = (await kept.over()).error
    assert error is not None
    assert (error.kind, pool.busy) == ("timeout", 0)


async def test_an_answer_takes_too_long_altogether(make_pool, provider, client, beat):
    provider.script(stream_head() + chunk(b"one"), hang)
    pool = make_pool(provider.url, first_byte_s=100, idle_s=100, total_s=3)
    connection, kept = await pool.connect(), client.kept()
    await client.head(connection)
    connection.deliver(kept)
    beat(4)
    error = (await kept.over()).error
    assert error is not None
    assert error.kind == "timeout"


async def test_a_slow_client_is_not_the_providers_silence(make_pool, provider, client, beat):
    provider.script(stream_head() + chunk(b"one"), hang)
    pool = make_pool(provider.url, first_byte_s=2, idle_s=2, total_s=20)
    connection, kept = await pool.connect(), client.kept()
    await client.head(connection)
    connection.deliver(kept)
    connection.pause()
    beat(10)
    assert kept.error is None
    connection.resume()
    beat(2)
    assert kept.error is None
    beat(1)
    assert kept.error is not None


async def test_a_head_that_nobody_takes_is_not_silence(make_pool, provider, client, beat):
    provider.script(head(200, "content-length: 5"), hang)
    pool = make_pool(provider.url, first_byte_s=1, idle_s=1, total_s=20)
    await client.head(await pool.connect())
    beat(10)
    assert pool.busy == 1


async def test_tunnels_have_no_time_limits(make_pool, provider, client, beat):
    provider.script(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n", hang)
    pool = make_pool(provider.url, first_byte_s=1, idle_s=1, total_s=1)
    connection, tunnel = await pool.connect(), client.kept()
    await client.head(connection)
    connection.switch(tunnel)
    beat(10)
    assert (tunnel.ended, pool.busy) == (False, 1)


async def test_a_connection_that_nobody_came_for_is_closed(make_pool, provider, beat):
    """The client may leave in the instant in which the connection was made for it."""
    pool = make_pool(provider.url, keep_alive_s=2)
    beat(50)
    await pool.connect()
    beat(2)
    assert pool.busy == 1
    beat(1)
    assert pool.busy == 0
    await provider.until_closed()


# connecting fails


async def test_refused(make_pool):
    with refusing_port() as port:
        error = await failure(make_pool(f"http://127.0.0.1:{port}").connect())
    assert error.kind == "refused"


async def test_connecting_takes_too_long(make_pool):
    with silent_port() as port:
        pool = make_pool(f"http://127.0.0.1:{port}", connect_s=0.05)
        connecting = spawn(pool.connect(), name="connecting")
        await asyncio.sleep(0)
        assert pool.busy == 1
        error = await failure(connecting)
    assert (error.kind, pool.busy) == ("timeout", 0)


async def test_connecting_may_be_cancelled(make_pool):
    with silent_port() as port:
        pool = make_pool(f"http://127.0.0.1:{port}")
        connecting = spawn(pool.connect(), name="connecting")
        await asyncio.sleep(0.01)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
    assert pool.busy == 0


@pytest.mark.parametrize("step", [close, reset])
async def test_a_provider_that_closes_at_once_leaves_nothing_behind(step, pool, provider, client):
    provider.greet(step)
    for _ in range(20):
        with pytest.raises(UpstreamError) as caught:
            await client.head(await pool.connect())
        assert (caught.value.kind in {"broken", "refused"}, caught.value.reused) == (True, False)
        await client.soon(lambda: pool.busy == 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_private_networks_are_refused_where_they_are_not_allowed(host, provider, pulse):
    pool = Pool(Origin.of(f"http://{host}:{provider.port}"), Limits(), pulse, allow_private=False)
    error = await failure(pool.connect())
    assert (error.kind, "allow_private" in str(error), pool.busy, provider.opened) == ("refused", True, 0, 0)


# TLS


async def test_tls(make_pool, client, authority):
    async with FakeProvider(authority.server()) as provider:
        pool = make_pool(provider.url, authority.client())
        for _ in range(2):
            kept = await client.ask(pool.take() or await pool.connect())
            assert kept.error is None
        assert (provider.opened, pool.idle) == (1, 1)
        pool.close()


async def test_a_certificate_that_nobody_vouches_for(make_pool, authority, stranger):
    async with FakeProvider(stranger.server()) as provider:
        pool = make_pool(provider.url, authority.client())
        error = await failure(pool.connect())
        assert (error.kind, pool.busy) == ("refused", 0)
        await provider.until_closed()


async def test_a_certificate_for_somebody_else(make_pool, authority):
    async with FakeProvider(authority.server("api.example")) as provider:
        error = await failure(make_pool(provider.url, authority.client()).connect())
        assert error.kind == "refused"
        assert "TLS" in str(error)


async def test_tls_to_a_provider_that_does_not_speak_it(make_pool, provider, authority):
    provider.greet(b"HTTP/1.1 400 Bad Request\r\n\r\n", close)
    pool = make_pool(provider.url.replace("http:", "https:"), authority.client())
    assert (await failure(pool.connect())).kind == "refused"
    assert pool.busy == 0


async def test_a_tls_handshake_that_never_ends(make_pool, authority):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        pool = make_pool(f"https://127.0.0.1:{listening.getsockname()[1]}", authority.client(), connect_s=0.05)
        assert (await failure(pool.connect())).kind == "timeout"
        assert pool.busy == 0


async def test_a_body_until_close_over_tls(make_pool, client, authority):
    async with FakeProvider(authority.server()) as provider:
        provider.script(head(200) + b"hello", close).script(stream_head() + chunk(b"one"), reset)
        pool = make_pool(provider.url, authority.client())
        assert (await client.ask(await pool.connect())).content == b"hello"
        kept = await client.ask(await pool.connect())
        assert (kept.content, kept.error is not None) == (b"one", True)
        assert pool.busy == 0
