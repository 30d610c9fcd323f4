"""Gemini's own protocol: `/v1beta/models/NAME:generateContent` and `:streamGenerateContent`."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.sse import payload, split
from penstock.upstream.dialects.text import clean, event
from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks, gemini_usage
from penstock.upstream.wires.addressed import AddressedWire, method_of
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.gemini_usage import Figures, Grounded
from penstock.upstream.wires.streams import ERROR_MARK, Counting
from penstock.upstream.wires.wire import Ask, Cut, StreamMeter, Verdict, Wire

STREAMING = "streamGenerateContent"
_FINISH = re.compile(rb'"finishReason"[ \t]*+:[ \t]*+"')
_TAIL = 4096


class Bounds(msgspec.Struct, gc=False, rename="camel"):
    """What we read of `generationConfig`."""

    max_output_tokens: Scalar = None
    candidate_count: Scalar = None
    snake_max: Scalar = msgspec.field(default=None, name="max_output_tokens")
    snake_count: Scalar = msgspec.field(default=None, name="candidate_count")


class GeminiFields(msgspec.Struct, gc=False, rename="camel"):
    """What we read of a request. Google takes both spellings of each name."""

    generation_config: Bounds | None = None
    snake_config: Bounds | None = msgspec.field(default=None, name="generation_config")


class Piece(msgspec.Struct, gc=False):
    """What we read of a part."""

    text: Any = None


class Content(msgspec.Struct, gc=False):
    """What we read of what a candidate says."""

    parts: list[Piece] | None = None


class Candidate(Grounded, gc=False, rename="camel"):
    """What we read of a candidate."""

    content: Content | None = None
    finish_reason: Any = None
    index: Any = None


class Feedback(msgspec.Struct, gc=False, rename="camel"):
    """What became of a prompt that was not answered."""

    block_reason: Any = None


class Chunk(msgspec.Struct, gc=False, rename="camel"):
    """What we read of an event."""

    candidates: list[Candidate] | None = None
    usage_metadata: Figures | None = None
    prompt_feedback: Feedback | None = None
    error: Any = None


_CHUNK = Reader(Chunk, key=re.compile(rb'"usageMetadata"[ \t\r\n]*+:'))
_FIELDS = msgspec.json.Decoder(GeminiFields)


class GeminiMeter(Counting):
    """Reads a stream of chunks, each with the usage so far; it is whole when every candidate has a reason to be."""

    marks: tuple[bytes, ...] = (b'"usageMetadata"', b'"finishReason"', ERROR_MARK)
    overhead_bytes: ClassVar[int] = 300

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._figures: Figures | None = None
        self._open: set[object] = set()
        self._searches = 0

    def event(self, event: bytes) -> Verdict:
        """Learn from one event."""
        data = payload(event)
        chunk = _CHUNK.read(data)
        if chunk is None:
            return Verdict.PASS
        if chunk.usage_metadata is not None and chunk.usage_metadata.stated:
            self._figures = chunk.usage_metadata
        if chunk.error:
            self._failed = True
            return Verdict.LAST
        ended = self._ended(chunk, event)
        if chunk.candidates is None and not ended and _FINISH.search(data, max(0, len(data) - _TAIL)):
            self._final = self._figures is not None  # a long event of which only the end could be read
        return Verdict.LAST if ended else Verdict.PASS

    def _ended(self, chunk: Chunk, event: bytes) -> bool:
        if not chunk.candidates:
            ended = chunk.prompt_feedback is not None and bool(chunk.prompt_feedback.block_reason)
            self._final = self._final or (ended and self._figures is not None)
            return ended
        text = []
        for candidate in chunk.candidates:
            index = candidate.index if isinstance(candidate.index, int) else 0
            if candidate.finish_reason:
                self._open.discard(index)
            else:
                self._open.add(index)
            if candidate.content is not None and candidate.content.parts:
                text += [part.text for part in candidate.content.parts if isinstance(part.text, str)]
        self._estimate.read("".join(text), event)
        ended = not self._open
        if ended or any(candidate.grounding_metadata is not None for candidate in chunk.candidates):
            self._searches = max(self._searches, gemini_usage.searches(chunk.candidates, self._ask.model))
        self._final = ended and self._figures is not None
        return ended

    def usage(self) -> tuple[Usage, bool]:
        """The usage so far, and whether it is estimated."""
        if self._figures is not None:
            self._usage = gemini_usage.normalised(self._figures)
            self._usage.web_searches = self._searches
        return super().usage()


class GeminiWire(AddressedWire):
    """POST `:generateContent` and `:streamGenerateContent`. Without `alt=sse` the latter gives a list of chunks: a plain answer."""

    name: ClassVar[str] = "gemini"
    methods: ClassVar[tuple[str, ...]] = ("generateContent", STREAMING)

    def peek(self, body: bytes) -> Ask:
        """What the body says; it names no model."""
        fields = asks.read_fields(_FIELDS, body)
        bounds = fields.generation_config or fields.snake_config or Bounds()
        cap = asks.cap(bounds.max_output_tokens if bounds.snake_max is None else bounds.snake_max)
        count = asks.choices(bounds.candidate_count if bounds.snake_count is None else bounds.snake_count)
        return Ask(output_cap=cap * count if cap is not None else None, input_size=asks.text_size(body))

    def peek_at(self, path: str, query: bytes, body: bytes) -> Ask:
        """Learn the facts."""
        ask = super().peek_at(path, query, body)
        ask.stream = method_of(path) == STREAMING
        return ask

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return GeminiMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of a plain answer."""
        answer = gemini_usage.read(body)
        if answer is not None and answer.usage_metadata is not None and answer.usage_metadata.stated:
            usage = gemini_usage.normalised(answer.usage_metadata)
            usage.web_searches = gemini_usage.searches(answer.candidates, ask.model)
            return usage, False
        if answer is not None and answer.error:
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """A chunk that ends the answer with the reason MAX_TOKENS. The error is in its `finishMessage`."""
        about = _about(cut)
        end = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}
        end["finishMessage"] = f"{error.code}: {clean(error.message)}"
        return event(None, {"candidates": [end], "usageMetadata": gemini_usage.written(cut.usage), **about})


def _about(cut: Cut) -> dict[str, Any]:
    """What the last chunk that was shown, or the first one, says of the answer."""
    for one in (*reversed(split(cut.last)), cut.first):
        try:
            found = msgspec.json.decode(payload(one.rstrip(b"\r\n")))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return {name: found[name] for name in ("modelVersion", "responseId") if isinstance(found.get(name), str)}
    return {}


WIRE: Wire = GeminiWire()
