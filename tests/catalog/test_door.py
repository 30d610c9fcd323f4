"""The door: demo prices, what is kept and for how long, output caps, and a light import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.catalog.door import Catalog
from penstock.settings import Settings
from penstock.upstream.usage import Usage


class Clock:
    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def __call__(self) -> float:
        return self.at_s


BEFORE_S = 1_749_513_599.0  # o3 became cheaper at 2025-06-10T00:00Z, a second later
INPUT = Usage(input_tokens=1_000)


@pytest.fixture
def clock() -> Clock:
    return Clock(BEFORE_S)


@pytest.fixture
def catalog(clock: Clock) -> Catalog:
    return Catalog(Settings(default_output_tokens=77), now=clock)


def o3_cost(catalog: Catalog) -> int:
    price = catalog.price("openai", "o3")
    assert price is not None
    return price.cost(INPUT)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(input_tokens=1_000_000), 1_000_000_000),
        (Usage(cache_read_tokens=1_000_000), 100_000_000),
        (Usage(cache_write_5m_tokens=1_000_000), 1_250_000_000),
        (Usage(cache_write_1h_tokens=1_000_000), 2_000_000_000),
        (Usage(output_tokens=1_000_000, reasoning_tokens=10), 2_000_000_000),
        (Usage(images=2), 80_000_000),
        (Usage(characters=1_000_000), 15_000_000_000),
        (Usage(audio_seconds=60), 6_000_000),
        (Usage(), 0),
    ],
)
def test_the_demo_prices_any_model(catalog: Catalog, usage: Usage, cost: int) -> None:
    price = catalog.price("demo", "whatever")
    assert price is not None
    assert price.cost(usage) == cost
    assert catalog.recall(price.version) is price


def test_the_same_question_has_the_same_answer(catalog: Catalog) -> None:
    assert catalog.price("openai", "o3") is catalog.price("openai", "o3")
    assert catalog.price("openai", "nonesuch") is None
    assert catalog.price("openai", "nonesuch") is None


def test_a_kept_price_ends_when_it_changes(catalog: Catalog, clock: Clock) -> None:
    assert o3_cost(catalog) == 10_000_000
    clock.at_s += 1
    assert o3_cost(catalog) == 2_000_000
    clock.at_s -= 1
    assert o3_cost(catalog) == 10_000_000


def test_a_price_without_a_change_is_kept_through_those_of_others(catalog: Catalog, clock: Clock) -> None:
    assert catalog.price("openai", "tts-1") == catalog.price("openai", "tts-1")
    o3_cost(catalog)
    clock.at_s += 86_400
    assert catalog.price("openai", "tts-1") is not None
    assert o3_cost(catalog) == 2_000_000


def test_prices_of_another_time(catalog: Catalog) -> None:
    later = catalog.price_at("openai", "o3", int(BEFORE_S + 1) * 1000)
    assert later is not None
    assert later.cost(INPUT) == 2_000_000
    assert catalog.recall(later.version) == later


def test_what_is_kept_is_bounded(catalog: Catalog) -> None:
    for number in range(5_000):
        assert catalog.price("nonesuch", f"model-{number}") is None
    assert len(catalog._kept) <= 4_096
    kept = len(catalog._kept)
    assert catalog.price("openai", "claude" * 100_000) is None
    assert len(catalog._kept) == kept


def test_the_output_cap_is_the_setting(catalog: Catalog) -> None:
    assert catalog.output_cap("openai", "gpt-4o") == 77


def test_price_data_is_not_read_before_it_is_needed() -> None:
    program = (
        "import sys; from penstock.catalog.door import Catalog; from penstock.settings import Settings; catalog = Catalog(Settings());"
        "catalog.price('demo', 'x'); assert 'genai_prices' not in sys.modules; catalog.load(); assert 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
