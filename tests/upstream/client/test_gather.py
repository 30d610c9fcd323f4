"""Gathering: whole answers, bounded, however they are framed, and nothing left behind by those that are not."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from fake_answers import chunk, gzipped, head, stream_head
from fake_provider import close, hang, hold
from penstock.kit.tasks import spawn
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.gather import gather

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def failure(coroutine) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await coroutine
    return caught.value


@pytest.mark.parametrize(
    "script",
    [
        (head(200, "content-length: 5") + b"hello",),
        (head(200, "content-length: 5"), b"he", b"llo"),
        (stream_head() + chunk(b"he"), chunk(b"llo") + b"0\r\n\r\n"),
        (head(200) + b"hel", b"lo", close),
        (gzipped(b"hello"),),
        (head(200, "content-encoding: deflate", f"content-length: {len(zlib.compress(b'hello'))}") + zlib.compress(b"hello"),),
    ],
)
async def test_however_it_comes(pool, provider, script):
    provider.script(*script)
    found, content = await gather(await pool.connect(), GET, 50)
    assert (found.status, content, pool.busy) == (200, b"hello", 0)


async def test_no_body(pool, provider):
    provider.script(b"HTTP/1.1 204 No Content\r\n\r\n")
    found, content = await gather(await pool.connect(), GET, 5)
    assert (found.status, content, pool.idle) == (204, b"", 1)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ((head(200, "content-length: 6") + b"hello!", hang), "invalid"),
        ((stream_head() + chunk(b"hello") + chunk(b"!"), hang), "invalid"),
        ((gzipped(b"x" * 1000),), "invalid"),
        ((head(200, "content-encoding: gzip", "content-length: 3") + b"abc",), "invalid"),
        ((head(200, "content-encoding: br", "content-length: 3") + b"abc",), "invalid"),
        ((head(200, "content-length: 9") + b"hello", close), "broken"),
        ((b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", hang), "invalid"),
        ((b"nonsense\r\n\r\n", hang), "invalid"),
    ],
)
async def test_what_is_no_whole_answer(pool, provider, script, kind):
    provider.script(*script)
    assert (await failure(gather(await pool.connect(), GET, 5))).kind == kind
    assert pool.busy == 0


async def test_a_compressed_answer_that_breaks_off(pool, provider):
    whole = zlib.compress(b"hello" * 50)[:-4]
    provider.script(head(200, "content-encoding: deflate", f"content-length: {len(whole)}") + whole)
    assert "not whole" in str(await failure(gather(await pool.connect(), GET, 1000)))


async def test_the_pools_time_limits_hold(make_pool, provider, beat, client):
    provider.script(hang)
    pool = make_pool(provider.url, first_byte_s=2)
    waiting = spawn(gather(await pool.connect(), GET, 5), name="gather", awaited=True)
    await provider.until_requests(1)
    beat(3)
    assert (await failure(waiting)).kind == "timeout"


async def test_cancelled_in_the_middle(pool, provider, client):
    go_on = asyncio.Event()
    provider.script(head(200, "content-length: 5") + b"he", hold(go_on))
    connection = await pool.connect()
    waiting = spawn(gather(connection, GET, 5), name="gather", awaited=True)
    await client.soon(lambda: connection.answered)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pool.busy == 0
    go_on.set()
