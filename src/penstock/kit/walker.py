"""A coroutine stepped by the events it waits for, without a task or a turn of the event loop in between.

A request's walk waits for three or four things: a head, an end, a durable charge. As an `asyncio.Task` each of
them costs a future, a handle and a turn of the loop. A `Walker` is resumed inside the very callback in which the event
happened, and an interruption (the client left) is an exception raised at the place where the walk waits, at once.
Futures of asyncio may be awaited too; only then is a turn of the loop spent.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Signal:
    """Something that happens once. One walk may await it; setting it resumes that walk before `set` returns."""

    __slots__ = ("_error", "_walker", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self._error: BaseException | None = None
        self._walker: Walker | None = None

    def set(self, value: Any = None) -> None:
        """Let it have happened, with a value. The first call counts."""
        if not self.done:
            self.done = True
            self.value = value
            walker = self._walker
            if walker is not None:
                self._walker = None  # or the two would be a cycle, garbage that only the collector can find
                walker.step(None)

    def fail(self, error: BaseException) -> None:
        """Let it have failed: `error` is raised where it is awaited. The first call counts."""
        self.settle(error)

    def settle(self, error: BaseException | None) -> None:
        """`fail` with an error, or `set` without one."""
        if not self.done:
            self._error = error
            self.set()

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self.value


class Walker:
    """Drives one coroutine. `ended` is called once, with the exception that left it or None."""

    __slots__ = ("_coroutine", "_ended", "_interruption", "_running", "_waiting")

    def __init__(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[BaseException | None], None]) -> None:
        self._coroutine: Coroutine[Any, Any, None] | None = coroutine
        self._ended = ended
        self._waiting: Any = None
        self._interruption: BaseException | None = None
        self._running = False

    @property
    def alive(self) -> bool:
        """The coroutine has not ended."""
        return self._coroutine is not None

    def start(self) -> None:
        """Run to the first thing that must be waited for."""
        self.step(None)

    def interrupt(self, error: BaseException) -> None:
        """Raise `error` where the coroutine waits; if it is running, at the next place where it waits."""
        if self._coroutine is None:
            return
        if self._running:
            self._interruption = error
            return
        waiting, self._waiting = self._waiting, None
        if type(waiting) is Signal:
            waiting._walker = None  # noqa: SLF001  what it waited for must not wake it any more
        self.step(error)

    def step(self, error: BaseException | None) -> None:
        """Go on, or with an error go on by raising it, to the next thing that must be waited for."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        self._running = True
        try:
            waited = coroutine.send(None) if error is None else coroutine.throw(error)
            while self._interruption is not None:
                error, self._interruption = self._interruption, None
                waited = coroutine.throw(error)
        except StopIteration:
            self._coroutine = None
            self._ended(None)
            return
        except BaseException as exc:  # noqa: BLE001  handed to `ended`, the edge of this coroutine
            self._coroutine = None
            self._ended(exc)
            return
        self._running = False
        self._waiting = waited
        if type(waited) is Signal:
            waited._walker = self  # noqa: SLF001  the two halves of one mechanism
        elif getattr(waited, "_asyncio_future_blocking", False):
            waited._asyncio_future_blocking = False  # noqa: SLF001  how asyncio.Future and whoever awaits it understand each other
            waited.add_done_callback(self._woken)
        else:
            self.step(RuntimeError(f"a walk cannot wait for {waited!r}"))

    def _woken(self, future: Any) -> None:
        """A future is done; one that is no longer waited for is ignored."""
        if future is self._waiting:
            self._waiting = None
            self.step(None)
