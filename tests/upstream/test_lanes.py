"""Lanes: who is tried first and who next, by priority, weight and what a request sticks to."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.breaker import Breakers, Fault
from penstock.upstream.channel import Channel, Terms
from penstock.upstream.lane import Lane
from penstock.upstream.lanes import FEW, TOLD, Lanes, identity

pytestmark = pytest.mark.interpreted  # its channels have only what is looked at
NOW = 1_790_000_000.0
WRONG_KEY = Fault("status", 401, "401 Unauthorized")
GONE = Fault("model", 404, "404 Not Found")


def lane(name: str, weight: int = 1, priority: int = 0, *, credential: str = "", served: str = "m", hint: str = "") -> Lane:
    """A lane of a channel of which only is there what routing looks at."""
    terms = Terms(weight=weight, priority=priority, credential_id=credential, hint=hint)
    channel: Any = SimpleNamespace(name=name, terms=terms, breakers=Breakers())
    return Lane(cast(Channel, channel), "public", served)


def block(lane: Lane, fault: Fault = WRONG_KEY) -> None:
    lane.channel.breakers.failed(lane.served, fault, NOW)


def names(lanes: list[Lane]) -> list[str]:
    return [lane.channel.name for lane in lanes]


def shares(lanes: Lanes, limit: int = 1, count: int = 4000, keys: Any = None) -> dict[str, float]:
    """How often each is first."""
    first = Counter(lanes.pick(limit, keys(number) if keys else None, NOW)[0].channel.name for number in range(count))
    return {name: first[name] / count for name in first}


def key(number: int) -> bytes:
    return b"conversation %d" % number


# order


@pytest.mark.parametrize("sticky", [None, b"key"])
@pytest.mark.parametrize("count", [1, 2, FEW + 4])
def test_higher_priorities_come_first(sticky, count):
    low = [lane(f"low{number}", 100, -1) for number in range(count)]
    high = [lane(f"high{number}", 1, 5) for number in range(count)]
    found = names(Lanes(low + high).pick(2 * count, sticky, NOW))
    assert {name[:4] for name in found[:count]} == {"high"}
    assert sorted(found) == sorted(f"{kind}{number}" for kind in ("high", "low") for number in range(count))


@pytest.mark.parametrize("sticky", [None, b"key"])
def test_weight_0_is_only_for_when_no_other_is_left(sticky):
    last, lower, first = lane("last", 0, 9), lane("lower", 1, -3), lane("first")
    lanes = Lanes([last, lower, first])
    assert names(lanes.pick(9, sticky, NOW)) == ["first", "lower", "last"]
    block(first)
    block(lower)
    assert names(lanes.pick(9, sticky, NOW)) == ["last"]


def test_among_weight_0_too_priority_counts():
    assert names(Lanes([lane("a", 0), lane("b", 0, 1)]).pick(2, None, NOW)) == ["b", "a"]


@pytest.mark.parametrize("more", [0, FEW])
@pytest.mark.parametrize("keys", [None, key])
def test_weights_are_shares(more, keys):
    lanes = Lanes([lane("a", 10), lane("b", 30), *(lane(f"x{number}", 10) for number in range(more))])
    found = shares(lanes, keys=keys)
    whole = 40 + 10 * more
    assert found["a"] == pytest.approx(10 / whole, rel=0.4)
    assert found["b"] == pytest.approx(30 / whole, rel=0.4)


@pytest.mark.parametrize("keys", [None, key])
@pytest.mark.parametrize("count", [1, 63, 300])
def test_one_may_weigh_far_more_than_the_others(count, keys):
    lanes = Lanes([lane("a", 1000), *(lane(f"x{number}") for number in range(count))])
    assert shares(lanes, keys=keys)["a"] == pytest.approx(1000 / (1000 + count), rel=0.1)


def test_keys_of_one_channel_are_lanes_of_their_own():
    lanes = Lanes([lane("main", credential="one"), lane("main", credential="two"), lane("spare", priority=-1)])
    assert len({identity(one) for one in lanes.all}) == 3
    assert names(lanes.pick(3, b"key", NOW)) == ["main", "main", "spare"]


def test_no_more_than_asked_for():
    lanes = Lanes([lane(str(number)) for number in range(50)])
    for limit in (1, 3, 50, 99):
        for sticky in (None, b"key"):
            assert len(lanes.pick(limit, sticky, NOW)) == min(limit, 50)


# blocked


@pytest.mark.parametrize("sticky", [None, b"key"])
@pytest.mark.parametrize("count", [2, FEW, 200])
def test_what_is_blocked_is_left_out(sticky, count):
    every = [lane(str(number), 1 + number % 3) for number in range(count)]
    lanes = Lanes(every)
    for one in every[:-1]:
        block(one)
    assert lanes.pick(3, sticky, NOW) == [every[-1]]
    assert lanes.wait_s(NOW) == 0
    block(every[-1])
    assert lanes.pick(3, sticky, NOW) == []
    assert lanes.wait_s(NOW) == 60
    assert len(lanes.pick(3, sticky, NOW + 60)) == min(3, count)


def test_breakers_go_by_the_providers_name_of_the_model():
    one, other = lane("a", served="theirs"), lane("b", served="theirs")
    one.channel.breakers.failed("theirs", GONE, NOW)
    assert Lanes([one, other]).pick(2, None, NOW) == [other]
    one.channel.breakers.failed("public", GONE, NOW)
    one.channel.breakers.succeeded("theirs", NOW)
    assert len(Lanes([one, other]).pick(2, None, NOW)) == 2


@pytest.mark.parametrize("weight", [0, 1])
def test_the_only_lane_is_never_left_out(weight):
    one = lane("a", weight)
    block(one)
    assert Lanes([one]).pick(3, b"key", NOW) == [one]


def test_none_at_all():
    lanes = Lanes([])
    assert (lanes.pick(3, None, NOW), lanes.why(NOW), lanes.wait_s(NOW), bool(lanes)) == ([], "", 0, False)


def test_why():
    every = [lane(f"c{number}", hint="abcd", credential=str(number)) for number in range(TOLD + 2)]
    lanes = Lanes([*every, lane("c0", hint="efgh", credential="other")])
    assert lanes.why(NOW) == ""
    block(lanes.all[0])
    block(lanes.all[-1])
    block(every[1], GONE)
    until = "until 14:14:20 UTC"
    assert lanes.why(NOW) == f"c0: 401 Unauthorized, {until}; c1: 404 Not Found, {until}"
    for one in every[2:]:
        block(one)
    assert lanes.why(NOW).endswith("; and 2 more")


# stickiness


@pytest.mark.parametrize("count", [2, FEW, 100])
def test_the_same_key_goes_the_same_way(count):
    every = [lane(str(number)) for number in range(count)]
    for number in range(20):
        assert (
            Lanes(every).pick(3, key(number), NOW) == Lanes(every).pick(3, key(number), NOW) == Lanes(every[::-1]).pick(3, key(number), NOW)
        )


@given(st.lists(st.integers(1, 9), min_size=3, max_size=40), st.data())
def test_when_a_lane_goes_little_else_changes(weights, data):
    every = [lane(f"c{number}", weight) for number, weight in enumerate(weights)]
    gone = data.draw(st.integers(0, len(every) - 1))
    before, after = Lanes(every), Lanes(every[:gone] + every[gone + 1 :])
    moved = stayed = 0
    for number in range(300):
        first = before.pick(1, key(number), NOW)[0]
        if first is not every[gone]:
            stayed += 1
            moved += after.pick(1, key(number), NOW)[0] is not first
    assert moved <= 0.25 * stayed + 5


def test_when_a_lane_is_blocked_its_keys_go_elsewhere_and_come_back():
    every = [lane(f"c{number}") for number in range(20)]
    lanes = Lanes(every)
    orders = {number: lanes.pick(3, key(number), NOW) for number in range(200)}
    block(every[7])
    for number, order in orders.items():
        kept = [one for one in order if one is not every[7]]
        assert lanes.pick(3, key(number), NOW)[: len(kept)] == kept
    every[7].channel.breakers.reset()
    assert {number: lanes.pick(3, key(number), NOW) for number in range(200)} == orders


def test_models_of_the_same_channels_share_what_is_drawn_from():
    every = [lane(f"c{number}") for number in range(3)]
    others = [Lane(one.channel, "other", "theirs") for one in every]
    assert Lanes(every)._tiers[0].shape is Lanes(others)._tiers[0].shape


lanes_lists = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 1), st.booleans()), max_size=30)


@given(lanes_lists, st.integers(1, 12), st.none() | st.binary(min_size=1, max_size=8))
def test_whatever_there_is(made, limit, sticky):
    every = [lane(f"c{number}", weight, priority) for number, (weight, priority, _) in enumerate(made)]
    for one, (_, _, blocked) in zip(every, made, strict=True):
        if blocked:
            block(one)
    free = every if len(every) == 1 else [one for one, (_, _, blocked) in zip(every, made, strict=True) if not blocked]
    found = Lanes(every).pick(limit, sticky, NOW)
    assert len(found) == min(limit, len(free))
    assert len({id(one) for one in found}) == len(found)
    assert all(any(one is other for other in free) for one in found)
    ranks = [(one.channel.terms.weight > 0, one.channel.terms.priority) for one in found]
    assert ranks == sorted(ranks, reverse=True)
    left = [(one.channel.terms.weight > 0, one.channel.terms.priority) for one in free if not any(one is other for other in found)]
    assert not left or not found or min(ranks) >= max(left)
