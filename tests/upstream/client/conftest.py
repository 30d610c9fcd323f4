"""What the tests of the client share: a scripted provider, pools that are closed afterwards, and somebody who receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from penstock.kit.pulse import Pulse
from penstock.kit.walker import Signal, Walker
from penstock.upstream.client.connection import Connection, UpstreamError
from penstock.upstream.client.pool import Limits, Origin, Pool

PATIENCE_S = 5


def pytest_asyncio_loop_factories(config, item):
    """The loop that the program runs on: it does not behave like asyncio's own when a transport is closed."""
    return {"uvloop": uvloop.new_event_loop}


class Kept:
    """A receiver that keeps what comes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.framed = 0
        self.ended: bool = False
        self.error: UpstreamError | None = None
        self._over = asyncio.Event()
        self.on_body: Callable[[], None] = lambda: None

    @property
    def content(self) -> bytes:
        return b"".join(self._pieces)

    def body(self, data: bytes) -> None:
        self._pieces.append(data)
        self.on_body()

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        self.framed += len(parts)
        self.body(b"".join(parts))

    def end(self) -> None:
        assert not self._over.is_set()
        self.ended = True
        self._over.set()

    def broken(self, error: UpstreamError) -> None:
        assert not self._over.is_set()
        self.error = error
        self._over.set()

    async def over(self) -> Kept:
        """Wait for the end."""
        await asyncio.wait_for(self._over.wait(), PATIENCE_S)
        return self


async def walked(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives that waits for signals."""
    values: list[Any] = []
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def keep() -> None:
        values.append(await coroutine)

    Walker(keep(), ended.set_result).start()
    error = await asyncio.wait_for(ended, PATIENCE_S)
    if error is not None:
        raise error
    return values[0]


async def soon(true: Callable[[], Any]) -> None:
    """Wait until something is true."""
    for _ in range(PATIENCE_S * 1000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


async def head_of(signal: Signal) -> Any:
    return await signal


class Client:
    """Asks as the relay does, step by step."""

    kept = staticmethod(Kept)
    soon = staticmethod(soon)
    walked = staticmethod(walked)

    async def head(self, connection: Connection, request: bytes = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", *, to_head: bool = False) -> Any:
        """The head of the answer."""
        return await walked(head_of(connection.ask(request, to_head=to_head)))

    async def ask(self, connection: Connection, request: bytes = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", *, to_head: bool = False) -> Kept:
        """The answer, received in the very callback in which its head came."""
        kept = Kept()

        async def run() -> None:
            await connection.ask(request, to_head=to_head)
            connection.deliver(kept)

        await walked(run())
        return await kept.over()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def pulse() -> Pulse:
    """A pulse that beats when the test says so: `beat(pulse, ticks)`."""
    return Pulse(1)


@pytest.fixture
def beat(pulse):
    def beat(ticks: int = 1) -> None:
        for _ in range(ticks):
            pulse.tick += 1
            for sweeper in pulse._sweepers:
                sweeper()

    return beat


@pytest.fixture
async def make_pool(pulse) -> AsyncIterator[Callable[..., Pool]]:
    """Makes pools; `make_pool(url, tls=..., connect_s=...)`."""
    made: list[Pool] = []

    def make(url: str, tls=None, **limits: Any) -> Pool:
        made.append(Pool(Origin.of(url), Limits(**limits), pulse, tls))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.fixture
def pool(make_pool, provider) -> Pool:
    return make_pool(provider.url)
