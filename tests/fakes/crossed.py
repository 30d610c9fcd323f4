"""Requests and answers on their way over a bridge, as the relay carries them."""

from __future__ import annotations

import json

from penstock.kit.sse import end_of_events, split
from penstock.upstream.bridges import BRIDGES, SIDES
from penstock.upstream.bridges.between import Talk, retell
from penstock.upstream.bridges.bridge import Spot, StreamCrossing
from penstock.upstream.bridges.conversation import Asked, Reply
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.side import About

PAIRS = [(source, target) for source in SIDES for target in SIDES if source != target]
NATIVE = {"chat": "gpt-5.2", "messages": "claude-opus-4-6", "responses": "gpt-5.2", "gemini": "gemini-3-pro-preview"}
"""A model of each wire's own vendor, which takes as much as any."""
MODELS = {
    "chat": ["gpt-5.2", "gpt-4o", "deepseek-reasoner", "mistral-large-latest", "anthropic/claude-sonnet-4.5", "gemini-2.5-pro", "model-x"],
    "messages": ["claude-opus-4-6", "claude-sonnet-4-5", "claude-3-5-haiku-latest", "claude-opus-5-5", "model-x"],
    "responses": ["gpt-5.2", "gpt-4o", "o3", "model-x"],
    "gemini": ["gemini-3-pro-preview", "gemini-2.5-flash", "gemini-2.0-flash", "gemma-3-27b-it"],
}
"""Models of many kinds, by the wire that they are called over."""


def natively(wire: str, asked: Asked) -> bytes:
    """The request as a client of `wire` writes it. Raises PenstockError for what its wire cannot say."""
    body = SIDES[wire].write_ask(asked, NATIVE.get(wire, "model-x"), Dropped())
    if asked.shows_usage or b"stream_options" not in body:
        return body
    return json.dumps({name: value for name, value in json.loads(body).items() if name != "stream_options"}).encode()


def spot(wire: str, model: str, *, stream: bool = False) -> Spot:
    """What the relay knows of the request."""
    path, query = SIDES[wire].path(Asked("public", [], stream=stream), "public")
    return Spot(model, "public", path, query, b"application/json", "req_0123456789", 1_700_000_000)


def cross(source: str, target: str, body: bytes, model: str = "model-x", *, stream: bool = False) -> Talk:
    """A request goes over a bridge."""
    crossing = BRIDGES[source, target].cross(body, spot(source, model, stream=stream))
    assert isinstance(crossing, Talk)
    return crossing


def provider_of(crossing: Talk) -> About:
    """What the provider has been asked, for its answer; it shows its thoughts and its usage."""
    asked = SIDES[crossing.wire.name].read_ask(crossing.body)
    asked.shows_thoughts = asked.shows_usage = True
    return About(asked, "served", "req_provider", 1_700_000_001)


def streamed(target: str, reply: Reply, about: About) -> bytes:
    """The provider's stream."""
    teller = SIDES[target].teller(about)
    retell(reply, teller)
    return teller.take()


def carried(stream: StreamCrossing, data: bytes, size: int) -> bytes:
    """The client's stream, of a provider's that comes in pieces of so many bytes. Events are put together as the relay does it."""
    told, partial = [], b""
    for at in range(0, len(data), size):
        if stream.ended:
            break
        partial += data[at : at + size]
        end = end_of_events(partial[:-1] if partial.endswith(b"\n\r") else partial)
        region, partial = partial[:end], partial[end:]
        told += _events(stream, split(region))
    if partial and not stream.ended:
        told += _events(stream, [partial])
    if not stream.ended:
        told.append(stream.over())
    assert stream.ended and all(one == b"" or one.endswith(b"\n\n") for one in told)
    return b"".join(told)


def _events(stream: StreamCrossing, events: list[bytes]) -> list[bytes]:
    told = []
    for event in events:
        told.append(stream.event(event))
        if stream.ended:
            break
    return told
