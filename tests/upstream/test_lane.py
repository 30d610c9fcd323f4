"""A lane: what of it routing goes by."""

from __future__ import annotations

import pytest

from penstock.kit.pulse import Pulse
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.channel import Channel
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.errands import ERRANDS
from penstock.upstream.lane import Lane
from penstock.upstream.providers import PROVIDERS


@pytest.fixture
def channel():
    base = "http://127.0.0.1:9/v1"
    pool = Pool(Channel.origin(base), Limits(), Pulse())
    yield Channel("one", PROVIDERS["openai"], base, pool, secret="sk-placeholder")
    pool.close()


def test_on_the_clients_own_wire_it_is_direct(channel):
    assert Lane(channel, "public", "theirs").direct
    assert not Lane(channel, "public", "theirs", BRIDGES["chat", "messages"]).direct
    assert not Lane(channel, "public", "theirs", None, next(iter(ERRANDS.values()))).direct


def test_two_that_say_the_same_are_the_same(channel):
    assert Lane(channel, "public", "theirs") == Lane(channel, "public", "theirs") != Lane(channel, "public", "other")
