"""The pulse: one timer that counts and sweeps."""

from __future__ import annotations

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.pulse import Pulse


@given(st.floats(0.001, 4000), st.floats(0.01, 1))
def test_a_limit_is_never_met_early_nor_two_ticks_late(limit_s, every_s):
    pulse = Pulse(every_s)
    ticks = pulse.ticks(limit_s)
    # Stamped anywhere between two ticks, late once the difference is more than `ticks`.
    assert ticks >= 1
    assert ticks * every_s >= limit_s * (1 - 1e-9)
    assert (ticks + 1) * every_s < limit_s + 2 * every_s * (1 + 1e-9)


def test_whole_multiples_are_counted_exactly():
    assert [Pulse(0.25).ticks(limit_s) for limit_s in (0.001, 0.25, 0.5, 10, 600)] == [1, 1, 2, 40, 2400]


async def test_every_sweeper_is_called_at_every_tick_after_it_was_counted():
    pulse, seen, enough = Pulse(0.001), [], asyncio.Event()
    pulse.add(lambda: seen.append(("first", pulse.tick)))
    pulse.add(lambda: seen.append(("second", pulse.tick)))
    pulse.add(lambda: enough.set() if pulse.tick == 3 else None)
    assert pulse.tick == 0
    pulse.start()
    await asyncio.wait_for(enough.wait(), 5)
    pulse.stop()
    assert seen[:6] == [(name, tick) for tick in (1, 2, 3) for name in ("first", "second")]


async def test_nothing_beats_after_stop_even_from_inside_a_sweep():
    pulse, stopped = Pulse(0.001), asyncio.Event()

    def stop() -> None:
        pulse.stop()
        stopped.set()

    pulse.add(stop)
    pulse.start()
    await asyncio.wait_for(stopped.wait(), 5)
    await asyncio.sleep(0.02)
    assert pulse.tick == 1


async def test_stop_before_start_and_twice_does_nothing():
    pulse = Pulse(0.001)
    pulse.stop()
    pulse.start()
    pulse.stop()
    pulse.stop()
    await asyncio.sleep(0.01)
    assert pulse.tick == 0


async def test_a_sweeper_that_fails_does_not_stop_the_beat():
    pulse, enough, failures = Pulse(0.001), asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fails() -> None:
        if pulse.tick == 3:
            enough.set()
        raise ZeroDivisionError

    pulse.add(fails)
    pulse.start()
    await asyncio.wait_for(enough.wait(), 5)
    pulse.stop()
    assert all(isinstance(failure, ZeroDivisionError) for failure in failures)


async def test_what_was_removed_is_not_called_and_may_remove_itself():
    pulse, enough, calls = Pulse(0.001), asyncio.Event(), []

    def once() -> None:
        calls.append(pulse.tick)
        pulse.remove(once)
        pulse.remove(once)

    pulse.add(once)
    pulse.add(lambda: enough.set() if pulse.tick == 3 else None)
    pulse.start()
    await asyncio.wait_for(enough.wait(), 5)
    pulse.stop()
    assert calls == [1]


async def test_a_tick_knows_how_late_it_is():
    pulse, late = Pulse(0.005), asyncio.Event()
    pulse.add(lambda: late.set() if pulse.late_us >= 50_000 else None)
    pulse.start()
    await asyncio.sleep(0.02)
    time.sleep(0.08)  # noqa: ASYNC251  what is to be noticed
    await asyncio.wait_for(late.wait(), 5)
    pulse.stop()
