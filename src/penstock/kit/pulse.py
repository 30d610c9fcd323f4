"""One timer for everything that can time out: a tick that sweeps, instead of a timer per request or chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil
from time import perf_counter


class Pulse:
    """Counts ticks of `every_s` and calls each sweeper once per tick.

    Things that can time out stamp themselves with `tick` when something happens, which costs one attribute; a sweeper
    compares, `tick - stamp > ticks(limit)`. A limit is therefore never met early, and at most two ticks late.
    """

    def __init__(self, every_s: float = 0.25) -> None:
        self.every_s = every_s
        self.tick = 0
        self.late_us = 0
        """How much later than it was due the last tick came: so long the loop was busy, or the machine. Timers are 1 ms coarse."""
        self._due_s = 0.0
        self._sweepers: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def ticks(self, limit_s: float) -> int:
        """A limit in ticks, at least one."""
        return max(1, ceil(limit_s / self.every_s))

    def add(self, sweeper: Callable[[], None]) -> None:
        """Have `sweeper` called at every tick."""
        self._sweepers.append(sweeper)

    def remove(self, sweeper: Callable[[], None]) -> None:
        """No longer call `sweeper`, which may ask for that itself; harmless for one that was not added."""
        self._sweepers = [each for each in self._sweepers if each != sweeper]

    def start(self) -> None:
        """Start ticking on the running loop."""
        self._due_s = perf_counter() + self.every_s
        self._timer = asyncio.get_running_loop().call_later(self.every_s, self._beat)

    def stop(self) -> None:
        """Stop ticking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.every_s, self._beat)
        now_s = perf_counter()
        self.late_us = max(0, int((now_s - self._due_s) * 1e6))
        self._due_s = now_s + self.every_s
        self.tick += 1
        for sweeper in self._sweepers:
            sweeper()
