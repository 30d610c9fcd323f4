"""Moderations: /v1/moderations. They cost nothing."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.wires.free import FreeWire
from penstock.upstream.wires.wire import Wire


class ModerationsWire(FreeWire):
    """POST /v1/moderations."""

    name: ClassVar[str] = "moderations"
    paths: ClassVar[tuple[str, ...]] = ("/v1/moderations",)


WIRE: Wire = ModerationsWire()
