"""What channels of some settings sell, without a gateway that has them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from penstock.catalog.door import official_models
from penstock.channels.configured import channels_from
from penstock.channels.pools import Pools
from penstock.channels.roster import Roster
from penstock.kit.pulse import Pulse
from penstock.settings import Settings


def roster_of(settings: Settings) -> Roster:
    """Everything that can be asked for."""
    return Roster(channels_from(settings, Pools(settings, Pulse()), 1 if settings.demo else None), settings.rewrites, official_models)


def sold_by(settings: Settings) -> Callable[[], Coroutine[Any, Any, Roster]]:
    """The same as a catalog asks for it."""
    roster = roster_of(settings)

    async def sold() -> Roster:
        return roster

    return sold
