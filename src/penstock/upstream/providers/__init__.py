"""Vendors: where and how each is called. One module each, found by discovery."""

from __future__ import annotations

import importlib
import pkgutil

from penstock.upstream.providers.provider import Provider


def _discover() -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for module in pkgutil.iter_modules(__path__):
        provider = getattr(importlib.import_module(f"{__name__}.{module.name}"), "PROVIDER", None)
        if provider is not None:
            found[provider.name] = provider
    return found


PROVIDERS: dict[str, Provider] = _discover()
"""Every provider by name."""

__all__ = ["PROVIDERS", "Provider"]
