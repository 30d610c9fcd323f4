"""Phases: where the time of an exchange went, by the marks that it leaves on the clock as it passes.

A mark is a `perf_counter_ns`: the first byte of the request, its turn on the connection, its body read, the first lane tried, the
request written, the head of the answer, the end of the answer, the charge durable. A phase is what lies between two marks that follow
each other, so phases add up to the whole and none is negative. What was not reached is left out at the end; a head that never came
counts as reached when the answer was given up, since all of that time was spent waiting for it.
"""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.records.door import PHASES

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange

Marks = tuple[int, ...]
"""Nanoseconds, up to one more than there are phases."""
_SHOWN = tuple(f"{name};dur=" for name in PHASES)


def marks_at(exchange: Exchange, now_ns: int) -> Marks:
    """The marks up to now, the phase that is under way ending here."""
    if exchange.marks:
        return exchange.marks if len(exchange.marks) > len(PHASES) else (*exchange.marks, now_ns)
    running = exchange.running
    marks = [exchange.arrived_ns, exchange.turn_ns, exchange.body_ns]
    if running is not None:
        answer = running.answer
        marks += (answer.called_ns, answer.sent_ns, answer.head_ns)
    return (*filter(None, marks), now_ns)


def phases_us(marks: Marks) -> tuple[int, ...]:
    """Microseconds of each phase, rounded down, in the order of `PHASES`, as many as there were."""
    if len(marks) == 8:  # every exchange that was answered: a fifth of the time of the other way
        a, b, c, d, e, f, g, h = marks
        return (b - a) // 1000, (c - b) // 1000, (d - c) // 1000, (e - d) // 1000, (f - e) // 1000, (g - f) // 1000, (h - g) // 1000
    return tuple((after - before) // 1000 for before, after in pairwise(marks))


def timing_line(exchange: Exchange) -> bytes:
    """The header line `server-timing` (W3C), in milliseconds: what is known of an exchange when the head of its answer leaves."""
    marks = marks_at(exchange, perf_counter_ns())
    if exchange.running is not None and exchange.running.answer.head_ns:
        marks = marks[:-1]  # its stream has only begun
    phases = phases_us(marks)
    shown = ", ".join(f"{name}{us / 1000:.3f}" for name, us in zip(_SHOWN, phases, strict=False))
    return b"server-timing: %b\r\n" % shown.encode()
