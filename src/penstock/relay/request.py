"""The request to a provider, as bytes: the client's own on the same wire, or what a bridge has made of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from penstock.relay.headers import without_key
from penstock.relay.tunnel import upgrade_lines
from penstock.upstream.bridges import unsealed
from penstock.upstream.bridges.bridge import Spot

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.upstream.bridges.bridge import Crossing
    from penstock.upstream.channel import Channel
    from penstock.upstream.lane import Lane
    from penstock.upstream.wires.wire import Ask

_END = b"\r\n\r\n"
_AGENT = b"user-agent: "
_BODIED = frozenset((b"POST", b"PUT", b"PATCH"))


class Sent(NamedTuple):
    """A request as it went out, for the record: its head, and its body unless that is the client's, byte for byte."""

    head: bytes
    body: bytes | None
    cut: bool
    """There is more of the body."""


def sent_of(request: bytes, body: bytes | None, limit: int, channel: Channel) -> Sent:
    """What to keep of a request to a channel that was made of the client's `body`; at most `limit` bytes of its own."""
    at = request.index(_END) + len(_END)
    same = len(request) - at == len(body or b"") and request.endswith(body or b"")
    return Sent(channel.as_shown(request[:at]), None if same else request[at : at + limit], not same and len(request) - at > limit)


def request_on(lane: Lane, ask: Ask, exchange: Exchange) -> bytes:
    """The request on a lane whose channel speaks the client's wire; of a body that streams only what stands before it."""
    channel, target, sifted, upload = lane.channel, exchange.target, exchange.sifted, exchange.upload
    headers, query, path = sifted.forward, target.query, target.path
    if channel.transparent:
        headers += sifted.own_credentials
    elif query:
        query = without_key(query)
    if exchange.wire.addressed and lane.served is not None:
        path = exchange.wire.renamed_path(path, lane.served)
    if upload is not None:
        if lane.served != ask.model and lane.served is not None:
            upload.rename(lane.served)
        if sifted.content_encoding:
            headers += b"content-encoding: %b\r\n" % sifted.content_encoding
        framing = b"transfer-encoding: chunked\r\n" if sifted.length is None else b"content-length: %d\r\n" % (sifted.length + upload.grown)
        return channel.request(target.method, path, query, headers + framing, lane.served) + b"\r\n"
    if exchange.upgrade and exchange.wire.name == "realtime":
        headers += upgrade_lines(exchange, own_key=channel.transparent)
    body = _body(lane, ask, exchange) if exchange.body else b""
    if body or target.method in _BODIED:
        return b"%bcontent-length: %d\r\n\r\n%b" % (channel.request(target.method, path, query, headers, lane.served), len(body), body)
    return channel.request(target.method, path, query, headers, lane.served) + b"\r\n"


def _body(lane: Lane, ask: Ask, exchange: Exchange) -> bytes:
    body = exchange.body or b""
    if exchange.naming is None:
        body = exchange.wire.prepare(body, ask, lane.served)
        return unsealed.without_sealed(body, lane.served or "") if unsealed.has_sealed(exchange.wire.name, body) else body
    return body if lane.served in {None, ask.model} else exchange.naming.replaced(body, lane.served or "")


def cross(lane: Lane, exchange: Exchange) -> Crossing:
    """The way over a lane's bridge. Raises PenstockError 400 for what cannot be said on the other side."""
    assert lane.bridge is not None  # noqa: S101  the caller looked
    target = exchange.target
    spot = Spot(
        lane.served or "", lane.model or "", target.path, target.query, exchange.sifted.content_type, exchange.id, int(time.time())
    )  # fmt: skip
    return lane.bridge.cross(exchange.body or b"", spot)


def request_over(crossing: Crossing, lane: Lane, exchange: Exchange) -> bytes:
    """The request that a bridge has made. Of the client's headers only its name goes along: the others are meant for another protocol."""
    forward = exchange.sifted.forward
    at = forward.find(_AGENT)
    agent = forward[at : forward.index(b"\r\n", at) + 2] if at == 0 or forward[at - 1 : at] == b"\n" else b""
    body = crossing.body
    head = lane.channel.request(crossing.method, crossing.path, crossing.query, agent + crossing.headers, lane.served)
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body) if body or crossing.method in _BODIED else head + b"\r\n"
