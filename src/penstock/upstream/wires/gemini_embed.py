"""Gemini's embeddings: `/v1beta/models/NAME:embedContent` and `:batchEmbedContents`."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.usage import Usage
from penstock.upstream.wires import estimate, gemini_usage
from penstock.upstream.wires.addressed import AddressedWire, renamed_within
from penstock.upstream.wires.gemini import GeminiMeter
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire


class GeminiEmbedWire(AddressedWire):
    """POST `:embedContent` and `:batchEmbedContents`: input only. Google mostly does not say how much there was: it is estimated then."""

    name: ClassVar[str] = "gemini_embed"
    methods: ClassVar[tuple[str, ...]] = ("embedContent", "batchEmbedContents")

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body; each request of a batch names the model again."""
        if model is None or model == ask.model or b'"model' not in body:
            return body
        body = super().prepare(body, ask, model)
        return renamed_within(body, "requests", model) if b'"requests"' in body else body

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader, should they be streamed after all."""
        return GeminiMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of an answer."""
        answer = gemini_usage.read(body)
        if answer is not None and answer.usage_metadata is not None and answer.usage_metadata.stated:
            return gemini_usage.normalised(answer.usage_metadata), False
        if answer is not None and answer.error:
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True

    def guess(self, ask: Ask, answer_bytes: int) -> Usage:
        """The input, by its size."""
        return Usage(input_tokens=estimate.input_tokens(ask))


WIRE: Wire = GeminiEmbedWire()
