"""Anthropic's old text completions: /v1/complete. Answers never state usage."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.sse import payload
from penstock.upstream.dialects import anthropic
from penstock.upstream.usage import Usage
from penstock.upstream.wires import endings
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.fields import Fields
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.streams import DONE, ERROR_MARK, Counting, named
from penstock.upstream.wires.wire import Ask, Cut, Dialect, StreamMeter, Verdict, Wire


class CompleteFields(Fields, gc=False):
    """What we read of a request."""

    cap: Scalar = msgspec.field(default=None, name="max_tokens_to_sample")


class Completion(msgspec.Struct, gc=False):
    """What we read of an answer, and of an event."""

    type: str = ""
    completion: Any = None
    stop_reason: Any = None
    error: Any = None


_COMPLETION = Reader(Completion)


class CompleteMeter(Counting):
    """Reads a stream of pieces, of which the last gives a reason to stop. The usage is always an estimate."""

    marks: tuple[bytes, ...] = (b'"stop_reason":"', b'"stop_reason": "', ERROR_MARK, DONE)
    overhead_bytes: ClassVar[int] = 160

    def event(self, event: bytes) -> Verdict:
        """Learn from one event."""
        data = payload(event)
        if data.startswith(DONE):
            return Verdict.LAST
        found = _COMPLETION.read(data)
        if found is None:
            return Verdict.LAST if named(event, data) == "error" else Verdict.PASS
        if isinstance(found.completion, str):
            self._estimate.read(found.completion, event)
        if found.type == "error" or found.error:
            self._failed = True
            return Verdict.LAST
        return Verdict.LAST if found.stop_reason else Verdict.PASS


class CompleteWire(JsonWire):
    """POST /v1/complete."""

    name: ClassVar[str] = "complete"
    dialect: Dialect = anthropic.DIALECT
    paths: ClassVar[tuple[str, ...]] = ("/v1/complete",)
    fields = msgspec.json.Decoder(CompleteFields)

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return CompleteMeter(ask)

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """The last piece, as if a bound on the output had been reached."""
        return endings.of_complete(error, cut)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of a whole answer, by its size."""
        found = _COMPLETION.read(body)
        if found is not None and (found.type == "error" or found.error):
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True


WIRE: Wire = CompleteWire()
