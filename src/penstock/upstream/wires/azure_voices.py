"""The list of Azure's voices as the platform offers it."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.wires.platform import CallWire
from penstock.upstream.wires.wire import Wire


class AzureVoicesWire(CallWire):
    """GET or POST /api/v1/openapi/azure/voices/v1. The answer is Azure's list."""

    name: ClassVar[str] = "azure_voices"
    paths: ClassVar[tuple[str, ...]] = ("/api/v1/openapi/azure/voices/v1",)
    methods: ClassVar[tuple[str, ...]] = ("GET", "POST")
    model: ClassVar[str] = "azure-voices"


WIRE: Wire = AzureVoicesWire()
