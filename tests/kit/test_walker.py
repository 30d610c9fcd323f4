"""The walker: a coroutine goes on inside the callback in which what it waits for happens, and can be interrupted anywhere."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.tasks import spawn
from penstock.kit.walker import Signal, Walker


class Left(Exception):
    """An interruption."""


class Ended:
    """Keeps what `ended` was called with."""

    def __init__(self) -> None:
        self.calls: list[BaseException | None] = []

    def __call__(self, error: BaseException | None) -> None:
        self.calls.append(error)


def walk(coroutine):
    ended = Ended()
    walker = Walker(coroutine, ended)
    walker.start()
    return walker, ended


def test_a_signal_resumes_its_walk_before_set_returns():
    signal, seen = Signal(), []

    async def waits():
        seen.append(await signal)

    walker, ended = walk(waits())
    assert (seen, ended.calls, walker.alive) == ([], [], True)
    signal.set("value")
    assert (seen, ended.calls, walker.alive) == (["value"], [None], False)


def test_a_signal_that_has_happened_is_not_waited_for():
    signal, seen = Signal(), []
    signal.set(1)

    async def waits():
        seen.extend([await signal, await signal])

    assert walk(waits())[1].calls == [None]
    assert seen == [1, 1]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (lambda signal: signal.set("first"), lambda signal: signal.set("second")),
        (lambda signal: signal.set("first"), lambda signal: signal.fail(Left())),
        (lambda signal: signal.set("first"), lambda signal: signal.settle(Left())),
    ],
)
def test_what_happened_first_counts(first, then):
    signal, seen = Signal(), []
    first(signal)
    then(signal)

    async def waits():
        seen.append(await signal)

    assert walk(waits())[1].calls == [None]
    assert seen == ["first"]


@pytest.mark.parametrize("fail", [Signal.fail, Signal.settle])
@pytest.mark.parametrize("early", [True, False])
def test_a_failure_is_raised_where_it_is_awaited(fail, early):
    signal, error = Signal(), Left()

    async def waits():
        await signal

    if early:
        fail(signal, error)
        signal.set("too late")
    _, ended = walk(waits())
    if not early:
        fail(signal, error)
    assert ended.calls == [error]


def test_settle_without_an_error_is_set():
    signal, seen = Signal(), []
    signal.settle(None)

    async def waits():
        seen.append(await signal)

    assert walk(waits())[1].calls == [None]
    assert seen == [None]


def test_an_interruption_is_raised_at_once_and_the_walk_may_go_on():
    first, second, seen = Signal(), Signal(), []

    async def waits():
        try:
            await first
        except Left:
            seen.append("left")
        seen.append(await second)

    walker, ended = walk(waits())
    walker.interrupt(Left())
    assert seen == ["left"]
    first.set("stale")
    assert seen == ["left"]
    second.set("done")
    assert (seen, ended.calls) == (["left", "done"], [None])


def test_an_interruption_releases_what_with_blocks_hold():
    signal, seen = Signal(), []

    class Hold:
        def __enter__(self):
            return self

        def __exit__(self, kind, *_):
            seen.append(kind)

    async def waits():
        with Hold():
            await signal

    walker, ended = walk(waits())
    error = Left()
    walker.interrupt(error)
    assert (seen, ended.calls) == ([Left], [error])
    signal.set()
    walker.interrupt(Left())
    assert ended.calls == [error]


def test_an_interruption_from_inside_waits_for_the_next_place_to_wait():
    signal, seen = Signal(), []

    async def waits():
        walker.interrupt(Left())
        seen.append("goes on")
        await signal
        seen.append("never")

    ended = Ended()
    walker = Walker(waits(), ended)
    walker.start()
    assert seen == ["goes on"]
    assert isinstance(ended.calls[0], Left)
    signal.set()
    assert seen == ["goes on"]


def test_an_interruption_of_a_walk_that_never_waits_again_is_dropped():
    async def runs():
        walker.interrupt(Left())

    ended = Ended()
    walker = Walker(runs(), ended)
    walker.start()
    assert ended.calls == [None]


def test_the_same_signal_may_be_awaited_again_after_an_interruption():
    signal, seen = Signal(), []

    async def waits():
        try:
            await signal
        except Left:
            seen.append(await signal)

    walker, ended = walk(waits())
    walker.interrupt(Left())
    signal.set(1)
    assert (seen, ended.calls) == ([1], [None])


def test_a_walk_may_resume_another_from_inside():
    first, second, seen = Signal(), Signal(), []

    async def outer():
        seen.append("before")
        second.set()
        seen.append("after")
        await first

    async def inner():
        await second
        seen.append("inner")

    walk(inner())
    walk(outer())
    assert seen == ["before", "inner", "after"]
    first.set()


def test_what_leaves_the_coroutine_goes_to_ended():
    async def fails():
        raise Left

    _, ended = walk(fails())
    assert [type(call) for call in ended.calls] == [Left]


async def test_futures_and_tasks_may_be_awaited():
    seen = []
    future = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def slow():
        await asyncio.sleep(0)
        return "task"

    async def fails():
        raise Left

    async def waits():
        seen.append(await future)
        seen.append(await spawn(slow(), name="slow"))
        try:
            await asyncio.gather(fails())
        except Left:
            seen.append("failed")

    Walker(waits(), lambda _: ended.set()).start()
    future.set_result("future")
    await asyncio.wait_for(ended.wait(), 5)
    assert seen == ["future", "task", "failed"]


async def test_a_future_that_comes_after_an_interruption_is_ignored():
    loop = asyncio.get_running_loop()
    first, second, seen = loop.create_future(), Signal(), []

    async def waits():
        try:
            await first
        except Left:
            seen.append("left")
        seen.append(await second)

    walker, ended = walk(waits())
    walker.interrupt(Left())
    first.set_result("stale")
    for _ in range(3):
        await asyncio.sleep(0)
    assert seen == ["left"]
    second.set("done")
    assert (seen, ended.calls) == (["left", "done"], [None])


async def test_a_cancelled_future_is_raised_as_such():
    future = asyncio.get_running_loop().create_future()
    ended = asyncio.get_running_loop().create_future()

    async def waits():
        await future

    Walker(waits(), ended.set_result).start()
    future.cancel()
    assert isinstance(await asyncio.wait_for(ended, 5), asyncio.CancelledError)


async def test_what_cannot_be_waited_for_is_an_error_inside_the_coroutine():
    seen = []

    async def waits():
        try:
            await asyncio.sleep(0)
        finally:
            seen.append("cleaned up")

    _, ended = walk(waits())
    assert seen == ["cleaned up"]
    assert isinstance(ended.calls[0], RuntimeError)


@given(st.lists(st.tuples(st.sampled_from(["set", "fail", "interrupt"]), st.integers(0, 3)), max_size=20))
def test_any_order_of_events_ends_a_walk_at_most_once(events):
    """Four signals are awaited in turn; each event moves the walk as a plain model says."""
    signals, log = [Signal() for _ in range(4)], []

    async def waits():
        for number, signal in enumerate(signals):
            try:
                await signal
                log.append((number, "set"))
            except Left as why:
                log.append((number, str(why)))

    walker, ended = walk(waits())
    state: dict[int, str] = {}
    expected: list[tuple[int, str]] = []
    for kind, number in events:
        if kind == "interrupt":
            if len(expected) < 4:
                expected.append((len(expected), "interrupted"))
            walker.interrupt(Left("interrupted"))
        else:
            state.setdefault(number, "set" if kind == "set" else "failed")
            signals[number].set() if kind == "set" else signals[number].fail(Left("failed"))
        while len(expected) < 4 and len(expected) in state:
            expected.append((len(expected), state[len(expected)]))
        assert log == expected
    assert ended.calls == ([None] if len(expected) == 4 else [])
    assert walker.alive == (len(expected) < 4)
    while walker.alive:
        walker.interrupt(Left())
