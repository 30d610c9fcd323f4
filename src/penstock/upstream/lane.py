"""A lane: one way in which a request can be served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.upstream.bridges.bridge import Bridge
    from penstock.upstream.channel import Channel
    from penstock.upstream.errands.errand import Errand


@dataclass(frozen=True)
class Lane:
    """One way to serve a request: a channel, the model's names, and what is between the client's wire and the channel's."""

    channel: Channel
    model: str | None
    """The public name, which is priced and recorded."""
    served: str | None
    """The provider's name, which its breakers go by."""
    bridge: Bridge | None = None
    errand: Errand | None = None

    @property
    def direct(self) -> bool:
        """The channel speaks the client's wire itself: among equals it comes first."""
        return self.bridge is None and self.errand is None
