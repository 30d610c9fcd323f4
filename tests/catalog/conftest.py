"""Catalogs and the operator's prices over a real database, with a clock that tests set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from penstock.catalog.door import Catalog
from penstock.catalog.service import Prices
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from penstock.settings import Settings

BEFORE_S = 1_749_513_599.0  # o3 became cheaper at 2025-06-10T00:00Z, a second later


class Clock:
    """Seconds since 1970, as a test wants them."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def __call__(self) -> float:
        return self.at_s

    def ms(self) -> int:
        return int(self.at_s * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock(BEFORE_S)


@pytest.fixture
def prices(database: Database, clock: Clock) -> Prices:
    return Prices(database, clock.ms)


@pytest.fixture
def other_url(new_database_url: Callable[..., str]) -> str:
    """Another database."""
    return new_database_url(migrated=True)


@pytest.fixture
async def other_prices(other_url: str, clock: Clock) -> AsyncIterator[Prices]:
    """The operator's prices in another database."""
    opened = Database(other_url)
    yield Prices(opened, clock.ms)
    await opened.close()


@pytest.fixture
async def open_catalog(database: Database, clock: Clock) -> AsyncIterator[Callable[..., Awaitable[Catalog]]]:
    """Starts a catalog, as a process has one, that follows changes quickly."""
    started: list[tuple[Catalog, Feed]] = []

    async def start(**settings) -> Catalog:
        feed = Feed(database, every_s=0.01)
        catalog = Catalog(Settings(**settings), database, feed, now=clock)
        await catalog.start()
        await feed.start()
        started.append((catalog, feed))
        return catalog

    yield start
    for catalog, feed in started:
        await feed.stop()
        await catalog.stop()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until something is true, which it must be soon."""

    async def wait(true: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110  nobody sets an event
                await asyncio.sleep(0.005)

    return wait
