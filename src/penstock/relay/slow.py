"""The slow log: one line for each request that took longer than the operator wants, and never so many that they fill a disk."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from penstock.records.door import PHASES
from penstock.relay.phases import Marks, phases_us

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.upstream.lane import Lane

PER_MINUTE = 30
"""Lines, each of at most some 500 bytes: 20 MB a day for each worker."""
MINUTE_S = 60.0
NAME_LIMIT = 100
_log = logging.getLogger("penstock.slow")


class SlowLog:
    """Logs exchanges that take `slow_s` in all, or so much of Penstock's own time."""

    def __init__(self, slow_s: float) -> None:
        self._slow_ns = int(slow_s * 1e9)
        self._since_s = time.monotonic()
        self._written = 0
        self._left_out = 0

    def counts(self, marks: Marks, overhead_ns: int) -> bool:
        """The exchange was slow."""
        return overhead_ns >= self._slow_ns or marks[-1] - marks[0] >= self._slow_ns

    def tell(self, exchange: Exchange, lane: Lane | None, status: int, outcome: str, marks: Marks, overhead_ns: int) -> None:
        """Write its line: who it was and where its time went, and nothing of what was said. What is too much is counted and told later."""
        now_s = time.monotonic()
        if now_s - self._since_s >= MINUTE_S:
            if self._left_out:
                _log.warning("%d more requests were slow and are not listed", self._left_out)
            self._since_s, self._written, self._left_out = now_s, 0, 0
        if self._written >= PER_MINUTE:
            self._left_out += 1
            return
        self._written += 1
        facts: dict[str, str | int | float] = {
            "request_id": exchange.id,
            "wire": exchange.wire.name,
            "model": repr((lane.model or "")[:NAME_LIMIT]) if lane is not None else "",
            "channel": lane.channel.name if lane is not None else "",
            "status": status,
            "outcome": outcome,
        }
        for phase, us in zip(PHASES, phases_us(marks), strict=False):
            facts[f"{phase}_ms"] = us / 1000
        whole_ms = (marks[-1] - marks[0]) / 1e6
        _log.warning("a slow request: %.1f ms, of which %.3f ms were spent here", whole_ms, overhead_ns / 1e6, extra=facts)
