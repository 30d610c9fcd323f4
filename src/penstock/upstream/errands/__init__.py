"""Errands: answers that take several calls to a provider. One module each with `ERRANDS`, found by discovery."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from penstock.upstream.errands.errand import Errand


def _every() -> dict[tuple[str, str], Errand]:
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    return {(errand.source, errand.target): errand for module in modules for errand in getattr(module, "ERRANDS", ())}


ERRANDS: dict[tuple[str, str], Errand] = _every()
"""Every errand by the client's wire and what the provider speaks."""
