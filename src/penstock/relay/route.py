"""Route: from the model that was asked for to the lanes that can answer, in the order in which they are tried."""

from __future__ import annotations

import contextlib
import time
from math import ceil
from typing import TYPE_CHECKING

import msgspec

from penstock.catalog.door import Price
from penstock.keys.door import Caller
from penstock.kit.errors import PenstockError
from penstock.relay.exchange import Exchange
from penstock.rules.door import Facts
from penstock.upstream.bridges import BRIDGES, RESPELLINGS
from penstock.upstream.channel import Channel
from penstock.upstream.errands import ERRANDS
from penstock.upstream.lane import Lane
from penstock.upstream.lanes import Lanes
from penstock.upstream.sticky import stickiness
from penstock.upstream.wires.wire import Ask

if TYPE_CHECKING:
    from penstock.relay.plane import Plane

ROUTES_KEPT = 4096
BYTES_PER_TOKEN = 4
FREE_WIRES = frozenset(("count_tokens", "gemini_count", "moderations"))
"""Providers answer these for nothing."""
RESPONSES_PATH = "/v1/responses"
"""Codex gets this where it looks for a WebSocket, and goes on looking as long as the answer is not clear, whichever provider's it is."""
SURE, LIKELY, PERHAPS = range(3)
"""A channel that names the model or whose provider has said that it has it; one whose provider has a price for it; any that takes all."""


class Route:
    """The ordered lanes for one ask, and the model that was asked for."""

    __slots__ = ("lanes", "model")

    def __init__(self, lanes: list[Lane], model: str | None) -> None:
        self.lanes = lanes
        self.model = model


class Known:
    """What was found for a wire and a model: all lanes, and the route where there is only one of them."""

    __slots__ = ("alone", "lanes")

    def __init__(self, lanes: Lanes, alone: Route | None) -> None:
        self.lanes = lanes
        self.alone = alone


def price_of(lane: Lane, caller: Caller, plane: Plane) -> Price | None:
    """What the model costs this caller on a lane now; None if it has no price."""
    if lane.served is None or lane.model is None:
        return None
    return plane.catalog.price(lane.channel.provider.price_name, lane.served, lane.model, caller.multiplier_micro)


def choose(caller: Caller, ask: Ask, exchange: Exchange, plane: Plane) -> Route:
    """The route. Raises PenstockError: 403 for a model or a path the key may not use, 402 for a model without a price, 404 when no
    channel serves it, 503 when all that do are left alone for a while, or while books are shut.
    """
    wire = exchange.wire.name
    model = _model_of(ask, exchange, plane)
    if model is not None and not caller.allows(model):
        raise PenstockError("model_not_allowed", f"This key may not use the model {model!r}.", param="model")
    if not plane.books.available:
        raise PenstockError("books_unavailable", "Charges cannot be written at the moment; try again shortly.", retry_after_s=2)
    pays = caller.prepaid and wire not in FREE_WIRES
    if model is None:
        if exchange.target.path == RESPONSES_PATH and exchange.target.method == b"GET":
            exchange.notes = b"allow: POST\r\n"
            raise PenstockError("method_not_allowed", f"{RESPONSES_PATH} is for POST. There is no list of responses.")
        if pays and not _is_model_list(exchange):
            raise PenstockError("wire_not_allowed", f"{exchange.target.path} cannot be charged, so accounts with a balance may not use it.")
        return Route([_without_model(wire, exchange, plane)], None)
    tags = exchange.ruling.tags if exchange.ruling is not None else ()
    if caller.channel is not None:
        route = _only_on(caller.channel, wire, model, tags, plane)
    else:
        known = plane.routes.get((wire, model, *tags)) or _learn(wire, model, tags, exchange, plane)
        route = _pick(known, model, caller, exchange, plane)
        others = exchange.ruling.fallbacks if exchange.ruling is not None else None
        if others is None and caller.fallbacks is not None:
            others = caller.falls_back_to(model)
        if others:
            route = _with_fallbacks(route, others, tags, caller, ask, exchange, plane)
        if not route.lanes:
            raise _all_down(known.lanes, model)
    if ask.respelled:
        route = Route([_respelling(lane, wire) for lane in route.lanes], route.model)
    return _payable(route, caller, plane) if pays else route


def _model_of(ask: Ask, exchange: Exchange, plane: Plane) -> str | None:
    """The model that is meant where none is named: images have one by a setting."""
    if ask.model is None and exchange.wire.name == "images":
        return plane.settings.default_image_model or None
    return ask.model


