"""What the tests of telemetry share: what was seen of an exchange, and the SDK's side without a collector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_collector import OtelCollector
from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.telemetry.otlp import Otlp
from penstock.telemetry.seen import Seen
from penstock.upstream.channel import Channel
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.lane import Lane
from penstock.upstream.providers import PROVIDERS
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask


@pytest.fixture(scope="session")
def make_lane() -> Callable[..., Lane]:
    """Makes lanes to a provider."""

    def make(provider: str = "openai", model: str | None = "gpt-4o", served: str | None = None) -> Lane:
        base = "http://api.example.com:8443/v1"
        pool = Pool(Channel.origin(base), Limits(), Pulse())
        return Lane(Channel(f"the {provider}", PROVIDERS[provider], base, pool, secret="sk-placeholder"), model, served or model)

    return make


@pytest.fixture
def seen(make_lane: Callable[..., Lane]) -> Callable[..., Seen]:
    """Makes what was seen of an exchange: a good one unless said otherwise."""

    def make(**given: Any) -> Seen:
        marks = tuple(range(1_000_000, 9_000_000, 1_000_000))
        facts = {
            "marks": marks, "id": "req_1", "wire": "chat", "status": 200, "outcome": "complete", "code": "", "key_id": "key_1",
            "lane": make_lane(), "trying": (marks[3], 200, 0), "trials": (), "ask": Ask("gpt-4o", output_cap=64),
            "usage": Usage(input_tokens=10, cache_read_tokens=3, output_tokens=7), "estimated": False, "cost_nano": 1234,
            "forward": b"", "trace": None, "opening": b"", "closing": b"",
        }  # fmt: skip
        return Seen(**(facts | given))

    return make


@pytest.fixture
def collector() -> Iterator[OtelCollector]:
    """A collector of its own."""
    with OtelCollector() as running:
        yield running


@pytest.fixture
def make_otlp() -> Iterator[Callable[..., Otlp]]:
    """Makes the SDK's side; `endpoint` is nobody's unless given."""
    made: list[Otlp] = []

    def make(endpoint: str = "http://127.0.0.1:9", **settings: Any) -> Otlp:
        made.append(Otlp(Settings(otel_endpoint=endpoint, **settings)))
        return made[-1]

    yield make
    for one in made:
        one.close(0.2)
