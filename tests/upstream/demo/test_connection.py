"""HTTP/1.1 as a careful and as a careless client speaks it."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.demo.connection import Connection
from penstock.upstream.demo.stock import Stock

BODY = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "hi"}]}).encode()
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
LAST = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def stream(model: str) -> bytes:
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def until(true):
    """Wait until something in another thread is true."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  a thread's own objects cannot wake this loop
            await asyncio.sleep(0.001)


async def test_keep_alive_and_close(raw):
    answers = await raw(CHAT + CHAT + LAST)
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.count(b"connection: close") == 1
    assert answers.endswith(b'"owned_by":"penstock"}]}')


async def test_nothing_is_answered_after_the_last_request(raw):
    assert (await raw(LAST + CHAT + b"rubbish\r\n\r\n")).count(b"HTTP/1.1") == 1


async def test_pipelined_requests_are_answered_in_order(raw):
    answers = await raw(stream("demo-n3d2") + CHAT + stream("demo-slow5-n2") + LAST)
    order = [answers.index(mark) for mark in (b'"demo-n3d2"', b'"demo"', b'"demo-slow5-n2"', b'"owned_by"')]
    assert order == sorted(order)
    assert answers.count(b"0\r\n\r\n") == 2


async def test_many_pipelined_requests(raw):
    answers = await raw(CHAT * 200 + stream("demo-n2d1") + CHAT * 200 + LAST)
    assert answers.count(b"HTTP/1.1 200 OK") == 402


async def test_http_1_0_gets_an_answer_that_ends_with_the_connection(raw):
    plain = await raw(CHAT.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert b"content-length: " in plain
    streamed = await raw(stream("demo-n2").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert b"transfer-encoding" not in streamed
    assert streamed.endswith(b"data: [DONE]\n\n")


async def test_head_has_no_body(raw):
    answer = await raw(b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\n\r\n" + LAST)
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert b"content-length: " in first
    assert rest.startswith(b"HTTP/1.1 200 OK")


async def test_chunked_requests(raw):
    half = len(BODY) // 2
    chunks = b"%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\n\r\n" % (half, BODY[:half], len(BODY) - half, BODY[half:])
    answer = await raw(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_expect_is_answered_before_the_body(demo):
    reader, writer = await asyncio.open_connection("127.0.0.1", demo.port)
    writer.write(CHAT.replace(b"host: x", b"host: x\r\nexpect: 100-continue")[: -len(BODY)])
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BODY)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
    writer.close()


@pytest.mark.parametrize(
    "broken",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        CHAT.replace(b"host: x", b"transfer-encoding: chunked"),
        CHAT.replace(b"host: x", b"content-length: 5"),
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_what_is_not_http_is_refused_and_closed(raw, broken):
    answer = await raw(broken)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"connection: close" in answer


async def test_too_large_a_head_is_refused(raw):
    assert (await raw(b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n")).startswith(b"HTTP/1.1 431 ")


def test_too_large_a_body_is_refused():
    class Transport:
        def __init__(self):
            self.written, self.closed = b"", False

        def write(self, data):
            self.written += data

        def close(self):
            self.closed = True

        def is_closing(self):
            return self.closed

    connection, transport = Connection(Stock(), set(), body_limit=10), Transport()
    connection.connection_made(transport)
    connection.data_received(CHAT)
    connection.data_received(CHAT)
    assert transport.written.startswith(b"HTTP/1.1 413 ")
    assert (transport.written.count(b"HTTP/1.1"), transport.closed) == (1, True)


@pytest.mark.parametrize("kind", [b"h2c", b"websocket"])
async def test_an_upgrade_that_is_not_served_is_answered_and_closed(raw, kind):
    answer = await raw(LAST.replace(b"connection: close", b"connection: upgrade\r\nupgrade: " + kind) + LAST)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.startswith(b"HTTP/1.1 200 OK")


def peers(demo):
    """Who is connected; other tests' clients come and go meanwhile."""
    return [connection.transport.get_extra_info("peername") for connection in list(demo._connections)]


async def test_a_client_that_leaves_is_forgotten(demo):
    _, writer = await asyncio.open_connection("127.0.0.1", demo.port)
    writer.write(stream("demo-n1000d1000"))
    ours = writer.get_extra_info("sockname")
    await until(lambda: ours in peers(demo))
    writer.transport.abort()
    await until(lambda: ours not in peers(demo))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, len(CHAT)), max_size=5))
def test_requests_may_arrive_in_any_pieces(cuts):
    class Transport:
        def __init__(self):
            self.written = b""

        def write(self, data):
            self.written += data

        def is_closing(self):
            return False

    connection, transport = Connection(Stock(), set()), Transport()
    connection.connection_made(transport)
    edges = [0, *sorted(cuts), len(CHAT)]
    for start, end in itertools.pairwise(edges):
        connection.data_received(CHAT[start:end])
    assert transport.written.startswith(b"HTTP/1.1 200 OK")
