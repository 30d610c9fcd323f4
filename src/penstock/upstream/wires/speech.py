"""Speech: /v1/audio/speech, as JSON and as forms."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import ClassVar

import msgspec

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.estimate import BYTES_PER_TOKEN
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.openai_usage import Kind, normalised
from penstock.upstream.wires.streams import DONE, TOKENS_MARK
from penstock.upstream.wires.typed import QuantityMeter
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire

_BY_TOKEN = ("gpt-", "gemini-")
"""Voices charged by the token; others are charged by the character, which is exact."""
_AUDIO_TOKENS_PER_100_CHARACTERS = 140
"""Fifteen characters are a second of speech, which OpenAI counts as 21 tokens."""


class SpeechFields(msgspec.Struct, gc=False):
    """What we read of a request."""

    model: Scalar = None
    input: Scalar = None
    stream_format: Scalar = None


_FIELDS = msgspec.json.Decoder(SpeechFields)


class SpeechMeter(QuantityMeter):
    """Reads `stream_format: sse`: pieces of sound, then the usage in tokens."""

    marks: tuple[bytes, ...] = (TOKENS_MARK, b"speech.audio.done", DONE)
    ends = frozenset(("speech.audio.done",))
    writes: ClassVar[Kind] = "audio"

    def _take(self, usage: Usage) -> None:
        usage.characters = self._quantity.characters
        super()._take(usage)


def _ask(model: str, text: Scalar, stream: bool, size_bytes: int) -> Ask:
    characters = len(text) if isinstance(text, str) else 0
    quantity = Usage(characters=characters)
    if model.startswith(_BY_TOKEN):
        quantity.input_tokens = -(-characters // BYTES_PER_TOKEN)
        quantity.output_audio_tokens = -(-characters * _AUDIO_TOKENS_PER_100_CHARACTERS // 100)
    return Ask(model=model, stream=stream, input_size=size_bytes, quantity=quantity)


class SpeechWire(JsonWire):
    """POST /v1/audio/speech. The answer is sound and says nothing of usage, so the characters of the input are counted."""

    name: ClassVar[str] = "speech"
    paths: ClassVar[tuple[str, ...]] = ("/v1/audio/speech",)
    accepts_forms: ClassVar[bool] = True
    forms_as_json: ClassVar[bool] = True
    writes: ClassVar[Kind] = "audio"

    def peek(self, body: bytes) -> Ask:
        """Learn the facts from a JSON body."""
        fields = asks.read_fields(_FIELDS, body)
        return _ask(asks.model_of(fields.model), fields.input, fields.stream_format == "sse", len(body))

    def peek_form(self, fields: dict[str, str], size_bytes: int) -> Ask:
        """Learn the facts from a form."""
        model = asks.model_of(fields.get("model"))
        return _ask(model, fields.get("input"), fields.get("stream_format") == "sse", asks.form_size(fields, size_bytes))

    def from_form(self, fields: dict[str, str]) -> bytes:
        """The same as JSON, which is all that OpenAI takes: `speed` becomes a number."""
        body: dict[str, str | float] = dict(fields)
        with suppress(ValueError):
            speed = float(fields.get("speed", ""))
            body["speed"] = speed if math.isfinite(speed) else fields["speed"]
        return msgspec.json.encode(body)

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return SpeechMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The characters, and for voices charged by the token an estimate, unless the answer is JSON that says more."""
        quantity = ask.quantity if ask.quantity is not None else Usage()
        if body.lstrip()[:1] == b"{":
            answer = self._answer.read(body)
            figures = answer.figures if answer is not None else None
            if answer is not None and figures is not None:
                usage = normalised(figures, answer.service_tier, writes=self.writes)
                usage.characters = quantity.characters
                return usage, False
            if answer is not None and answer.failed:
                return Usage(calls=0), False
        return msgspec.structs.replace(quantity), quantity.output_audio_tokens > 0


WIRE: Wire = SpeechWire()
