"""ND images as the platform offers them. Answers have the shape of OpenAI's."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.flux import outputs_of
from penstock.upstream.wires.platform import PlatformWire
from penstock.upstream.wires.wire import Ask, Wire

MODEL = "nd-imagine-v3"
"""What is meant where no model is named."""


class NdFields(msgspec.Struct, gc=False):
    """What we read of a request."""

    model: Scalar = None
    n: Scalar = None


_FIELDS = msgspec.json.Decoder(NdFields)


class NdWire(PlatformWire):
    """POST /api/v1/ai/draw/nd/imagine."""

    name: ClassVar[str] = "nd"
    paths: ClassVar[tuple[str, ...]] = ("/api/v1/ai/draw/nd/imagine",)

    def peek(self, body: bytes) -> Ask:
        """The model, and how many images are asked for."""
        fields = asks.read_fields(_FIELDS, body)
        return Ask(model=asks.optional_model(fields.model) or MODEL, output_cap=0, quantity=Usage(images=outputs_of(fields.n)))


WIRE: Wire = NdWire()
