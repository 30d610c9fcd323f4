"""Free requests: what the wires have in common that cost nothing."""

from __future__ import annotations

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.wire import Ask, StreamMeter, Verdict


class FreeMeter:
    """Counts nothing."""

    marks: tuple[bytes, ...] = ()
    learned = True

    def event(self, event: bytes) -> Verdict:
        """Pass."""
        return Verdict.PASS

    def skip(self, size_bytes: int, events: int) -> None:
        """Count nothing."""

    def usage(self) -> tuple[Usage, bool]:
        """Nothing."""
        return Usage(calls=0), False


class FreeWire(JsonWire):
    """A wire whose requests cost nothing. The model may be left to the provider."""

    def peek(self, body: bytes) -> Ask:
        """Learn the model. The input is not measured: nothing is to be held for it."""
        return Ask(model=asks.optional_model(asks.read_fields(self.fields, body).model), output_cap=0)

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader that counts nothing."""
        return FreeMeter()

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """Nothing."""
        return Usage(calls=0), False
