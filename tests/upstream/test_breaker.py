"""Breakers: when they open, for how long, who finds out whether all is well again, and what others are told."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.upstream.breaker import FORGET_S, MODELS_LIMIT, PROBE_S, Breakers, Fault, State

NOW = 1_790_000_000.0
"""14:13:20 UTC"""
WRONG_KEY = Fault("status", 401, "401 Unauthorized")
BUSY = Fault("status", 429, "429 Too Many Requests")
BROKEN = Fault("status", 500, "500 Internal Server Error")
AWAY = Fault("connect", 0, "no connection to x: refused")
SILENT = Fault("answer", 0, "no answer within 600 s")
GONE = Fault("model", 404, "404 Not Found: the provider does not have the model")
EMPTY = Fault("quota", 429, "429 Too Many Requests: the quota is used up")


def asked(seconds: float) -> Fault:
    return Fault("status", 429, "429 Too Many Requests", seconds)


@pytest.fixture
def breakers() -> Breakers:
    return Breakers()


def opened(fault: Fault, count: int = 1, model: str | None = "m") -> Breakers:
    made = Breakers()
    for _ in range(count):
        made.failed(model, fault, NOW)
    return made


def blocked_for(breakers: Breakers, model: str | None = "m", now_s: float = NOW) -> float:
    """How long a request for the model is blocked, by looking."""
    wait_s = breakers.wait_s(model, now_s)
    if wait_s:
        assert breakers.blocks(model, now_s + wait_s - 0.01) is not None
    assert breakers.blocks(model, now_s + wait_s) is None
    return round(wait_s, 3)


def test_in_the_normal_case_there_is_nothing(breakers):
    assert not breakers.troubled
    assert breakers.blocks("m", NOW) is breakers.enter("m", NOW) is None
    breakers.succeeded("m", NOW)
    assert breakers.states() == []


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_credential_is_of_no_use_for_any_model(status):
    breakers = opened(Fault("status", status, "x"))
    assert [blocked_for(breakers, model) for model in ("m", "other", None)] == [60, 60, 60]


def test_nor_is_one_without_money():
    assert blocked_for(opened(EMPTY), "other") == 60


def test_a_model_that_is_not_there_is_left_alone_and_no_other():
    breakers = opened(GONE)
    assert (blocked_for(breakers, "m"), blocked_for(breakers, "other"), blocked_for(breakers, None)) == (60, 0, 0)


@pytest.mark.parametrize(("seconds", "blocked"), [(7, 7), (3600, 600)])
def test_who_says_how_long_is_believed_within_reason(seconds, blocked):
    breakers = opened(asked(seconds))
    assert (blocked_for(breakers, "m"), blocked_for(breakers, "other")) == (blocked, 0)


@pytest.mark.parametrize("fault", [BUSY, BROKEN, SILENT, Fault("status", 408, "x"), Fault("status", 529, "x")])
def test_three_in_a_row_are_too_many(fault):
    assert [blocked_for(opened(fault, count)) for count in (1, 2, 3)] == [0, 0, 5]
    assert blocked_for(opened(fault, 3), "other") == 0
    assert opened(fault).troubled


def test_who_cannot_be_reached_is_away_for_all_models(breakers):
    for model in ("m", "other", None):
        breakers.failed(model, AWAY, NOW)
    assert blocked_for(breakers, "a third") == 5


def test_a_success_in_between_is_a_new_beginning():
    breakers = opened(BROKEN, 2)
    breakers.succeeded("m", NOW + 1)
    assert not breakers.troubled
    breakers.failed("m", BROKEN, NOW + 2)
    assert breakers.blocks("m", NOW + 2) is None


def test_failures_that_lie_far_apart_are_not_in_a_row(breakers):
    for at_s in (0, 40, 80, 110):
        breakers.failed("m", BROKEN, NOW + at_s)
        assert breakers.blocks("m", NOW + at_s) is None
    breakers.failed("m", BROKEN, NOW + 120)
    assert breakers.blocks("m", NOW + 120) is not None


@pytest.mark.parametrize("fault", [Fault("status", 400, "x"), Fault("status", 404, "x"), Fault("status", 200, "x")])
def test_what_is_no_fault_opens_nothing(fault):
    assert not opened(fault, 9).troubled


@pytest.mark.parametrize("fault", [BUSY, BROKEN, GONE, SILENT])
def test_without_a_model_only_the_channel_can_fail(fault):
    assert not opened(fault, 9, None).troubled


def test_reasons_are_for_people():
    breakers = opened(asked(65))
    assert breakers.blocks("m", NOW) == "429 Too Many Requests, until 14:14:25 UTC"
    breakers.enter("m", NOW + 66)
    assert breakers.blocks("m", NOW + 67) == "429 Too Many Requests, being tried again"


# half-open


def test_after_the_pause_one_request_is_let_through(breakers):
    breakers.failed("m", WRONG_KEY, NOW)
    at_s = NOW + 60
    assert breakers.blocks("m", at_s) is breakers.blocks("other", at_s) is None
    assert breakers.enter("m", at_s) is None
    assert breakers.enter("m", at_s) is not None
    assert breakers.enter("other", at_s + 1) is not None


def test_a_success_closes():
    breakers = opened(WRONG_KEY)
    breakers.enter("m", NOW + 60)
    breakers.succeeded("m", NOW + 61)
    assert not breakers.troubled
    breakers.failed("m", WRONG_KEY, NOW + 62)
    assert blocked_for(breakers, now_s=NOW + 62) == 60


@pytest.mark.parametrize(
    ("fault", "count", "pauses"),
    [
        (WRONG_KEY, 1, [60, 120, 240, 480, 960, 1800, 1800]),
        (GONE, 1, [60, 120, 240]),
        (BROKEN, 3, [5, 10, 20, 40, 80, 160, 300, 300]),
        (asked(7), 1, [7, 7, 7]),
    ],
)
def test_a_failure_opens_for_twice_as_long(fault, count, pauses):
    breakers, at_s, seen = opened(fault, count), NOW, []
    for _ in pauses:
        seen.append(blocked_for(breakers, now_s=at_s))
        at_s += seen[-1]
        assert breakers.enter("m", at_s) is None
        breakers.failed("m", fault, at_s)
    assert seen == pauses


def test_a_request_that_never_tells_is_forgotten():
    breakers = opened(WRONG_KEY)
    breakers.enter("m", NOW + 60)
    assert breakers.wait_s("m", NOW + 61) == PROBE_S - 1
    assert breakers.enter("m", NOW + 60 + PROBE_S - 1) is not None
    assert breakers.enter("m", NOW + 60 + PROBE_S) is None


def test_another_kind_of_failure_lets_the_next_one_look():
    """What the provider's model does says nothing about the credential."""
    breakers = opened(WRONG_KEY)
    breakers.enter("m", NOW + 60)
    breakers.failed("m", BROKEN, NOW + 61)
    assert breakers.enter("m", NOW + 61) is None


