"""Flux images as the platform offers them: one path for each model, so the model need not be named."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.asks import Scalar
from penstock.upstream.wires.free import FreeMeter
from penstock.upstream.wires.platform import PlatformWire
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire

PATH = "/api/v1/ai/draw/flux/"
OUTPUTS_LIMIT = 4
MODELS = {
    PATH + "schnell": "flux-schnell",
    PATH + "dev": "flux-dev",
    PATH + "pro": "flux-pro",
    PATH + "pro-11": "flux-11-pro",
    PATH + "pro-ultra-11": "flux-11-pro-ultra",
}
"""The model of each path."""
ALIASES = {
    "flux-1.1-pro": "flux-11-pro",
    "flux-pro-1.1": "flux-11-pro",
    "flux-pro-11": "flux-11-pro",
    "flux-1.1-pro-ultra": "flux-11-pro-ultra",
    "flux-pro-1.1-ultra": "flux-11-pro-ultra",
    "flux-pro-ultra-11": "flux-11-pro-ultra",
}
"""Other names that the same models go by."""


class FluxFields(msgspec.Struct, gc=False):
    """What we read of a request."""

    model: Scalar = None
    num_outputs: Scalar = None


_FIELDS = msgspec.json.Decoder(FluxFields)


def plain_name(model: str) -> str:
    """A Flux model by the name it has here, whichever of its names is given, its owner's before it or not."""
    name = model.removeprefix("black-forest-labs/")
    return ALIASES.get(name, name)


def outputs_of(value: Scalar) -> int:
    """How many images are asked for, bounded; 1 where it makes no sense."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    return min(value, OUTPUTS_LIMIT) if type(value) is int and value > 1 else 1


class FluxWire(PlatformWire):
    """POST /api/v1/ai/draw/flux/...: a class of its own for each path, all of them one wire."""

    name: ClassVar[str] = "flux"
    model: ClassVar[str]

    def peek(self, body: bytes) -> Ask:
        """The model is the path's; another one in the body is refused."""
        fields = asks.read_fields(_FIELDS, body)
        named = asks.optional_model(fields.model)
        if named is not None and plain_name(named) != self.model:
            raise PenstockError("invalid_request", f"This path is for the model {self.model}, not {named}.", param="model")
        outputs = outputs_of(fields.num_outputs) if self.model in {"flux-schnell", "flux-dev"} else 1
        return Ask(model=self.model, output_cap=0, quantity=Usage(images=outputs))

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader that counts nothing: a picture that is not waited for is cancelled, and free."""
        return FreeMeter()


def _at(path: str, model: str) -> Wire:
    kind: type[FluxWire] = type("FluxWire", (FluxWire,), {"paths": (path,), "model": model})
    return kind()


_WIRES = [_at(path, model) for path, model in MODELS.items()]
WIRE: Wire = _WIRES[0]
MORE = _WIRES[1:]
"""The same for the other paths."""
