"""Route: from the model that was asked for to the channels that can answer, in the order in which they are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from penstock.catalog.door import Price
from penstock.keys.door import Caller
from penstock.kit.errors import PenstockError
from penstock.relay.exchange import Exchange
from penstock.upstream.channel import Channel
from penstock.upstream.wires.wire import Ask

if TYPE_CHECKING:
    from penstock.relay.plane import Plane

ROUTES_KEPT = 4096
BYTES_PER_TOKEN = 4


class Route(msgspec.Struct, frozen=True):
    """The ordered channels for one ask. `served` is the model's name as the provider knows it."""

    channels: list[Channel]
    model: str | None
    served: str | None

    def price(self, channel: Channel, plane: Plane) -> Price | None:
        """What the model costs on one of the channels now; None if it has no price."""
        return plane.catalog.price(channel.provider.name, self.served) if self.served is not None else None


def choose(caller: Caller, ask: Ask, exchange: Exchange, plane: Plane) -> Route:
    """The route. Raises PenstockError: 403 for a model the key may not use, 404 when no channel serves it, 503 while books are shut."""
    model = ask.model
    if model is not None and not caller.allows(model):
        raise PenstockError("model_not_allowed", f"This key may not use the model {model!r}.", param="model")
    if not plane.books.available:
        raise PenstockError("books_unavailable", "Charges cannot be written at the moment; try again shortly.", retry_after_s=2)
    wire = exchange.wire.name
    if model is None:
        return _find(wire, None, exchange, plane)
    route = plane.routes.get((wire, model))
    if route is None:
        route = _find(wire, model, exchange, plane)
        if len(plane.routes) >= ROUTES_KEPT:
            plane.routes.clear()
        plane.routes[wire, model] = route
    return route


def _find(wire: str, model: str | None, exchange: Exchange, plane: Plane) -> Route:
    served = plane.rewrites.get(model, model) if model is not None else None
    channels = [channel for channel in plane.channels if channel.serves(wire, served)]
    if len(channels) > 1 and model is None:
        # Without a model only the shape of the request tells whose it is; another vendor has no use for it.
        wants = "anthropic" if exchange.is_anthropic else "openai"
        channels = [channel for channel in channels if channel.provider.name == wants] or channels[:1]
    if not channels:
        if any(wire in channel.provider.wires for channel in plane.channels):
            raise PenstockError("model_not_found", f"The model {model!r} is not served here.", param="model")
        raise PenstockError("no_channel", f"No provider is configured for {exchange.target.path}.")
    return Route(channels, model, served)


def estimate(price: Price | None, ask: Ask, route: Route, plane: Plane) -> int:
    """What the request may cost, in nano-dollars: its bytes as input, its output cap as output."""
    if price is None:
        return 0
    cap = ask.output_cap
    if cap is None:
        cap = plane.catalog.output_cap(route.channels[0].provider.name, route.served or "")
    return price.at_most(ask.input_size // BYTES_PER_TOKEN, cap)
