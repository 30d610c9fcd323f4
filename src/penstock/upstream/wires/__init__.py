"""Wires: the protocols we speak, one module each. A module of this package that defines `WIRE` is one.

`MORE` of a module are the same wire at other paths, which mean something else by themselves.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from penstock.upstream.wires.platform import PlatformWire
from penstock.upstream.wires.wire import Wire

_MODULES = [import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__)]
_FOUND: list[Wire] = [module.WIRE for module in _MODULES if hasattr(module, "WIRE")]

WIRES: dict[str, Wire] = {wire.name: wire for wire in _FOUND}
"""Every wire by its name."""

ASKED = tuple(name for name, wire in sorted(WIRES.items()) if wire.paths or wire.addressed or name in {"passthrough", "realtime"})
"""Those that clients ask on; the others are only spoken by providers."""

_EVERYWHERE: list[Wire] = [*_FOUND, *(wire for module in _MODULES for wire in getattr(module, "MORE", ()))]
_BY_PATH = {path: wire for wire in _EVERYWHERE for path in wire.paths}
_PLATFORM = {
    (method, path): wire
    for wire in _EVERYWHERE
    if isinstance(wire, PlatformWire)
    for path in wire.paths
    for method in (*wire.methods, "OPTIONS")
}
_ADDRESSED = tuple(wire for wire in WIRES.values() if wire.addressed)
_OTHER = WIRES["passthrough"]


def wire_for(method: str, path: str) -> Wire:
    """The wire of a request: `path` is normalised, such as "/v1/chat/completions". What no wire claims is `passthrough`."""
    if method != "POST":
        return _OTHER
    found = _BY_PATH.get(path)
    if found is None and ":" in path:
        found = next((wire for wire in _ADDRESSED if wire.claims(path)), None)
    return found or _OTHER


def platform_wire(method: str, path: str) -> Wire | None:
    """The wire of a request to one of the platform's own paths; None for those that are the control plane's."""
    return _PLATFORM.get((method, path))
