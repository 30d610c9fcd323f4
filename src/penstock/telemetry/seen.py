"""What the relay has seen of one exchange: a few references to what is there anyway, and no body."""

from __future__ import annotations

from typing import NamedTuple

from penstock.upstream.lane import Lane
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask


class Trial(NamedTuple):
    """A lane that was tried in vain: from when to when, the status it has answered with or 0, and what was wrong."""

    lane: Lane
    began_ns: int
    ended_ns: int
    status: int
    reason: str
    span_id: int = 0
    """What the provider was told, where it was told."""


class Trace(NamedTuple):
    """Where an exchange stands in a trace that its provider is told of."""

    trace_id: int
    sampled: bool


class Seen(NamedTuple):
    """One exchange that has ended. The relay makes a plain tuple of these, in this order, which takes a fifth of the time."""

    marks: tuple[int, ...]
    """Of `relay/phases.py`, on the clock of `perf_counter_ns`."""
    id: str
    wire: str
    status: int
    outcome: str
    code: str
    """Of the error that the client was shown, where it is one of ours."""
    key_id: str | None
    lane: Lane | None
    """Which has answered, or was tried last; None where none was."""
    trying: tuple[int, int, int]
    """When it was tried, the status it has answered with or 0, and its span's id where the provider was told."""
    trials: tuple[Trial, ...]
    """Those before."""
    ask: Ask | None
    usage: Usage | None
    estimated: bool
    cost_nano: int
    forward: bytes
    """The header lines `traceparent` and `tracestate` of the client, or nothing."""
    trace: Trace | None
    opening: bytes
    """The beginning of the provider's answer, as far as it is kept, 1 KB of it."""
    closing: bytes
    """Its end. Of a short answer both are the whole."""
    content: tuple[bytes, bytes] | None = None
    """The beginnings of both bodies, where content is asked for."""
