"""Serper's search as the platform offers it."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.wires.platform import CallWire
from penstock.upstream.wires.wire import Wire


class SerperWire(CallWire):
    """POST /api/v1/openapi/search/serper/v1. The answer is Serper's."""

    name: ClassVar[str] = "serper"
    paths: ClassVar[tuple[str, ...]] = ("/api/v1/openapi/search/serper/v1",)
    model: ClassVar[str] = "serper"


WIRE: Wire = SerperWire()
