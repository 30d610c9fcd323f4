"""Typed events: the streams of OpenAI's whose events have a `type`, and whose last one brings the usage at its top level."""

from __future__ import annotations

from typing import Any, ClassVar

from penstock.kit.sse import payload
from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.openai_figures import Answer
from penstock.upstream.wires.openai_usage import Kind, normalised
from penstock.upstream.wires.streams import DONE, TOKENS_MARK, Counting, named
from penstock.upstream.wires.wire import Ask, Verdict


class TypedEvent(Answer, gc=False):
    """What we read of an event."""

    type: str = ""
    delta: Any = None
    response: Answer | None = None


_EVENT = Reader(TypedEvent, b"{", b'{"response":{')


class TypedMeter(Counting):
    """Reads a stream that ends with one of the types `ends`, or with `[DONE]`."""

    marks: tuple[bytes, ...] = (TOKENS_MARK, DONE)
    ends: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[Kind] = "text"
    writes: ClassVar[Kind] = "text"
    overhead_bytes: ClassVar[int] = 120

    def event(self, event: bytes) -> Verdict:
        """Learn from one event."""
        data = payload(event)
        if data.startswith(DONE):
            return Verdict.LAST
        found = _EVENT.read(data)
        kind = named(event, data) if found is None or not found.type else found.type
        if found is not None:
            if isinstance(found.delta, str):
                self._estimate.read(found.delta, event)
            answer = found.response or found
            figures = answer.figures
            if figures is not None:
                self._take(normalised(figures, answer.service_tier, reads=self.reads, writes=self.writes))
            self._failed = self._failed or bool(found.error) or kind == "error"
        return Verdict.LAST if kind in self.ends and self._ended(whole=found is not None) else Verdict.PASS

    def _take(self, usage: Usage) -> None:
        self._usage, self._final = usage, True

    def _ended(self, *, whole: bool) -> bool:
        """Whether the stream is complete with an event of one of the types `ends`, of which perhaps only the beginning is known."""
        return True


class QuantityMeter(TypedMeter):
    """A `TypedMeter` of something that is also charged by a quantity that was known beforehand."""

    @property
    def learned(self) -> bool:
        """Always: sizes say nothing here."""
        return True

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._quantity = ask.quantity if ask.quantity is not None else Usage()

    def _guess(self) -> Usage:
        return self._quantity