def test_what_was_sent_before_proves_nothing():
    breakers = opened(WRONG_KEY)
    breakers.succeeded("m", NOW + 1, NOW - 1)
    assert breakers.blocks("m", NOW + 1) is not None
    for _ in range(50):
        breakers.failed("m", WRONG_KEY, NOW + 1)
    assert blocked_for(breakers) == 60
    breakers.succeeded("m", NOW + 2, NOW + 1)
    assert not breakers.troubled


def test_a_much_longer_pause_counts_at_once():
    breakers = opened(BROKEN, 3)
    breakers.failed("m", asked(100), NOW)
    assert blocked_for(breakers) == 100


# time


@pytest.mark.parametrize("back_s", [10, 3600, 86400 * 3650])
def test_a_clock_that_is_set_back_keeps_nothing_closed(back_s):
    breakers = opened(WRONG_KEY)
    at_s = NOW - back_s
    assert blocked_for(breakers, now_s=at_s) <= 70
    at_s += 70
    assert breakers.enter("m", at_s) is None
    breakers.failed("m", BROKEN, at_s)
    assert breakers.enter("m", at_s) is None
    breakers.succeeded("m", at_s)
    assert not breakers.troubled


def test_nor_does_a_probe():
    breakers = opened(WRONG_KEY)
    breakers.enter("m", NOW + 60)
    assert breakers.enter("m", NOW - 3600) is None


def test_what_nobody_asks_for_is_forgotten():
    breakers = opened(GONE)
    breakers.failed("x", BROKEN, NOW)
    breakers.succeeded("other", NOW + 60 + FORGET_S)
    assert breakers.troubled
    breakers.succeeded("other", NOW + 61 + FORGET_S + 20)
    assert not breakers.troubled


def test_models_that_clients_invent_are_bounded(breakers):
    for number in range(2 * MODELS_LIMIT):
        breakers.failed(f"m{number}", GONE, NOW + number / 1000)
    assert len(breakers.states()) == MODELS_LIMIT
    assert breakers.blocks(f"m{2 * MODELS_LIMIT - 1}", NOW + 1) is not None


# others


def test_others_are_told_and_believe_it(breakers):
    mine = opened(WRONG_KEY)
    mine.failed("m", GONE, NOW)
    breakers.load(mine.states())
    assert breakers.states() == mine.states()
    assert breakers.blocks("m", NOW) == mine.blocks("m", NOW)
    breakers.load([])
    assert not breakers.troubled


