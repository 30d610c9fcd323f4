"""Workers AI's pictures as they come from Cloudflare: one for each call. Clients do not speak it: an errand makes the calls."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.usage import Usage
from penstock.upstream.wires.images import ImagesWire
from penstock.upstream.wires.wire import Ask, Wire


class WorkersImagesWire(ImagesWire):
    """POST /ai/run/{model}."""

    name: ClassVar[str] = "workers_images"
    paths: ClassVar[tuple[str, ...]] = ()
    accepts_forms: ClassVar[bool] = False

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """One picture, as JSON or as its bytes; nothing where there is no body or an error."""
        if body[:1] == b"{":
            return Usage(images=1) if b'"image"' in body else Usage(calls=0), False
        return Usage(images=1) if body else Usage(calls=0), False


WIRE: Wire = WorkersImagesWire()
