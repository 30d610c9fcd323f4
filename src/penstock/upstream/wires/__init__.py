"""Wires: the protocols we speak, one module each. A module of this package that defines `WIRE` is one."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from penstock.upstream.wires.wire import Wire


def _discover() -> dict[str, Wire]:
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    found: list[Wire] = [module.WIRE for module in modules if hasattr(module, "WIRE")]
    return {wire.name: wire for wire in found}


WIRES: dict[str, Wire] = _discover()
"""Every wire by its name."""

_BY_PATH = {path: wire for wire in WIRES.values() for path in wire.paths}
_OTHER = WIRES["passthrough"]


def wire_for(method: str, path: str) -> Wire:
    """The wire of a request: `path` is normalised, such as "/v1/chat/completions". What no wire claims is `passthrough`."""
    return _BY_PATH.get(path, _OTHER) if method == "POST" else _OTHER