def test_what_has_changed_here_is_kept(breakers):
    breakers.failed("mine", GONE, NOW)
    breakers.failed("m", BROKEN, NOW)
    breakers.load([State("theirs", NOW, NOW + 60, 1, "x")], {"mine"})
    assert {state.model for state in breakers.states()} == {"mine", "theirs"}
    breakers.load([], {"theirs"})
    assert {state.model for state in breakers.states()} == {"theirs"}
    breakers.failed("m", BROKEN, NOW)
    breakers.failed("m", BROKEN, NOW)
    assert breakers.blocks("m", NOW) is not None


def test_what_is_known_already_does_not_stop_a_probe():
    breakers = opened(WRONG_KEY)
    breakers.enter("m", NOW + 60)
    breakers.load(breakers.states())
    assert breakers.enter("m", NOW + 61) is not None


def test_changes_are_told(breakers):
    told: list[str] = []
    breakers.changed = told.append
    breakers.failed("m", BROKEN, NOW)
    breakers.succeeded("m", NOW)
    assert told == []
    breakers.failed("m", GONE, NOW)
    breakers.failed("m", GONE, NOW)
    breakers.failed("m", WRONG_KEY, NOW)
    assert told == ["m", ""]
    breakers.succeeded("m", NOW + 70)
    assert told == ["m", "", "", "m"]
    breakers.load([State("", NOW, NOW + 60, 1, "x")])
    assert len(told) == 4


@pytest.mark.parametrize(("model", "left"), [(None, set()), ("", {"m", "n"}), ("m", {"", "n"}), ("x", {"", "m", "n"})])
def test_the_operator_closes_them(breakers, model, left):
    breakers.load([State(name, NOW, NOW + 60, 1, "x") for name in ("", "m", "n")])
    breakers.reset(model)
    assert {state.model for state in breakers.states()} == left
    assert breakers.troubled == bool(left)


class Life(RuleBasedStateMachine):
    """Any life of breakers: what must be so whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.breakers = Breakers()
        self.now_s = NOW
        self.latest_s = NOW
        self.told: set[str] = set()
        self.breakers.changed = self.told.add

    models = st.sampled_from(["m", "n", None])
    faults = st.sampled_from([WRONG_KEY, BUSY, BROKEN, AWAY, SILENT, GONE, EMPTY, asked(2), asked(5000)])

    @rule(seconds=st.sampled_from([0.001, 1, 5, 30, 61, 400, 2000, 7200]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(seconds=st.sampled_from([1, 100, 10_000]))
    def set_the_clock_back(self, seconds: float) -> None:
        self.now_s -= seconds

    @rule(model=models, fault=faults, count=st.integers(1, 4))
    def fail(self, model: str | None, fault: Fault, count: int) -> None:
        for _ in range(count):
            self.breakers.failed(model, fault, self.now_s)

    @rule(model=models)
    def send(self, model: str | None) -> None:
        before = self.breakers.blocks(model, self.now_s)
        assert (self.breakers.enter(model, self.now_s) is None) == (before is None)
        half_open = {state.model for state in self.breakers.states()} & {"", model}
        if before is None and half_open:
            assert self.breakers.enter(model, self.now_s) is not None

    @rule(model=models)
    def succeed(self, model: str | None) -> None:
        self.breakers.succeeded(model, self.now_s)
        assert self.breakers.blocks(model, self.now_s) is None
        assert not {state.model for state in self.breakers.states()} & {"", model}

    @rule()
    def tell_another(self) -> None:
        another = Breakers()
        another.load(self.breakers.states())
        assert another.states() == self.breakers.states()
        for state in another.states():
            assert another.wait_s(state.model or None, self.now_s) <= self.breakers.wait_s(state.model or None, self.now_s)

    @precondition(lambda self: self.breakers.troubled)
    @rule()
    def reset(self) -> None:
        self.breakers.reset()
        assert not self.breakers.troubled

    @invariant()
    def whoever_waits_long_enough_is_let_through(self) -> None:
        for model in ("m", "n", None):
            assert self.breakers.blocks(model, self.now_s + 1800 + PROBE_S + 5) is None
            wait_s = self.breakers.wait_s(model, self.now_s)
            assert 0 <= wait_s <= 1805
            assert (wait_s > 0) == (self.breakers.blocks(model, self.now_s) is not None)

    @invariant()
    def trouble_is_what_there_is_to_see(self) -> None:
        if not self.breakers.troubled:
            assert self.breakers.states() == []
        assert all(state.until_s > state.at_s and state.reason for state in self.breakers.states())

    @invariant()
    def what_is_open_was_told(self) -> None:
        assert {state.model for state in self.breakers.states()} <= self.told


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
