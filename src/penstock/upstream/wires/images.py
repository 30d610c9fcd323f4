"""Images: /v1/images/generations, edits and variations, as JSON and as forms."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.openai_figures import Answer
from penstock.upstream.wires.openai_usage import Kind, added, normalised
from penstock.upstream.wires.streams import DONE, TOKENS_MARK
from penstock.upstream.wires.typed import QuantityMeter
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire

_COMPLETED = frozenset(("image_generation.completed", "image_edit.completed"))


class ImagesFields(msgspec.Struct, gc=False):
    """What we read of a request."""

    model: Scalar = None
    stream: Scalar = None
    n: Scalar = None


class Image(msgspec.Struct, gc=False):
    """One image; its megabytes are not read."""


class Images(Answer, gc=False):
    """What we read of an answer."""

    data: list[Image] | None = None


_FIELDS = msgspec.json.Decoder(ImagesFields)
_IMAGES = Reader(Images)


class ImagesMeter(QuantityMeter):
    """Reads a stream of partial and completed images. Each completed one states its own usage; the last of `n` ends it."""

    marks: tuple[bytes, ...] = (TOKENS_MARK, b".completed", DONE)
    ends = _COMPLETED
    writes: ClassVar[Kind] = "image"

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._missing = self._quantity.images

    def _take(self, usage: Usage) -> None:
        usage.images = 1
        self._usage = added(self._usage, usage)
        self._usage.calls = 1
        self._final = True

    def _ended(self, *, whole: bool) -> bool:
        self._missing -= whole
        return self._missing <= (0 if whole else 1)


class ImagesWire(JsonWire):
    """POST /v1/images/generations, /v1/images/edits, /v1/images/variations. The model may be left to the provider."""

    name: ClassVar[str] = "images"
    paths: ClassVar[tuple[str, ...]] = ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations")
    accepts_forms: ClassVar[bool] = True
    writes: ClassVar[Kind] = "image"

    def peek(self, body: bytes) -> Ask:
        """Learn the facts from a JSON body."""
        fields = asks.read_fields(_FIELDS, body)
        return Ask(
            model=asks.optional_model(fields.model),
            stream=asks.flag(fields.stream, "stream"),
            input_size=asks.text_size(body),
            quantity=Usage(images=asks.choices(fields.n)),
        )

    def peek_form(self, fields: dict[str, str], size_bytes: int) -> Ask:
        """Learn the facts from a form."""
        return Ask(
            model=asks.optional_model(fields.get("model")),
            stream=asks.form_flag(fields, "stream"),
            input_size=asks.form_size(fields, size_bytes),
            quantity=Usage(images=asks.form_choices(fields)),
        )

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return ImagesMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """Tokens where the answer states them, and the number of images: which of them is charged is for the price to say.

        An answer without tokens is not an estimate, if the images in it can be counted.
        """
        asked = ask.quantity.images if ask.quantity is not None else 1
        answer = _IMAGES.read(body)
        if answer is None:
            return Usage(images=asked), True
        if answer.failed:
            return Usage(calls=0), False
        figures = answer.figures
        usage = normalised(figures, answer.service_tier, writes=self.writes) if figures is not None else Usage()
        usage.images = len(answer.data) if answer.data is not None else asked
        return usage, figures is None and answer.data is None


WIRE: Wire = ImagesWire()
