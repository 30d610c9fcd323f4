"""How the official SDKs judge a gateway: what they get through it, and what arrives behind it, against no gateway at all."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pydantic

from wiretap import Heard

RESTS_HERE = {"host", "connection", "accept-encoding", "authorization", "x-api-key", "content-length", "content-type", "transfer-encoding"}
"""Headers that are each hop's own, or are compared with the body."""


def shown(thing: Any) -> Any:
    """A result of an SDK as plain data."""
    if isinstance(thing, list):
        return [shown(item) for item in thing]
    return thing.model_dump(mode="json", warnings=False) if isinstance(thing, pydantic.BaseModel) else thing


def without_ids(things: list[Any]) -> list[Any]:
    """Results without their ids: the demo provider makes them of the body, and OpenAI's streams are asked for their usage."""
    return [{name: value for name, value in shown(thing).items() if name != "id"} for thing in things]


def same_request(sent: Heard, arrived: Heard) -> None:
    """What arrived behind the gateway is what the client sends without one, but for credentials and each hop's own headers."""
    assert (arrived.method, arrived.target) == (sent.method, sent.target)
    assert _forwarded(arrived) == _forwarded(sent)
    kind, body = arrived.unbounded()
    if b"stream_options" in body and b"stream_options" not in sent.body:
        # The one thing that is added: a stream without its usage could not be metered.
        asked = json.loads(body)
        assert asked.pop("stream_options") == {"include_usage": True}
        assert asked == json.loads(sent.body)
        assert kind == sent.header("content-type")
    else:
        assert (kind, body) == sent.unbounded()


def _forwarded(heard: Heard) -> dict[str, list[bytes]]:
    headers = defaultdict(list)
    for name, value in heard.headers:
        if name not in RESTS_HERE:
            headers[name].append(value)
    return headers


def nowhere(secret: str, *heard: Heard) -> None:
    """A secret is in no part of a request."""
    for one in heard:
        assert secret not in one.target
        assert secret.encode() not in one.body
        assert [name for name, value in one.headers if secret.encode() in value] == []
