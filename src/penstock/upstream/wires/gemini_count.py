"""Gemini's counting of tokens: `/v1beta/models/NAME:countTokens`. It costs nothing."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.addressed import AddressedWire, renamed_within
from penstock.upstream.wires.free import FreeMeter
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire


class GeminiCountWire(AddressedWire):
    """POST `:countTokens`."""

    name: ClassVar[str] = "gemini_count"
    methods: ClassVar[tuple[str, ...]] = ("countTokens",)

    def peek(self, body: bytes) -> Ask:
        """Nothing but that it is JSON. The input is not measured: nothing is to be held for it."""
        asks.read_fields(self.fields, body)
        return Ask(output_cap=0)

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body; a request of `generateContent` inside it may name the model again."""
        if model is None or model == ask.model or b'"model' not in body:
            return body
        body = super().prepare(body, ask, model)
        return renamed_within(body, "generateContentRequest", model) if b"generateContentRequest" in body else body

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader that counts nothing."""
        return FreeMeter()

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """Nothing."""
        return Usage(calls=0), False


WIRE: Wire = GeminiCountWire()
