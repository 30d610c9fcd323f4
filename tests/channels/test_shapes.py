"""Shapes: what is taken is taken strictly, and what is shown has no secrets."""

from __future__ import annotations

import time

import pytest
from pydantic import ValidationError

from penstock.channels.configured import channels_from
from penstock.channels.pools import Pools
from penstock.channels.shapes import ChannelGiven, shown_configured
from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.faults import Fault

GOOD = {"name": "main", "provider": "openai"}


@pytest.mark.parametrize(
    "more",
    [{"weight": True}, {"weight": 1.5}, {"weight": "1"}, {"enabled": "yes"}, {"timeouts": {"idle_s": "5"}}, {"timeouts": {"nap_s": 5}},
     {"x": 1},
     {"models": []}, {"models": [{"name": "a", "served": "b", "x": 1}]}, {"priority": None}],
)  # fmt: skip
def test_what_is_not_taken(more):
    with pytest.raises(ValidationError):
        ChannelGiven.model_validate({**GOOD, **more})


def test_what_is_left_out_is_not_given():
    assert ChannelGiven.model_validate(GOOD).model_dump(exclude_unset=True) == GOOD


def test_a_channel_from_settings_says_what_is_left_alone():
    settings = Settings(openai_api_key="sk-vendor")
    (channel,) = channels_from(settings, Pools(settings, Pulse()), None)
    assert shown_configured(channel).breakers == []
    channel.breakers.failed(None, Fault("status", 401, "401 Unauthorized"), time.time())
    found = shown_configured(channel)
    (breaker,) = found.breakers
    assert (breaker.reason, breaker.model, breaker.failures) == ("401 Unauthorized", None, 1)
    assert "sk-vendor" not in found.model_dump_json()
