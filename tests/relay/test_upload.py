"""A request body on its way through, to a real provider: whole, in order, with back-pressure, and cut off cleanly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_provider import FakeProvider, close, hang, hold
from penstock.kit.pulse import Pulse
from penstock.kit.walker import Walker
from penstock.relay.forms import Field
from penstock.relay.upload import WAITING_LIMIT, Upload
from penstock.upstream.client.pool import Limits, Origin, Pool

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LIMIT = 64 * 1024 * 1024


class Client:
    """The client's side, as far as an upload knows it."""

    def __init__(self) -> None:
        self.active = self
        self.transport = self
        self.close = False
        self.written = b""
        self.held: set[str] = set()

    def hold_reading(self, why: str) -> None:
        self.held.add(why)

    def go_on_reading(self, why: str) -> None:
        self.held.discard(why)

    def write(self, data: bytes) -> None:
        self.written += data


def upload(client=None, *, limit=LIMIT, chunked=False, expected=False) -> Upload:
    return Upload(client or Client(), limit, chunked=chunked, expected=expected)


def waits(coroutine) -> list[bytes]:
    """Start a step of a walk; what it gives appears in the list once it has come."""
    given_back: list[bytes] = []

    async def keep() -> None:
        given_back.append(await coroutine)

    def ended(error) -> None:
        assert error is None, error

    Walker(keep(), ended).start()
    return given_back


@pytest.fixture
async def pool(provider: FakeProvider) -> AsyncIterator[Pool]:
    pool = Pool(Origin.of(provider.url), Limits(), Pulse())
    yield pool
    pool.close()


async def begin(pool: Pool, framing: bytes):
    """A connection on which the head of a request has been written, and what gives the head of its answer."""
    connection = await pool.connect()
    return connection, waits(_await(connection.ask(b"POST / HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n\r\n")))


async def _await(signal):
    return await signal


class Kept:
    """A receiver that keeps what comes."""

    def __init__(self) -> None:
        self.content = b""
        self.over = asyncio.Event()

    def body(self, data: bytes) -> None:
        self.content += data

    def end(self) -> None:
        self.over.set()


# gathering


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 120), st.integers(0, 8))
def test_prefix_waits_for_so_many_bytes_or_the_end(pieces, wanted, before):
    """Whatever has come before it is asked for."""
    body = upload()
    for piece in pieces[:before]:
        body.feed(piece)
    found = waits(body.prefix(wanted))
    for piece in pieces[before:]:
        assert found == [] or len(found[0]) >= wanted
        body.feed(piece)
    body.end()
    assert b"".join(pieces).startswith(found[0])
    assert len(found[0]) >= min(wanted, sum(map(len, pieces)))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(0, 8))
def test_whole_waits_for_the_end(pieces, before):
    body = upload()
    for piece in pieces[:before]:
        body.feed(piece)
    found = waits(body.whole())
    for piece in pieces[before:]:
        assert found == []
        body.feed(piece)
    body.end()
    assert found == [b"".join(pieces)]


