"""Bridges: any client's wire to any channel's. Found by discovery: packages with a `SIDE`, modules with `BRIDGES` of their own."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from penstock.upstream.bridges.between import Between
from penstock.upstream.bridges.bridge import Bridge
from penstock.upstream.bridges.side import Side

_MODULES = [import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__)]

SIDES: dict[str, Side] = {module.SIDE.wire: module.SIDE for module in _MODULES if hasattr(module, "SIDE")}
"""Every side by its wire."""


def _every() -> dict[tuple[str, str], Bridge]:
    found: dict[tuple[str, str], Bridge] = {
        (source.wire, target.wire): Between(source, target)
        for source in SIDES.values()
        for target in SIDES.values()
        if source is not target
    }
    for module in _MODULES:
        for bridge in getattr(module, "BRIDGES", ()):
            found[bridge.source, bridge.target] = bridge
    return found


BRIDGES: dict[tuple[str, str], Bridge] = _every()
"""Every bridge by the client's wire and the channel's."""

RESPELLINGS: dict[str, Bridge] = {name: Between(SIDES[name], SIDES[name]) for name in ("chat",)}
"""From a wire to itself, for requests that say in another wire's way what it has its own way for (`Ask.respelled`)."""
