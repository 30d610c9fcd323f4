"""The sender: takes what the relay has seen without keeping it waiting, and has threads of its own tell the collector.

One thread counts and makes the spans, another sends them, so that a collector that is slow or away delays nothing and loses no
count. Both queues are bounded; what does not fit is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from importlib.util import find_spec
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from penstock.settings import Settings
from penstock.telemetry.seen import Seen, Trace

if TYPE_CHECKING:
    from penstock.telemetry.otlp import Otlp

QUEUE_LIMIT = 8192
"""Exchanges that wait to be counted, which is done twice a second; some 500 bytes each, and at most 3 KB."""
CONTENT_QUEUE_LIMIT = 256
"""The same where they carry content: at most 8 MB."""
SPANS_LIMIT = 8192
"""Spans that wait to be sent, at most."""
BATCH = 64
"""Spans sent at once: encoding them takes some 4 ms, during which nothing else runs."""
EVERY_S = 0.5
STOP_S = 3.0
"""How long stopping may take altogether, whatever the collector does."""
GIVE_UP_S = 0.2
"""How long an attempt may take to see that it is no longer wanted."""
QUIET_S = 60.0
"""The SDK's complaints are passed on no more often."""
MISSING = "OpenTelemetry is asked for (otel_endpoint) but not installed; install it with: pip install 'penstock[otel]'"
_log = logging.getLogger("penstock.telemetry")


def is_installed() -> bool:
    """The SDK and its exporter are there."""
    try:
        return all(find_spec(name) is not None for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        return False


class Telemetry:
    """Where the relay puts what it has seen. `put` is for the loop's thread and takes well under a microsecond.

    `dropped`: exchanges and spans that did not reach the collector.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: deque[tuple[Any, ...]] = deque()
        self._queue_limit = CONTENT_QUEUE_LIMIT if settings.otel_content else QUEUE_LIMIT
        self._spans: deque[Any] = deque()
        self._sending = 0
        self._overflown = 0
        self._unsent = 0
        self._otlp: Otlp | None = None
        self._stopping = Event()
        self._counted = Event()
        self._threads: list[Thread] = []
        self._end_s = 0.0
        self._closed = False

    @property
    def dropped(self) -> int:
        """Exchanges that found the queue full, and spans that could not be sent."""
        return self._overflown + self._unsent

    @property
    def depth(self) -> int:
        """Exchanges that are not counted yet, and spans that the collector has not taken."""
        return len(self._queue) + len(self._spans) + self._sending

    @property
    def content(self) -> bool:
        """Bodies are wanted too."""
        return self._settings.otel_content

    def put(self, seen: tuple[Any, ...]) -> None:
        """Take the fields of a `Seen`."""
        if len(self._queue) < self._queue_limit:
            self._queue.append(seen)
        else:
            self._overflown += 1

    async def start(self) -> None:
        """Import the SDK and begin."""
        await asyncio.to_thread(self._open)
        for name, target in (("telemetry", self._count_all), ("telemetry sender", self._send_all)):
            thread = Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _late(self) -> bool:
        """The time to stop is over."""
        return self._stopping.is_set() and time.monotonic() > self._end_s

    async def stop(self) -> None:
        """Send what waits, as far as the collector takes it in a few seconds, and end."""
        await asyncio.to_thread(self._close)

    def place(self, forward: bytes) -> Trace:
        """For an exchange whose provider is told: its place in the client's trace, or in a new one."""
        assert self._otlp is not None  # noqa: S101  the relay asks once it has started
        return self._otlp.place(forward)

    def _open(self) -> None:
        from penstock.telemetry.otlp import Otlp  # noqa: PLC0415  the SDK takes 50 ms and 15 MB, and most do without

        logger = logging.getLogger("opentelemetry")
        if not any(isinstance(handler, _Complaints) for handler in logger.handlers):
            logger.addHandler(_Complaints())
        logger.propagate = False
        self._otlp = Otlp(self._settings)

    def _close(self) -> None:
        end_s = self._end_s = time.monotonic() + STOP_S
        self._stopping.set()
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        if self._otlp is not None:
            self._otlp.close(max(0.2, end_s - time.monotonic()))
        for thread in self._threads:
            thread.join(GIVE_UP_S)
        self._closed = True
        if self.depth:
            _log.warning("%d spans were dropped: the collector did not take them before the end", self.depth)
            self._unsent += self.depth
            self._queue.clear()
            self._spans.clear()

    def _count_all(self) -> None:
        """The first thread: counts, and makes the spans."""
        last = False
        while not last:
            last = self._stopping.wait(EVERY_S)
            self._count()
        self._counted.set()

    def _count(self) -> None:
        otlp = self._otlp
        assert otlp is not None  # noqa: S101  it has started
        offset_ns = time.time_ns() - time.perf_counter_ns()
        failed: Exception | None = None
        while self._queue:
            spans = []
            try:
                spans = otlp.take(Seen(*self._queue[0]), offset_ns)
            except Exception as failure:  # noqa: BLE001  the edge of this thread, which goes on
                failed = failure
                self._unsent += 1
            if len(self._spans) + len(spans) <= SPANS_LIMIT:
                self._spans.extend(spans)
            else:
                self._unsent += len(spans)
            self._queue.popleft()
            time.sleep(0)  # the loop's thread may want to go on
        if failed is not None:
            _log.error("what was seen cannot be told", exc_info=failed)

    def _send_all(self) -> None:
        """The second thread: sends."""
        last = False
        while not last:
            last = self._counted.wait(EVERY_S)
            while self._spans and not self._late():
                self._sending = min(BATCH, len(self._spans))
                batch = [self._spans.popleft() for _ in range(self._sending)]
                if self._otlp is None or not self._otlp.send(batch):
                    self._unsent += 0 if self._closed else len(batch)
                self._sending = 0


class _Complaints(logging.Handler):
    """What the SDK says of a collector that is away, once in a while: it says so with every attempt."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said_s = -QUIET_S
        self._saying = Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on as our own, unless one was a minute ago."""
        with self._saying:
            if time.monotonic() - self._said_s < QUIET_S:
                return
            self._said_s = time.monotonic()
        _log.warning("%s", record.getMessage()[:300])
