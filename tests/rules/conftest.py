"""What the tests of rules share: a clock that is set by hand, services on the database as another process has it open, and accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from penstock.accounts.identity import Identity
from penstock.accounts.service import Accounts, Draft
from penstock.infra.database import Database
from penstock.rules.service import Limits, Rules

OPERATOR = Identity("acc_operator", "admin", "cli", "")


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
def operator() -> Identity:
    """Whoever runs the gateway."""
    return OPERATOR


@pytest.fixture
def rules(elsewhere: Database, clock: Clock) -> Rules:
    """The service, over connections of its own; an account has room for five rules, and the operator for eight."""
    return Rules(elsewhere, Limits(5, 8), clock)


@pytest.fixture
def new_member(elsewhere: Database) -> Callable[..., Awaitable[Identity]]:
    """Makes accounts; returns who they are."""

    async def make(role: str = "member") -> Identity:
        account = await Accounts(elsewhere).create(OPERATOR, Draft("someone", role=role))
        return Identity(account.id, role, "session", "203.0.113.7")

    return make


@pytest.fixture
async def member(new_member: Callable[..., Awaitable[Identity]]) -> Identity:
    """A member."""
    return await new_member()


@pytest.fixture
def given() -> Callable[..., dict[str, Any]]:
    """A rule as someone has written it, with what is said of it."""
    return lambda name="calm down", **terms: {"name": name, "then": [{"do": "set", "path": "temperature", "value": 1}], **terms}
