"""What tests of channels share: a service over a fresh database, and somebody who may change things."""

from __future__ import annotations

import os

import pytest

from penstock.accounts.identity import CLI
from penstock.channels.service import Channels
from penstock.infra.database import Database
from penstock.infra.secrets import Secrets


@pytest.fixture
def secrets() -> Secrets:
    return Secrets(os.urandom(32))


@pytest.fixture
def channels(database: Database, secrets: Secrets) -> Channels:
    return Channels(database, secrets, lambda: 1_800_000_000_000)


@pytest.fixture
def operator():
    return CLI
