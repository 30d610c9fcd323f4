"""The plane: what the settings say, in the units that the hot path counts in."""

from __future__ import annotations

from penstock.kit.pulse import Pulse
from penstock.relay.plane import TickLimits


def test_limits_are_in_ticks_and_at_least_one(rig):
    settings = rig.settings.model_copy(update={"client_head_s": 2.0, "client_body_s": 2.1, "client_stall_s": 0.1, "keep_alive_s": 75.0})
    limits = TickLimits.of(settings, Pulse(0.5))
    assert (limits.client_head, limits.client_body, limits.client_stall, limits.keep_alive, limits.linger) == (4, 5, 1, 150, 4)


def test_what_settings_decide_is_decided_once(make_rig):
    plain = make_rig(retries=3, record_body_limit=7).plane
    assert (plain.attempts, plain.record_limit, plain.shows) == (4, 7, False)
    for name in ("show_cost", "show_channel", "show_overhead"):
        assert make_rig(**{name: True}).plane.shows
    assert make_rig(show_timing=True).plane.timed and not plain.timed


def test_connections_are_those_that_uvicorn_counts(rig):
    client = rig.client()
    assert rig.plane.connections is rig.state.connections and client.edge in rig.plane.connections
    client.leaves()
    assert not rig.plane.connections
