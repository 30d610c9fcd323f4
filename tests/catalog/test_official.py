"""Official prices: the same as genai-prices computes them, to the nano-dollar, and a few worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache

import pytest
from genai_prices.data import providers
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TimeOfDateConstraint,
)
from genai_prices.types import Usage as TheirUsage
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.catalog import official
from penstock.catalog.prices import COST_LIMIT_NANO, RATES, UNITS, Price
from penstock.upstream.usage import Usage

NOW_MS = 1_795_305_600_000  # 2026-11-22T00:00Z
TIMES_MS = (NOW_MS, 1_735_689_600_000, 1_791_763_199_999, 1_791_763_200_000)  # 2025-01-01, around 2026-10-12T00:00Z
TIERS = (None, "default", "flex", "priority", "batch", "fast", "nonesuch")
OURS = [(provider, info) for provider in providers if provider.id in ("openai", "anthropic") for info in provider.models]
ALL = [(provider, info) for provider in providers for info in provider.models]


def priced(provider: str, model: str, at_ms: int = NOW_MS) -> Price:
    price = official.find_price(provider, model, at_ms)
    assert price is not None
    return price


@cache
def read(provider_id: str, model_id: str, at_ms: int) -> Price:
    info = next(info for provider, info in ALL if (provider.id, info.id) == (provider_id, model_id))
    return official.read_price(provider_id, info, at_ms)


def theirs(provider: Provider, info: ModelInfo, usage: Usage, at_ms: int) -> int:
    """What genai-prices computes, with our quantities put the way it counts: totals that contain their parts."""
    cached = usage.cache_read_tokens + usage.cache_audio_read_tokens
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    quantities = dict.fromkeys(unit_data.keys() - {"requests"}, 0) | {
        "input_tokens": usage.context_tokens(),
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "cache_write_5m_tokens": usage.cache_write_5m_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "input_audio_tokens": usage.input_audio_tokens + usage.cache_audio_read_tokens,
        "cache_audio_read_tokens": usage.cache_audio_read_tokens,
        "input_image_tokens": usage.input_image_tokens,
        "output_tokens": usage.output_tokens + usage.output_audio_tokens + usage.output_image_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "output_image_tokens": usage.output_image_tokens,
        "input_characters": usage.characters,
        "audio_seconds": usage.audio_seconds,
        "web_searches": usage.web_searches,
    }
    tier = usage.service_tier
    context = None if tier is None else {"service_tier": tier, "processing": tier, "speed": tier}
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
    found = info.calc_price(TheirUsage(**quantities), provider, genai_request_timestamp=at, price_context=context)
    with localcontext(prec=60):
        return int((found.total_price * 1_000_000_000).quantize(Decimal(1), ROUND_HALF_UP))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    quantity = st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 400_000), st.integers(0, 10**9))
    usage = Usage(**{name: draw(quantity) for name in RATES}, service_tier=draw(st.sampled_from(TIERS)))
    # genai-prices knows no price per image and counts every request as one; reasoning is part of the output.
    usage.images, usage.calls = 0, 1
    usage.reasoning_tokens = min(usage.reasoning_tokens, usage.output_tokens)
    return usage


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OURS), usages(), st.sampled_from(TIMES_MS))
def test_costs_what_genai_prices_says(model: tuple[Provider, ModelInfo], usage: Usage, at_ms: int) -> None:
    provider, info = model
    price = read(provider.id, info.id, at_ms)
    assert price.cost(usage) == min(theirs(provider, info, usage, at_ms), COST_LIMIT_NANO)
    assert sum(line.amount_nano for line in price.lines(usage)) == price.cost(usage)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([entry for entry in ALL if entry[1].id not in ("whisper-large-v3", "whisper-large-v3-turbo")]), usages())
def test_reads_every_provider_alike(model: tuple[Provider, ModelInfo], usage: Usage) -> None:
    provider, info = model
    assert read(provider.id, info.id, NOW_MS).cost(usage) == theirs(provider, info, usage, NOW_MS)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(OURS), usages(), st.sampled_from(sorted(RATES)), st.integers(1, 10**6))
def test_more_never_costs_less(model: tuple[Provider, ModelInfo], usage: Usage, name: str, more: int) -> None:
    price = read(model[0].id, model[1].id, NOW_MS)
    before = price.cost(usage)
    setattr(usage, name, getattr(usage, name) + more)
    assert price.cost(usage) >= before


@pytest.mark.parametrize(("provider", "info"), OURS, ids=[f"{provider.id}/{info.id}" for provider, info in OURS])
def test_every_model(provider: Provider, info: ModelInfo) -> None:
    price = read(provider.id, info.id, NOW_MS)
    assert price.cost(Usage()) == 0
    assert all(rate >= 0 for bands in price.bands.values() for band in bands for rate in band.rates)
    for context in (99_999, 100_000, 100_001, 200_000, 200_001, 272_000, 272_001):
        for tier in TIERS:
            usage = Usage(context - 1000, 400, 300, 200, 4_567, 1_234, 60, 10, 50, 30, 20, 0, 5_000, 61, 3, 1, tier)
            assert usage.context_tokens() == context
            assert price.cost(usage) == theirs(provider, info, usage, NOW_MS)
    recalled = official.recall_price(price.version)
    assert recalled is not None
    assert (recalled.version, recalled.per, recalled.bands) == (price.version, price.per, price.bands)
    assert official.subject(price.version) == (provider.id, info.id)


def test_units_are_those_of_genai_prices() -> None:
    per = {unit["price_key"]: unit["per"] for unit in unit_data.values()}
    for name in {name for chain in RATES.values() for name in chain} - {"images_count"}:
        assert per[name] == UNITS[name.rpartition("_")[2]], name


def test_gpt_4o_mini_by_hand() -> None:
    # $0.15 in, $0.075 cached, $0.60 out per million: 176 x 150 + 1024 x 75 + 300 x 600 nano-dollars.
    usage = Usage(input_tokens=176, cache_read_tokens=1_024, output_tokens=300, reasoning_tokens=100)
    assert priced("openai", "gpt-4o-mini").cost(usage) == 26_400 + 76_800 + 180_000


def test_claude_sonnet_with_cache_writes_by_hand() -> None:
    # Up to 200k tokens: $3 in, $0.30 read, $3.75 written for 5 minutes, $6 for an hour, $15 out; $10 per 1000 searches.
    usage = Usage(
        input_tokens=21, cache_read_tokens=18_000, cache_write_5m_tokens=2_051, cache_write_1h_tokens=400, output_tokens=393, web_searches=2
    )
    exact = 21 * 3_000 + 18_000 * 300 + 2_051 * 3_750 + 400 * 6_000 + 393 * 15_000 + 2 * 10_000_000
    assert priced("anthropic", "claude-sonnet-4-5-20250929").cost(usage) == exact
    # Above, all of it is dearer: $6 in, $22.50 out.
    assert priced("anthropic", "claude-sonnet-4-5").cost(Usage(input_tokens=200_001, output_tokens=10)) == 200_001 * 6_000 + 10 * 22_500


def test_half_a_nano_goes_up_by_hand() -> None:
    # gpt-5-nano on flex: $0.0025 per million cached tokens, 2.5 nano-dollars each.
    price = priced("openai", "gpt-5-nano")
    assert [price.cost(Usage(cache_read_tokens=n, service_tier="flex")) for n in (1, 2, 3)] == [3, 5, 8]


def test_speech_and_transcription_by_hand() -> None:
    assert priced("openai", "tts-1").cost(Usage(characters=1_000)) == 15_000_000
    assert priced("openai", "whisper-1").cost(Usage(audio_seconds=90)) == 9_000_000


@pytest.mark.parametrize(
    ("provider", "model", "model_id"),
    [
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "GPT-4o-Mini", "gpt-4o-mini"),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "gpt-5.2-20251211", "gpt-5.2"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::abc", "ft:gpt-4o"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini"),
        ("anthropic", "claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
        ("anthropic", "anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic", "Anthropic/claude-opus-4-1", "claude-opus-4-1"),
    ],
)
def test_names_of_the_same_model(provider: str, model: str, model_id: str) -> None:
    assert f" {provider}/{model_id} " in priced(provider, model).version


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "nonesuch"),
        ("openai", ""),
        ("openai", "gpt-4o-nonesuch"),
        ("openai", "ft:gpt-4.1-2025-04-14:acme::abc"),
        ("openai", "claude-sonnet-4-5"),
        ("openai", "anthropic/claude-sonnet-4-5"),
        ("openai", "my-moderation-model"),
        ("anthropic", "gpt-4o"),
        ("nonesuch", "gpt-4o"),
    ],
)
def test_no_price_is_made_up(provider: str, model: str) -> None:
    assert official.find_price(provider, model, NOW_MS) is None


def test_moderation_is_free_in_so_many_words() -> None:
    lines = priced("openai", "omni-moderation-latest").lines(Usage(input_tokens=100))
    assert [(line.rate, line.rate_nano, line.amount_nano) for line in lines] == [("input_mtok", 0, 0)]


def test_tiers_of_the_data() -> None:
    price = priced("openai", "gpt-4o")
    thousand = 1_000
    assert price.cost(Usage(thousand)) == 2_500_000
    assert price.cost(Usage(thousand, service_tier="priority")) == 4_250_000
    assert price.cost(Usage(thousand, service_tier="batch")) == 1_250_000
    assert price.lines(Usage(thousand, service_tier="flex"))[0].unpriced_tier == "flex"
    assert priced("anthropic", "claude-opus-5").cost(Usage(thousand, service_tier="fast")) == 10_000_000


def test_a_rate_that_asks_for_more_than_a_tier_is_left_out() -> None:
    variant = PriceVariant({"service_tier": "flex", "route": "eu"}, ModelPrice(input_mtok=Decimal(1)))
    info = ModelInfo("owl", ClauseEquals("owl"), prices=ModelPrice(input_mtok=Decimal(2)), price_variants=[variant])
    line = official.read_price("openai", info, NOW_MS).lines(Usage(input_tokens=1, service_tier="flex"))[0]
    assert (line.amount_nano, line.unpriced_tier) == (2_000, "flex")


def test_the_price_of_the_day_of_the_request() -> None:
    change = official._to_ms(datetime(2025, 6, 10, tzinfo=UTC))
    before, after = priced("openai", "o3", change - 1), priced("openai", "o3", change)
    usage = Usage(input_tokens=1_000)
    assert (before.cost(usage), after.cost(usage)) == (10_000_000, 2_000_000)
    assert before.expires_at_ms == change == after.effective_at_ms
    assert before.version != after.version
    for price in (before, after):
        recalled = official.recall_price(price.version)
        assert recalled is not None
        assert recalled.cost(usage) == price.cost(usage)


def test_the_price_of_the_hour_of_the_request() -> None:
    night = TimeOfDateConstraint(time(0, 30, tzinfo=timezone(timedelta(hours=8))), time(0, 30))
    info = ModelInfo(
        id="owl",
        match=ClauseEquals("owl"),
        prices=[
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(4))),
            ConditionalPrice(StartDateConstraint(date(2025, 1, 1)), prices=ModelPrice(input_mtok=Decimal(3))),
            ConditionalPrice(night, prices=ModelPrice(input_mtok=Decimal(1))),
        ],
    )
    seen = []
    at_ms = official._to_ms(datetime(2025, 3, 4, 12, tzinfo=UTC))
    for _ in range(4):
        price = official.read_price("openai", info, at_ms)
        assert price.expires_at_ms is not None
        assert price.effective_at_ms is not None
        assert price.effective_at_ms <= at_ms < price.expires_at_ms
        assert price.bands == official.read_price("openai", info, price.expires_at_ms - 1).bands
        since = datetime.fromtimestamp(price.effective_at_ms / 1000, UTC)
        seen.append((since.strftime("%d %H:%M"), price.cost(Usage(input_tokens=1)), price.version))
        at_ms = price.expires_at_ms
    assert [(since, cost) for since, cost, _ in seen] == [
        ("04 00:30", 3_000),
        ("04 16:30", 1_000),
        ("05 00:30", 3_000),
        ("05 16:30", 1_000),
    ]
    assert [version for *_, version in seen[:2]] == [version for *_, version in seen[2:]], "the same rates are the same version"
    assert {official.read_price("openai", info, official._to_ms(moment)).version for moment in official._moments(info)} >= {
        version for *_, version in seen
    }


@pytest.mark.parametrize(
    "version", ["", "demo 1", "genai-prices 0.0.0 openai/gpt-4o first", "nonsense", "a b c d", "genai-prices x", "own x y z"]
)
def test_a_version_of_other_data_is_not_recalled(version: str) -> None:
    assert official.recall_price(version) is None


def test_a_version_names_the_model_and_its_rates() -> None:
    version = priced("openai", "gpt-4o").version
    start, _, digest = version.rpartition(" ")
    assert start == "genai-prices openai/gpt-4o"
    for other in (f"{start} {'0' * len(digest)}", f"genai-prices openai/nonesuch {digest}", f"genai-prices nonesuch/gpt-4o {digest}"):
        assert official.recall_price(other) is None


@pytest.mark.parametrize(("moment", "cost"), [("first", 10_000_000), ("2025-06-10T00:00Z", 2_000_000)])
def test_versions_as_the_first_release_wrote_them(moment: str, cost: int) -> None:
    price = official.recall_price(f"genai-prices {official.RELEASE} openai/o3 {moment}")
    assert price is not None
    assert price.cost(Usage(input_tokens=1_000)) == cost
    assert official.recall_price(f"genai-prices {official.RELEASE} openai/nonesuch {moment}") is None


def test_what_the_data_knows_of_models() -> None:
    assert "gpt-4o" in official.listed("openai")
    assert official.listed("nonesuch") == []
    assert official.context_tokens("openai", "GPT-4o") == 128_000
    assert official.context_tokens("openai", "nonesuch") is None
    assert official.context_tokens("nonesuch", "gpt-4o") is None
    assert len({info.id for provider, info in OURS if provider.id == "openai"}) == sum(provider.id == "openai" for provider, _ in OURS)
