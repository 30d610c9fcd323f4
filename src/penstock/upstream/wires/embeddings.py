"""Embeddings: /v1/embeddings."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks, estimate
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.typed import TypedMeter
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire


class EmbeddingsWire(JsonWire):
    """POST /v1/embeddings: input only, not streamed by OpenAI."""

    name: ClassVar[str] = "embeddings"
    paths: ClassVar[tuple[str, ...]] = ("/v1/embeddings",)

    def peek(self, body: bytes) -> Ask:
        """Learn the facts."""
        fields = asks.read_fields(self.fields, body)
        return Ask(model=asks.model_of(fields.model), output_cap=0, input_size=asks.text_size(body))

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader, should a vendor stream them after all."""
        return TypedMeter(ask)

    def guess(self, ask: Ask, answer_bytes: int) -> Usage:
        """The input, by its size."""
        return Usage(input_tokens=estimate.input_tokens(ask))


WIRE: Wire = EmbeddingsWire()
