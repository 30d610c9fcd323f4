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

    __slots__ = ("_error", "_value", "_walker", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._walker: Walker | None = None

    def set(self, value: Any = None) -> None:
        """Let it have happened, with a value. The first call counts."""
        if self.done:
            return
        self.done = True
        self._value = value
        if (walker := self._walker) is not None:
            self._walker = None
            walker.resume(self)

    def fail(self, error: BaseException) -> None:
        """Let it have failed: `error` is raised where it is awaited. The first call counts."""
        self._error = error
        self.set()

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value


class Walker:
    """Drives one coroutine. `ended` is called once, with the exception that left it or None."""

    __slots__ = ("_coroutine", "_ended", "_interruption", "_waiting", "running")

    def __init__(self, coroutine: Coroutine[Any, Any, None], ended: Callable[[BaseException | None], None]) -> None:
        self._coroutine: Coroutine[Any, Any, None] | None = coroutine
        self._ended = ended
        self._waiting: Any = None
        self._interruption: BaseException | None = None
        self.running = False

    @property
    def alive(self) -> bool:
        """The coroutine has not ended."""
        return self._coroutine is not None

    def start(self) -> None:
        """Run to the first thing that must be waited for."""
        self._step(None)

    def resume(self, signal: Any) -> None:
        """Go on after `signal` happened; a signal that is no longer waited for is ignored."""
        if signal is self._waiting:
            self._waiting = None
            self._step(None)

    def interrupt(self, error: BaseException) -> None:
        """Raise `error` where the coroutine waits; if it is running, at the next place where it waits."""
        if self._coroutine is None:
            return
        if self.running:
            self._interruption = error
            return
        self._waiting = None
        self._step(error)

    def _step(self, error: BaseException | None) -> None:
        coroutine = self._coroutine
        if coroutine is None:
            return
        self.running = True
        try:
            while True:
                waited = coroutine.send(None) if error is None else coroutine.throw(error)
                if self._interruption is not None:
                    error, self._interruption = self._interruption, None
                    continue
                self._waiting = waited
                if type(waited) is Signal:
                    waited._walker = self  # noqa: SLF001  the two halves of one mechanism
                else:
                    # The protocol of asyncio.Future with whoever awaits it.
                    waited._asyncio_future_blocking = False  # noqa: SLF001
                    waited.add_done_callback(self.resume)
                return
        except StopIteration:
            self._coroutine = None
            self._ended(None)
        except BaseException as exc:  # noqa: BLE001  handed to `ended`, the edge of this coroutine
            self._coroutine = None
            self._ended(exc)
        finally:
            self.running = False
