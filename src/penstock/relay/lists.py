"""Lists of models that were written already: for the same models in the same shape they need not be written again."""

from __future__ import annotations

from typing import Any

from penstock.channels.door import Listed, Roster


class Lists:
    """Bodies, all made from one roster, by what they depend on."""

    def __init__(self) -> None:
        self.of: Roster | None = None
        self.bodies: dict[tuple[Any, ...], bytes] = {}
        self.usable: dict[tuple[Any, ...], list[Listed]] = {}
        """What a caller may ask for: pages of it are cut from this."""
