"""Vendors: where and how each is called. One module each with `PROVIDER`, or one for several with `PROVIDERS`; found by discovery."""

from __future__ import annotations

import importlib
import pkgutil

from penstock.upstream.providers.provider import Provider


def _discover() -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        one = getattr(module, "PROVIDER", None)
        for provider in (one,) if one is not None else getattr(module, "PROVIDERS", ()):
            found[provider.name] = provider
    return found


PROVIDERS: dict[str, Provider] = _discover()
"""Every provider by name."""

__all__ = ["PROVIDERS", "Provider"]