def test_the_client_is_held_back_while_nobody_takes_the_body():
    client = Client()
    body = upload(client)
    for _ in range(WAITING_LIMIT // 1024 - 1):
        assert body.feed(bytes(1024))
    assert client.held == set()
    body.feed(bytes(1024))
    assert client.held == {"upload"}
    waits(body.prefix(2 * WAITING_LIMIT))
    assert client.held == set()
    waits(body.whole())
    for _ in range(8 * WAITING_LIMIT // 1024):
        body.feed(bytes(1024))
    assert client.held == set()


def test_more_than_the_limit_is_refused():
    body = upload(limit=10)
    assert [body.feed(b"12345"), body.feed(b"67890"), body.feed(b"x"), body.feed(b"y")] == [True, True, False, False]
    assert body.size == 12


def test_the_client_is_asked_for_a_body_that_it_holds_back():
    for expected, sent, written in ((True, b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (True, b"x", b""), (False, b"", b"")):
        client = Client()
        body = upload(client, expected=expected)
        if sent:
            body.feed(sent)
        body.invite()
        assert client.written == written


def test_the_beginning_is_recorded_what_came_before_included():
    body = upload()
    body.feed(b"one")
    body.record(7)
    body.feed(b"two")
    body.feed(b"three")
    assert b"".join(body.tape.pieces) == b"onetwot"
    assert body.tape.cut


# forwarding


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("before", [0, 1, 3, 4])
async def test_a_body_goes_through_whole_and_the_connection_is_kept(provider, pool, chunked, before):
    """However much of it has come before there is a connection: nothing, a part, all but the end, all."""
    provider.script(OK)
    pieces, client = [b"one", b"\r\n0\r\n\r\n", b"three" * 1000], Client()
    body = upload(client, chunked=chunked)
    for piece in pieces[:before]:
        body.feed(piece)
    if before == 4:
        body.end()
    size = sum(map(len, pieces))
    connection, head = await begin(pool, b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size)
    body.forward(connection)
    for piece in pieces[before:]:
        body.feed(piece)
    if before < 4:
        body.end()
    await provider.until_requests(1)
    assert provider.requests[0].body == b"".join(pieces)
    await _until(lambda: head)
    body.stop()
    kept = Kept()
    connection.deliver(kept)
    await asyncio.wait_for(kept.over.wait(), 5)
    assert (pool.take(), client.close, client.held) == (connection, False, set())


async def _until(true) -> None:
    for _ in range(5000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


async def test_what_waits_may_be_replaced(provider, pool):
    provider.script(OK)
    body = upload()
    body.feed(b"model=a")
    body.naming = Field("a", 6, 7)
    body.rename("long")
    assert body.grown == 3
    connection, _ = await begin(pool, b"content-length: %d" % (7 + 5 + body.grown))
    body.forward(connection)
    body.feed(b"&more")
    body.end()
    await provider.until_requests(1)
    assert provider.requests[0].body == b"model=long&more"


async def test_a_slow_provider_holds_the_client_back(provider, pool):
    go_on = asyncio.Event()
    provider.script(hold(go_on), OK, early=True)
    client, size = Client(), 10 * 1024 * 1024
    body = upload(client)
    connection, _ = await begin(pool, b"content-length: %d" % size)
    body.forward(connection)
    body.feed(bytes(size // 2))
    assert client.held == {"upload"}
    go_on.set()
    await _until(lambda: not client.held)
    body.feed(bytes(size // 2))
    assert client.held == {"upload"}
    # Nothing more will come, so nobody is held back: the connection may bring the next request, or be closed.
    body.end()
    assert client.held == set()
    await provider.until_requests(1)


async def test_a_slow_provider_holds_the_client_back_from_the_first_byte(provider, pool):
    provider.script(hang, early=True)
    client = Client()
    body = upload(client)
    for _ in range(16):
        body.feed(bytes(1024 * 1024))
    connection, _ = await begin(pool, b"content-length: 100000000")
    body.forward(connection)
    assert client.held == {"upload"}


async def test_an_answer_before_the_end_throws_the_rest_away(provider, pool):
    """The connection is not used again: the provider would take the next request for the rest of this body."""
    provider.script(b"HTTP/1.1 413 x\r\ncontent-length: 3\r\n\r\nbig", hang, early=True)
    client = Client()
    body = upload(client)
    connection, head = await begin(pool, b"content-length: 1000")
    body.forward(connection)
    body.feed(b"some")
    await _until(lambda: head)
    body.stop()
    assert (client.close, client.held) == (True, set())
    body.feed(b"more" * WAITING_LIMIT)
    body.end()
    assert client.held == set()
    kept = Kept()
    connection.deliver(kept)
    await asyncio.wait_for(kept.over.wait(), 5)
    assert (kept.content, pool.take(), pool.busy) == (b"big", None, 0)
    await provider.until_closed()


async def test_a_provider_that_is_gone_takes_nothing_and_nothing_fails(provider, pool):
    provider.script(close, early=True)
    client = Client()
    body = upload(client, chunked=True)
    connection, _ = await begin_and_fail(pool)
    body.forward(connection)
    body.feed(b"more")
    body.end()
    assert client.held == set()


async def begin_and_fail(pool: Pool):
    connection = await pool.connect()
    signal = connection.ask(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    await _until(lambda: signal.done)
    return connection, signal


async def test_a_client_that_stops_sending_costs_the_connection(provider, pool):
    provider.script(hang)
    body = upload()
    connection, _ = await begin(pool, b"content-length: 1000")
    body.forward(connection)
    body.feed(b"some")
    assert body.cut()
    await provider.until_closed()
    assert pool.busy == 0
    body.feed(b"more")
    body.end()
