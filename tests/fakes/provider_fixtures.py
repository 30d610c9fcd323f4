"""Fixtures for everything that needs a provider: the demo provider, the scripted one, certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fake_provider import FakeProvider
from fake_tls import Authority
from loop_thread import LoopThread
from penstock.upstream.demo.server import DemoServer, start


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    """A loop in a thread of its own, for servers that synchronous clients talk to."""
    with LoopThread() as thread:
        yield thread


@pytest.fixture(scope="session")
def demo(loop_thread: LoopThread) -> Iterator[DemoServer]:
    """A demo provider that sync and async clients of all tests share; it runs in a thread of its own."""
    server = loop_thread.run(start())
    yield server
    loop_thread.run(server.close())


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A scripted provider on the test's own loop."""
    async with FakeProvider() as fake:
        yield fake


@pytest.fixture
def remote_provider(loop_thread: LoopThread) -> Iterator[FakeProvider]:
    """A scripted provider on the loop thread, for tests that block: wait with `loop_thread.run(remote_provider.until_closed())`."""
    fake = loop_thread.run(FakeProvider().start())
    yield fake
    loop_thread.run(fake.stop())


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The certificate authority that a test may tell the program to trust."""
    return Authority()


@pytest.fixture(scope="session")
def stranger() -> Authority:
    """A certificate authority that nobody trusts."""
    return Authority()


@pytest.fixture(scope="session")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`authority` as a CA file."""
    return authority.write(tmp_path_factory.mktemp("tls") / "ca.pem")
