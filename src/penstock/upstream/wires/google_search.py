"""Google's Custom Search as the platform offers it: all that is asked stands in the query."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.wires.platform import CallWire
from penstock.upstream.wires.wire import Wire


class GoogleSearchWire(CallWire):
    """GET /api/v1/openapi/search/google-search/v1. The answer is Google's."""

    name: ClassVar[str] = "google_search"
    paths: ClassVar[tuple[str, ...]] = ("/api/v1/openapi/search/google-search/v1",)
    methods: ClassVar[tuple[str, ...]] = ("GET",)
    model: ClassVar[str] = "google-search"


WIRE: Wire = GoogleSearchWire()
