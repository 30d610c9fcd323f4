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
FREE_WIRES = frozenset(("count_tokens", "moderations"))
"""Providers answer these for nothing."""


class Route(msgspec.Struct, frozen=True):
    """The ordered channels for one ask. `served` is the model's name as the provider knows it."""

    channels: list[Channel]
    model: str | None
    served: str | None

    def price(self, channel: Channel, caller: Caller, plane: Plane) -> Price | None:
        """What the model costs this caller on one of the channels now; None if it has no price."""
        if self.served is None or self.model is None:
            return None
        return plane.catalog.price(channel.provider.name, self.served, self.model, caller.multiplier_micro)

    def payable(self, caller: Caller, plane: Plane) -> Route:
        """The route without the channels on which the model has no price: to those who pay, nothing is silently free.

        Raises PenstockError 402 `model_not_priced` when none is left.
        """
        channels = [channel for channel in self.channels if self.price(channel, caller, plane) is not None]
        if not channels:
            raise PenstockError(
                "model_not_priced", f"The model {self.model!r} has no price here. Ask the operator to set one.", param="model"
            )
        return self if len(channels) == len(self.channels) else Route(channels, self.model, self.served)


def choose(caller: Caller, ask: Ask, exchange: Exchange, plane: Plane) -> Route:
    """The route. Raises PenstockError: 403 for a model or a path the key may not use, 402 for a model without a price, 404 when no
    channel serves it, 503 while books are shut.
    """
    model = ask.model
    if model is not None and not caller.allows(model):
        raise PenstockError("model_not_allowed", f"This key may not use the model {model!r}.", param="model")
    if not plane.books.available:
        raise PenstockError("books_unavailable", "Charges cannot be written at the moment; try again shortly.", retry_after_s=2)
    wire = exchange.wire.name
    if model is None:
        if caller.prepaid and wire not in FREE_WIRES and not _is_model_list(exchange):
            raise PenstockError("wire_not_allowed", f"{exchange.target.path} cannot be charged, so accounts with a balance may not use it.")
        return _find(wire, None, exchange, plane)
    route = plane.routes.get((wire, model))
    if route is None:
        route = _find(wire, model, exchange, plane)
        if len(plane.routes) >= ROUTES_KEPT:
            plane.routes.clear()
        plane.routes[wire, model] = route
    return route.payable(caller, plane) if caller.prepaid and wire not in FREE_WIRES else route


def _is_model_list(exchange: Exchange) -> bool:
    return exchange.target.method == b"GET" and exchange.target.path.startswith("/v1/models")


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


def estimate(price: Price | None, ask: Ask, route: Route, plane: Plane) -> tuple[int, int]:
    """What the request may cost, in nano-dollars, and its tokens: its bytes as input, its output cap as output.

    What the answer cannot change (images asked for, characters to speak) comes on top.
    """
    cap = ask.output_cap
    if cap is None:
        cap = plane.catalog.output_cap(route.channels[0].provider.name, route.served or "")
    input_tokens = ask.input_size // BYTES_PER_TOKEN
    if price is None:
        return 0, input_tokens + cap
    known_nano = 0 if ask.quantity is None else price.cost(ask.quantity)
    return price.at_most(input_tokens, cap) + known_nano, input_tokens + cap
