"""What the tests of errands to vendors of pictures share."""

from __future__ import annotations

import pytest

from media_vendors import FakeNovelAI, FakeReplicate
from vendor_server import SECRET, Caller


@pytest.fixture
async def replicate():
    """Replicate on loopback."""
    async with FakeReplicate() as vendor:
        yield vendor


@pytest.fixture
def caller(replicate):
    """Who calls it."""
    return Caller(replicate.url, f"authorization: Bearer {SECRET}\r\n".encode())


@pytest.fixture
async def novelai():
    """NovelAI on loopback."""
    async with FakeNovelAI() as vendor:
        yield vendor