def _learn(wire: str, model: str, tags: tuple[str, ...], exchange: Exchange, plane: Plane) -> Known:
    """Find the lanes for a model and remember them. Raises PenstockError 404 if there are none."""
    lanes = find_lanes(wire, model, exchange, plane, tags)
    if len(plane.routes) >= ROUTES_KEPT:
        plane.routes.clear()
    known = plane.routes[wire, model, *tags] = Known(lanes, Route(list(lanes.all), model) if len(lanes.all) == 1 else None)
    return known


def _pick(known: Known, model: str, caller: Caller, exchange: Exchange, plane: Plane) -> Route:
    """The lanes to try, in order; none if all are left alone for a while. A single one is always tried."""
    if known.alone is not None:
        return known.alone
    key = stickiness(exchange.body, exchange.sifted.forward, model, caller.key_id or "") if exchange.body else None
    return Route(known.lanes.pick(plane.attempts, key, time.time()), model)


def _only_on(name: str, wire: str, model: str, tags: tuple[str, ...], plane: Plane) -> Route:
    """The lanes of one channel, whatever has become of it lately. Raises PenstockError 404 when it cannot answer, or a rule asks for
    channels with tags of which it has none.
    """
    asked = plane.rewrites.get(model, model)
    lanes: list[Lane] = []
    for channel in plane.channels:
        if channel.name != name or (tags and set(tags).isdisjoint(channel.terms.tags)):
            continue
        served = channel.names.served(asked)
        lane = _lane(channel, wire, model, served) if served is not None else None
        if lane is not None:
            lanes.append(lane)
    if not lanes:
        where = f" with the tag {' or '.join(map(repr, tags))}, which a rule asks for" if tags else ""
        raise PenstockError("model_not_found", f"The model {model!r} is not served by a channel {name!r}{where}.", param="channel")
    return Route(lanes[: plane.attempts], model)


def _all_down(lanes: Lanes, model: str) -> PenstockError:
    now_s = time.time()
    why, wait_s = lanes.why(now_s), ceil(lanes.wait_s(now_s))
    return PenstockError("all_channels_down", f"No channel for {model!r} can be asked now: {why}.", retry_after_s=max(1, wait_s))


def _with_fallbacks(  # noqa: PLR0913, PLR0917
    route: Route, others: tuple[str, ...], tags: tuple[str, ...], caller: Caller, ask: Ask, exchange: Exchange, plane: Plane
) -> Route:
    """The lanes of the route, then those of the models that a rule or the key falls back to, which the key and the operator allow."""
    found, wire = list(route.lanes), exchange.wire.name
    for other in others:
        if (
            len(found) < plane.attempts
            and other != route.model
            and caller.allows(other)
            and not _forbidden(other, caller, ask, exchange, plane)
        ):
            with contextlib.suppress(PenstockError):  # it is not served: the next one may be
                known = plane.routes.get((wire, other, *tags)) or _learn(wire, other, tags, exchange, plane)
                found += _pick(known, other, caller, exchange, plane).lanes
    return Route(found[: plane.attempts], route.model)


def _forbidden(model: str, caller: Caller, ask: Ask, exchange: Exchange, plane: Plane) -> bool:
    """Whether the operator's rules refuse another model for this request: nobody gets around them by falling back to it."""
    if plane.rules.operators.is_empty:
        return False
    verdict = plane.rules.operators.apply_early(facts_of(msgspec.structs.replace(ask, model=model), caller, exchange, exchange.body, plane))
    return verdict is not None and verdict.refusal is not None


def facts_of(ask: Ask, caller: Caller, exchange: Exchange, body: bytes | None, plane: Plane) -> Facts:
    """What rules can know of a request; `body` is JSON, or None for a form or an upload."""
    model = _model_of(ask, exchange, plane)
    return Facts(
        exchange.wire.name, model, caller.key_id, caller.name, exchange.sifted.forward, body, ask.input_size // BYTES_PER_TOKEN, ask.stream,
        time.time_ns() // 1_000_000,
    )  # fmt: skip


def _payable(route: Route, caller: Caller, plane: Plane) -> Route:
    """The route without the lanes on which the model has no price: to those who pay, nothing is silently free.

    Raises PenstockError 402 `model_not_priced` when none is left.
    """
    if len(route.lanes) == 1 and price_of(route.lanes[0], caller, plane) is not None:
        return route
    priced = [lane for lane in route.lanes if price_of(lane, caller, plane) is not None]
    if not priced:
        raise PenstockError("model_not_priced", f"The model {route.model!r} has no price here. Ask the operator to set one.", param="model")
    return route if len(priced) == len(route.lanes) else Route(priced, route.model)


