"""What the tests of keys share: a clock that is set by hand, the service, and the database as another process has it open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from penstock.accounts.identity import CLI
from penstock.accounts.service import Accounts, Draft
from penstock.infra.database import Database
from penstock.keys.service import Keys


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    """The clock of the test."""
    return Clock()


@pytest.fixture
async def elsewhere(database_url: str) -> AsyncIterator[Database]:
    """The same database, as another process has it open."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def keys(elsewhere: Database, clock: Clock) -> Keys:
    """The service, as the command line uses it: over connections of its own."""
    return Keys(elsewhere, clock)


@pytest.fixture
def new_account(elsewhere: Database, clock: Clock) -> Callable[..., Awaitable[str]]:
    """Makes accounts; returns their ids."""

    async def make(role: str = "member") -> str:
        return (await Accounts(elsewhere, clock).create(CLI, Draft("someone", role=role))).id

    return make
