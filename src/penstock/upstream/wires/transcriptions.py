"""Transcriptions and translations of sound: /v1/audio/transcriptions, /v1/audio/translations."""

from __future__ import annotations

import math
from typing import ClassVar

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.answers import COUNT_LIMIT, Reader
from penstock.upstream.wires.asks import MEDIA_DISCOUNT
from penstock.upstream.wires.estimate import BYTES_PER_TOKEN
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.openai_figures import Answer
from penstock.upstream.wires.openai_usage import Kind, normalised
from penstock.upstream.wires.streams import DONE, TOKENS_MARK
from penstock.upstream.wires.typed import TypedMeter
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire

_BYTES_PER_SECOND = 16_000
"""Sound as people upload it: MP3 at 128 kbit/s, or WAV of half that quality."""
_TOKENS_PER_SECOND = 10


class Transcript(Answer, gc=False):
    """What we read of an answer. `duration` is in seconds; models charged by the second have stated it there."""

    duration: float | None = None


_TRANSCRIPT = Reader(Transcript)


def guessed(ask: Ask, answer_bytes: int) -> Usage:
    """Seconds of sound from the size of the upload, tokens from these and from the size of the text.

    A model is charged by one or the other; the price has rates for only one.
    """
    seconds = max(1, ask.input_size * MEDIA_DISCOUNT // _BYTES_PER_SECOND)
    return Usage(
        audio_seconds=seconds,
        input_audio_tokens=seconds * _TOKENS_PER_SECOND,
        output_tokens=-(-answer_bytes // BYTES_PER_TOKEN),
    )


class TranscriptionsMeter(TypedMeter):
    """Reads a stream of pieces of text, then the usage."""

    marks: tuple[bytes, ...] = (TOKENS_MARK, b"transcript.text.done", DONE)
    ends = frozenset(("transcript.text.done",))
    reads: ClassVar[Kind] = "audio"
    overhead_bytes: ClassVar[int] = 60

    def _guess(self) -> Usage:
        return guessed(self._ask, self._estimate.output_tokens() * BYTES_PER_TOKEN)


class TranscriptionsWire(JsonWire):
    """POST /v1/audio/transcriptions, /v1/audio/translations: a form with a file; JSON is what some vendors take as well."""

    name: ClassVar[str] = "transcriptions"
    paths: ClassVar[tuple[str, ...]] = ("/v1/audio/transcriptions", "/v1/audio/translations")
    accepts_forms: ClassVar[bool] = True
    reads: ClassVar[Kind] = "audio"

    def peek_form(self, fields: dict[str, str], size_bytes: int) -> Ask:
        """Learn the facts from a form."""
        return Ask(
            model=asks.model_of(fields.get("model")),
            stream=asks.form_flag(fields, "stream"),
            input_size=asks.form_size(fields, size_bytes),
        )

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return TranscriptionsMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """Tokens or seconds, whichever the answer states. Plain text and subtitles state neither."""
        answer = _TRANSCRIPT.read(body)
        if answer is None:
            return guessed(ask, len(body)), True
        if answer.failed:
            return Usage(calls=0), False
        figures = answer.figures
        usage = normalised(figures, answer.service_tier, reads=self.reads) if figures is not None else Usage()
        if not usage.audio_seconds and answer.duration is not None and 0 < answer.duration < math.inf:
            usage.audio_seconds = min(math.ceil(answer.duration), COUNT_LIMIT)
        return (usage, False) if figures is not None or usage.audio_seconds else (guessed(ask, len(body)), True)


WIRE: Wire = TranscriptionsWire()