def find_lanes(wire: str, model: str, exchange: Exchange, plane: Plane, tags: tuple[str, ...] = ()) -> Lanes:
    """All lanes for a model on a client's wire, on channels with any of the tags where there are some.

    Of channels that take any model those count of whose providers it is known to be.

    A model that nobody is known to have is asked of those who speak the client's wire, if there are any.

    Raises PenstockError 404.
    """
    name = plane.rewrites.get(model, model)
    ranked: dict[int, list[Lane]] = {}
    channels = [channel for channel in plane.channels if not tags or not set(tags).isdisjoint(channel.terms.tags)]
    for channel in channels:
        served = channel.names.served(name)
        lane = _lane(channel, wire, model, served) if served is not None else None
        if lane is not None:
            ranked.setdefault(_rank(lane, name, plane), []).append(lane)
    if not ranked:
        where = f" on a channel with the tag {' or '.join(map(repr, tags))}, which a rule asks for" if tags else ""
        if any(_lane(channel, wire, model, None) is not None for channel in channels):
            raise PenstockError("model_not_found", f"The model {model!r} is not served here{where}.", param="model")
        raise PenstockError("no_channel", f"No provider is configured for {exchange.target.path}{where}.")
    best = min(ranked)
    lanes = ranked[best]
    return Lanes([lane for lane in lanes if lane.direct] or lanes if best == PERHAPS else lanes)


def _lane(channel: Channel, wire: str, model: str, served: str | None) -> Lane | None:
    """How a channel answers on a client's wire: on the same one, over a bridge, by an errand, or not at all."""
    if channel.speaks(wire, served):
        return Lane(channel, model, served)
    if channel.transparent:
        return None
    for target in channel.wires:
        if not channel.speaks(target, served):
            continue
        if (bridge := BRIDGES.get((wire, target))) is not None:
            return Lane(channel, model, served, bridge)
        if (errand := ERRANDS.get((wire, target))) is not None:
            return Lane(channel, model, served, None, errand)
    return None


def _rank(lane: Lane, name: str, plane: Plane) -> int:
    channel = lane.channel
    if channel.names.names(name) or (channel.offers is not None and lane.served in channel.offers):
        return SURE
    priced = lane.served is not None and plane.catalog.price(channel.provider.price_name, lane.served, name) is not None
    return LIKELY if priced else PERHAPS


def _respelling(lane: Lane, wire: str) -> Lane:
    """The lane on which the request is put into the wire's own words first. With the client's own credential it goes on as it came."""
    return lane if lane.channel.transparent or not lane.direct else Lane(lane.channel, lane.model, lane.served, RESPELLINGS[wire])


def _is_model_list(exchange: Exchange) -> bool:
    return exchange.target.method == b"GET" and exchange.target.path.startswith("/v1/models")


def _without_model(wire: str, exchange: Exchange, plane: Plane) -> Lane:
    """Without a model only the shape of the request tells whose it is; another vendor has no use for it."""
    channels = [channel for channel in plane.channels if wire in channel.wires]
    if not channels:
        raise PenstockError("no_channel", f"No provider is configured for {exchange.target.path}.")
    speech = "messages" if exchange.is_anthropic else "chat"
    return Lane(max(channels, key=lambda channel: (speech in channel.wires, channel.terms.priority)), None, None)


def estimate(price: Price | None, ask: Ask, route: Route, caller: Caller, exchange: Exchange, plane: Plane) -> tuple[int, int]:
    """What the request may cost on the dearest of its lanes, in nano-dollars, and its tokens: its bytes as input, its cap as output.

    `price` is that of the first lane. What the answer cannot change (images asked for, characters to speak) comes on top, and so does
    what rules add that depend on the channel. Raises PenstockError 400 or 413 where they make a request of it that cannot be.
    """
    lanes, ruling = route.lanes, exchange.ruling
    nano, tokens = _on_lane(price, ask if ruling is None else ruling.expected(lanes[0].channel, exchange, plane), lanes[0], plane)
    for lane in lanes[1:]:
        there = ask if ruling is None else ruling.expected(lane.channel, exchange, plane)
        other_nano, other_tokens = _on_lane(price_of(lane, caller, plane), there, lane, plane)
        nano, tokens = max(nano, other_nano), max(tokens, other_tokens)
    return nano, tokens


def _on_lane(price: Price | None, ask: Ask, lane: Lane, plane: Plane) -> tuple[int, int]:
    cap = ask.output_cap
    if cap is None:
        cap = plane.catalog.output_cap(lane.channel.provider.price_name, lane.served or "")
    input_tokens = ask.input_size // BYTES_PER_TOKEN
    if price is None:
        return 0, input_tokens + cap
    known_nano = 0 if ask.quantity is None else price.cost(ask.quantity)
    return price.at_most(input_tokens, cap) + known_nano, input_tokens + cap
