"""Prices by themselves: rates, bands, rounding, lines, bounds."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalog.prices import COST_LIMIT_NANO, RATES, STANDARD, UNITS, Price, build_price, flat, free_price, pack, unpack
from penstock.kit.money import PER_MILLION
from penstock.upstream.usage import Usage


def plain(**dollars: str) -> Price:
    return build_price("test", {STANDARD: flat(**dollars)})


def test_every_quantity_of_usage_has_its_rates() -> None:
    assert list(RATES) == [field.name for field in msgspec.structs.fields(Usage) if field.type is int]
    assert {name.rpartition("_")[2] for chain in RATES.values() for name in chain} <= set(UNITS)


def test_a_rate_is_nano_dollars_per_million() -> None:
    price = plain(input_mtok="0.15", output_mtok="0.6", web_searches_kcount="10")
    assert price.per == 1_000_000
    line = price.lines(Usage(input_tokens=1))[0]
    assert (line.rate_nano, line.amount_nano) == (150_000_000, 150)
    assert price.cost(Usage(web_searches=3)) == 30_000_000


@pytest.mark.parametrize(
    ("rate", "dollars", "per", "rate_nano"),
    [
        ("input_mtok", "0.0000000001", 10_000_000, 1),
        ("audio_hours", "1.02", 3_000_000, 850_000_000_000),
        ("audio_hours", "0.36", 1_000_000, 100_000_000_000),
    ],
)
def test_per_grows_until_no_rate_loses_anything(rate: str, dollars: str, per: int, rate_nano: int) -> None:
    price = plain(**{rate: dollars})
    line = price.lines(Usage(input_tokens=1, audio_seconds=1))[0 if rate == "input_mtok" else 1]
    assert (price.per, line.rate_nano) == (per, rate_nano)


def test_an_hour_of_a_rate_that_does_not_divide_is_exact() -> None:
    assert plain(audio_hours="1.02").cost(Usage(audio_seconds=3600)) == 1_020_000_000


@pytest.mark.parametrize(("tokens", "cost"), [(0, 0), (1, 0), (4, 0), (5, 1), (14, 1), (15, 2), (25, 3)])
def test_rounding_is_half_up_and_once(tokens: int, cost: int) -> None:
    price = plain(input_mtok="0.0001", output_mtok="0.0001")
    assert price.cost(Usage(input_tokens=tokens)) == cost
    assert price.cost(Usage(output_tokens=tokens)) == cost
    assert price.cost(Usage(input_tokens=tokens, output_tokens=tokens)) == (2 * tokens + 5) // 10


def test_missing_rates_fall_back_and_say_so() -> None:
    price = plain(input_mtok="2", output_mtok="8")
    usage = Usage(cache_read_tokens=1, cache_write_5m_tokens=1, cache_write_1h_tokens=1, input_audio_tokens=1, cache_audio_read_tokens=1)
    assert [(line.rate, line.amount_nano) for line in price.lines(usage)] == [("input_mtok", 2_000)] * 5
    assert [line.rate for line in price.lines(Usage(output_audio_tokens=1, output_image_tokens=1))] == ["output_mtok"] * 2
    generic = plain(input_mtok="2", cache_write_mtok="3", cache_write_1h_mtok="4")
    assert [line.amount_nano for line in generic.lines(Usage(cache_write_5m_tokens=1, cache_write_1h_tokens=1))] == [3_000, 4_000]


def test_a_quantity_without_any_rate_is_shown_as_unpriced() -> None:
    line = plain(input_mtok="2").lines(Usage(images=3))[0]
    assert (line.component, line.quantity, line.rate, line.amount_nano) == ("images", 3, None, 0)


def test_reasoning_is_part_of_output() -> None:
    usage = Usage(output_tokens=100, reasoning_tokens=60)
    price = plain(output_mtok="10")
    assert price.cost(usage) == 1_000_000
    assert [(line.component, line.quantity) for line in price.lines(usage)] == [("output_tokens", 40), ("reasoning_tokens", 60)]
    apart = plain(output_mtok="10", output_reasoning_mtok="3")
    assert apart.cost(usage) == 40 * 10_000 + 60 * 3_000
    assert apart.cost(Usage(output_tokens=100, reasoning_tokens=900)) == 300_000


def test_calls_cost_only_where_they_have_a_rate() -> None:
    assert plain(input_mtok="2").lines(Usage(calls=1)) == []
    price = plain(requests_kcount="5")
    assert price.cost(Usage(calls=2)) == 10_000_000
    assert [line.component for line in price.lines(Usage(calls=2))] == ["calls"]


@pytest.mark.parametrize(("cached", "cost"), [(900, 1_000_000), (901, 2_002_000), (1_900, 4_000_000), (1_901, 8_004_000)])
def test_a_longer_context_is_charged_at_the_higher_rate_whole(cached: int, cost: int) -> None:
    steps = ((-1, Decimal(1)), (1_000, Decimal(2)), (2_000, Decimal(4)))
    price = build_price("test", {STANDARD: {"input_mtok": steps}})
    assert price.cost(Usage(input_tokens=100, cache_read_tokens=cached)) == cost


PARTS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "input_audio_tokens", "input_image_tokens")


@pytest.mark.parametrize("part", PARTS)
def test_all_that_is_read_makes_the_context_longer(part: str) -> None:
    price = build_price("test", {STANDARD: {"output_mtok": ((-1, Decimal(1)), (1_000, Decimal(2)))}})
    usage = Usage(output_tokens=1)
    setattr(usage, part, 1_000)
    assert price.cost(usage) == 1_000
    setattr(usage, part, 1_001)
    assert price.cost(usage) == 2_000


def test_steps_of_different_rates_need_not_agree() -> None:
    card = {"input_mtok": ((-1, Decimal(1)), (10, Decimal(2))), "output_mtok": ((-1, Decimal(3)), (20, Decimal(4)))}
    price = build_price("test", {STANDARD: card})
    assert [price.cost(Usage(input_tokens=n, output_tokens=1)) for n in (10, 11, 20, 21)] == [13_000, 25_000, 43_000, 46_000]
    assert [line.above_tokens for line in price.lines(Usage(input_tokens=11))] == [10]


def test_service_tiers_have_their_own_card() -> None:
    price = build_price("test", {STANDARD: flat(input_mtok="2"), "flex": flat(input_mtok="1")})
    assert price.cost(Usage(input_tokens=1, service_tier="flex")) == 1_000
    for same in (None, "default", "auto", "standard"):
        line = price.lines(Usage(input_tokens=1, service_tier=same))[0]
        assert (line.amount_nano, line.tier, line.unpriced_tier) == (2_000, "standard", None)
    flex = price.lines(Usage(input_tokens=1, service_tier="flex"))[0]
    assert (flex.amount_nano, flex.tier, flex.unpriced_tier) == (1_000, "flex", None)
    other = price.lines(Usage(input_tokens=1, service_tier="scale"))[0]
    assert (other.amount_nano, other.tier, other.unpriced_tier) == (2_000, "standard", "scale")


RICH = build_price(
    "test",
    {
        STANDARD: {
            **flat(output_mtok="7.7", output_reasoning_mtok="7.9", audio_hours="1.02", requests_kcount="0.000003", images_count="0.04"),
            "input_mtok": ((-1, Decimal("0.3")), (5_000, Decimal("0.6"))),
        },
        "flex": flat(input_mtok="0.1", output_mtok="0.2"),
    },
)
QUANTITIES = st.one_of(st.integers(0, 100), st.integers(-(2**70), 2**70), st.sampled_from([2**32 - 1, 2**32, 2**63 - 1]))
USAGES = st.builds(Usage, **dict.fromkeys(RATES, QUANTITIES), service_tier=st.sampled_from([None, "flex", "nonesuch"]))


@given(USAGES)
def test_any_quantities_cost_something_between_nothing_and_64_bits(usage: Usage) -> None:
    for price in (RICH, plain(input_mtok="3", output_mtok="15"), plain(input_mtok="999999999")):
        cost = price.cost(usage)
        lines = price.lines(usage)
        assert 0 <= cost <= COST_LIMIT_NANO
        assert sum(line.amount_nano for line in lines) == cost
        assert all(line.amount_nano >= 0 for line in lines)


@given(st.builds(Usage, **dict.fromkeys(RATES, st.integers(0, 10_000))))
def test_a_line_is_its_exact_amount_rounded_up_or_down(usage: Usage) -> None:
    for line in RICH.lines(usage):
        exact = line.quantity * line.rate_nano
        assert exact // line.per <= line.amount_nano <= -(-exact // line.per)


@given(USAGES, st.sampled_from(sorted(set(RATES) - {"reasoning_tokens"})), st.integers(1, 10_000))
def test_more_never_costs_less(usage: Usage, name: str, more: int) -> None:
    before = RICH.cost(usage)
    setattr(usage, name, getattr(usage, name) + more)
    assert RICH.cost(usage) >= before


def test_negative_quantities_count_as_none() -> None:
    price = plain(input_mtok="3", output_mtok="15")
    assert price.cost(Usage(input_tokens=-5, output_tokens=1)) == 15_000
    assert [line.component for line in price.lines(Usage(input_tokens=-5, output_tokens=1))] == ["output_tokens"]


def test_a_cost_beyond_64_bits_is_the_largest_amount() -> None:
    assert plain(input_mtok="3").cost(Usage(input_tokens=2**80)) == COST_LIMIT_NANO
    assert plain(input_mtok="999999999").cost(Usage(input_tokens=2**31)) == COST_LIMIT_NANO


MULTIPLIERS = st.one_of(st.integers(0, 10**12), st.sampled_from([0, 1, 500_000, 999_999, 1_000_000, 1_000_001, 1_250_000, 10**9, 10**12]))
PRICES = st.sampled_from([RICH, plain(input_mtok="3", output_mtok="15"), plain(input_mtok="999999999"), plain(output_mtok="0.0000000001")])


@given(PRICES, USAGES, MULTIPLIERS)
def test_a_multiplied_cost_is_exact_and_rounded_once(price: Price, usage: Usage, micro: int) -> None:
    multiplied = price.times(micro)
    exact = sum(Fraction(line.quantity * line.rate_nano, line.per) for line in price.lines(usage)) * Fraction(micro, PER_MILLION)
    assert multiplied.cost(usage) == min((2 * exact + 1) // 2, COST_LIMIT_NANO)


@given(PRICES, USAGES, MULTIPLIERS)
def test_the_lines_of_a_multiplied_price_add_up_and_show_it(price: Price, usage: Usage, micro: int) -> None:
    multiplied = price.times(micro)
    lines = multiplied.lines(usage)
    assert sum(line.amount_nano for line in lines) == multiplied.cost(usage)
    assert {line.multiplier_micro for line in lines} <= {micro}
    for line in lines if multiplied.cost(usage) < COST_LIMIT_NANO else ():
        exact = Fraction(line.quantity * line.rate_nano * micro, line.per * PER_MILLION)
        assert exact - 1 < line.amount_nano < exact + 1


@given(PRICES, st.integers(0, 10**7), st.integers(0, 10**7), MULTIPLIERS)
def test_what_is_held_covers_plain_text_at_any_multiplier(price: Price, tokens_in: int, tokens_out: int, micro: int) -> None:
    if price is not RICH:  # its rate changes with the context length
        multiplied = price.times(micro)
        cost = multiplied.cost(Usage(input_tokens=tokens_in, output_tokens=tokens_out))
        assert cost <= multiplied.at_most(tokens_in, tokens_out) <= min(cost + 1, COST_LIMIT_NANO)


def test_a_multiplier_is_not_rounded_before_the_sum_is() -> None:
    price = plain(input_mtok="0.0005")
    assert [price.times(500_000).cost(Usage(input_tokens=tokens)) for tokens in (1, 2, 3, 4, 6)] == [0, 1, 1, 1, 2]


def test_multiplying_again_takes_the_place_of_what_was() -> None:
    price = plain(input_mtok="2")
    assert price.times(1_000_000) is price
    assert price.times(3_000_000).times(500_000) == price.times(500_000)
    assert (price.times(1_500_000).version, price.times(1_500_000).multiplier_micro) == (price.version, 1_500_000)
    with pytest.raises(ValueError):
        price.times(-1)


@given(PRICES, USAGES, MULTIPLIERS)
def test_a_price_is_the_same_after_it_was_stored(price: Price, usage: Usage, micro: int) -> None:
    stored = json.loads(json.dumps(pack(price.times(micro))))
    assert unpack(price.version, stored) == price
    assert unpack(price.version, stored).times(micro).lines(usage) == price.times(micro).lines(usage)


def test_a_stored_price_knows_nothing_of_later_components() -> None:
    stored = pack(RICH)
    for bands in stored["tiers"].values():
        for band in bands:
            del band["rates"]["web_searches"]
    line = unpack(RICH.version, stored).lines(Usage(web_searches=3))[0]
    assert (line.component, line.rate, line.amount_nano) == ("web_searches", None, 0)


def test_a_tier_of_its_own_name_is_not_the_standard_one() -> None:
    price = build_price("test", {STANDARD: flat(input_mtok="2"), "default": flat(input_mtok="1")})
    assert list(price.tiers()) == ["standard", "default"]
    assert unpack(price.version, pack(price)) == price
    assert [price.cost(Usage(input_tokens=1, service_tier=tier)) for tier in (None, "auto", "default")] == [2_000, 2_000, 1_000]


TEXTS = st.from_regex(r"[0-9]{1,3}\.[0-9]{1,6}", fullmatch=True)


@given(TEXTS, TEXTS)
def test_a_version_is_of_its_rates(one: str, other: str) -> None:
    versions = [plain(input_mtok="1", output_mtok=dollars).version for dollars in (one, other)]
    assert (versions[0] == versions[1]) == (Decimal(one) == Decimal(other))


def test_a_version_is_of_names_tiers_and_context_lengths_too() -> None:
    cards = [
        {STANDARD: flat(input_mtok="1")},
        {STANDARD: flat(input_mtok="1", cache_read_mtok="1")},
        {STANDARD: flat(input_mtok="1"), "flex": flat(input_mtok="1")},
        {STANDARD: {"input_mtok": ((-1, Decimal(1)), (10, Decimal(2)))}},
        {STANDARD: {"input_mtok": ((-1, Decimal(1)), (20, Decimal(2)))}},
    ]
    assert len({build_price("test", card).version for card in cards}) == len(cards)


def test_a_free_price_is_zero_in_so_many_words() -> None:
    price = free_price("free x", 5)
    usage = Usage(**dict.fromkeys(RATES, 10**6))
    assert (price.free, price.cost(usage), price.effective_at_ms) == (True, 0, 5)
    assert all(line.rate is not None and line.rate_nano == 0 for line in price.lines(usage))
    assert unpack(price.version, pack(price)) == price
    assert price.times(2_000_000).free


def test_the_same_price_at_another_time() -> None:
    one, other = plain(input_mtok="1"), build_price("other", {STANDARD: flat(input_mtok="1")}, 3, 9)
    assert (one.during(other).version, one.during(other).effective_at_ms, one.during(other).expires_at_ms) == (one.version, 3, 9)
