"""What the tests of the relay's files share: a relay without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fake_ends import Rig


@pytest.fixture
def make_rig(tmp_path: Path) -> Callable[..., Rig]:
    """Makes relays; `make_rig(retries=0, ...)` takes settings."""
    return lambda **settings: Rig(tmp_path / "data", **settings)


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A relay that takes no charges."""
    return make_rig()


@pytest.fixture
async def open_rig(make_rig: Callable[..., Rig], sqlite_template: Path) -> AsyncIterator[Callable]:
    """Makes relays that take charges: `await open_rig(...)`."""
    made: list[Rig] = []

    async def make(**settings) -> Rig:
        made.append(make_rig(**settings))
        await made[-1].open(sqlite_template)
        return made[-1]

    yield make
    for rig in made:
        await rig.close()


@pytest.fixture
async def live(open_rig) -> Rig:
    """A relay that takes charges."""
    return await open_rig()
