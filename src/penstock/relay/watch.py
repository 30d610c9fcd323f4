"""The watch: who is told of each exchange that has ended, where somebody wants to know: the log of slow ones, and telemetry.

Without either there is no watch, and an exchange costs one look at that.
"""

from __future__ import annotations

from random import getrandbits
from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.kit.errors import PenstockError
from penstock.relay.exchange import Interruption
from penstock.relay.facts import CLIENT_CLOSED
from penstock.relay.outcome import STOPPED, UPSTREAM_ERROR
from penstock.relay.phases import marks_at
from penstock.relay.slow import SlowLog
from penstock.telemetry.door import CONTENT_LIMIT, Telemetry

if TYPE_CHECKING:
    from penstock.keys.door import Caller
    from penstock.relay.call import Answer
    from penstock.relay.exchange import Exchange
    from penstock.relay.plane import Plane
    from penstock.upstream.usage import Usage
    from penstock.upstream.wires.wire import Ask

GLIMPSE_BYTES = 1024
REFUSED = "refused"
"""How an exchange ended that was not let through."""
_PARENT = b"traceparent: "
_STATE = b"tracestate: "
_STATE_LIMIT = 1024
_NOTHING = (b"", b"")


class Watch:
    """Tells the log of slow exchanges and telemetry, as far as they are there."""

    __slots__ = ("_slow", "telemetry")

    def __init__(self, slow_s: float, telemetry: Telemetry | None) -> None:
        self._slow = SlowLog(slow_s) if slow_s else None
        self.telemetry = telemetry

    def answered(  # noqa: PLR0913, PLR0917  the facts of one exchange, handed over once
        self, exchange: Exchange, caller: Caller, answer: Answer, ask: Ask, outcome: str, usage: Usage, estimated: bool, cost_nano: int,
        overhead_ns: int,
    ) -> None:  # fmt: skip
        """An exchange has been answered, whole or not, and is charged."""
        marks, splice, head = exchange.marks, answer.splice, answer.head
        status = exchange.status or CLIENT_CLOSED
        if self._slow is not None and self._slow.counts(marks, overhead_ns):
            self._slow.tell(exchange, answer.lane, status, outcome, marks, overhead_ns)
        telemetry = self.telemetry
        if telemetry is None:
            return
        opening, closing = splice.glimpse(GLIMPSE_BYTES) if splice is not None else _NOTHING
        content = None
        # What is covered in records is for whole bodies: these are beginnings, in which it cannot be told what is where.
        covered = caller.account_id in exchange.edge.plane.policies.covering
        if telemetry.content and splice is not None and splice.tape is not None and not covered:
            content = (exchange.body or b"")[:CONTENT_LIMIT], b"".join(splice.tape.pieces)[:CONTENT_LIMIT]
        telemetry.put((
            marks, exchange.id, exchange.wire.name, status, outcome, "", caller.key_id, answer.lane,
            (answer.trying_ns, head.status if head is not None else 0, answer.span_id), answer.trials, ask, usage, estimated, cost_nano,
            trace_lines(forward) if _PARENT in (forward := exchange.sifted.forward) else b"", exchange.trace, opening, closing, content,
        ))  # fmt: skip

    def refused(self, exchange: Exchange, error: BaseException) -> None:
        """An exchange has ended without being charged."""
        if isinstance(error, Interruption):
            status, outcome, code = 503 if error.outcome == STOPPED else CLIENT_CLOSED, error.outcome, ""
        elif isinstance(error, PenstockError):
            status, outcome, code = error.status, UPSTREAM_ERROR if error.status >= 500 else REFUSED, error.code
        else:
            status, outcome, code = 500, UPSTREAM_ERROR, "internal_error"
        marks = marks_at(exchange, perf_counter_ns())
        running = exchange.running
        answer = running.answer if running is not None else None
        lane = answer.lane if answer is not None else None
        caller = running.caller if running is not None else exchange.sifted.caller
        if self._slow is not None and self._slow.counts(marks, 0):
            self._slow.tell(exchange, lane, status, outcome, marks, 0)
        if self.telemetry is None:
            return
        trying = (
            (answer.trying_ns, answer.head.status if answer.head is not None else 0, answer.span_id) if answer is not None else (0, 0, 0)
        )
        self.telemetry.put((
            marks, exchange.id, exchange.wire.name, status, outcome, code, caller.key_id if caller is not None else None, lane,
            trying, answer.trials if answer is not None else (), running.ask if running is not None else None, None, False, 0,
            trace_lines(exchange.sifted.forward), exchange.trace, b"", b"", None,
        ))  # fmt: skip

    def told(self, request: bytes, exchange: Exchange, answer: Answer) -> bytes:
        """A request to a provider that says where it stands in the trace: below our span, which is below the client's."""
        telemetry = self.telemetry
        if telemetry is None:
            return request
        if exchange.trace is None:
            exchange.trace = telemetry.place(trace_lines(exchange.sifted.forward))
        answer.span_id = getrandbits(64) or 1
        trace_id, sampled = exchange.trace
        head, _, rest = request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"traceparent:")]
        lines.append(b"traceparent: 00-%032x-%016x-%02x" % (trace_id, answer.span_id, sampled))
        return b"%b\r\n\r\n%b" % (b"\r\n".join(lines), rest)


def watch_of(plane: Plane, telemetry: Telemetry | None) -> Watch | None:
    """The watch that the settings ask for; None where they ask for none."""
    slow_s = plane.settings.slow_s
    return Watch(slow_s, telemetry) if slow_s or telemetry is not None else None


def trace_lines(forward: bytes) -> bytes:
    """Of header lines those that say where the client's trace stands: nothing, or `traceparent` and `tracestate`."""
    at = forward.find(_PARENT)
    if at < 0 or (at and forward[at - 1] != 10):
        return b""
    lines = forward[at : forward.find(b"\r\n", at) + 2]
    at = forward.find(_STATE)
    if at < 0 or (at and forward[at - 1] != 10):
        return lines
    end = forward.find(b"\r\n", at) + 2
    return lines + forward[at:end] if end - at <= _STATE_LIMIT else lines
