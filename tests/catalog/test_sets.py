"""Sets of prices: our own format both ways, LiteLLM's as it is, and what is neither."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalog.cards import read_cards
from penstock.catalog.prices import build_price
from penstock.catalog.sets import FORMAT, PriceSet, Wish, read_set, write_set
from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage

VENDORS = frozenset({"openai", "anthropic"})


def read(value) -> PriceSet:
    return read_set(json.dumps(value).encode(), VENDORS)


def theirs(**entry) -> dict:
    """The rates of one entry of LiteLLM's list."""
    (wish,) = read({"m": {"litellm_provider": "openai", "mode": "chat", **entry}}).wishes
    read_cards(wish.rates)
    return wish.rates


def test_our_own_format_both_ways():
    prices = PriceSet(
        (
            Wish("openai", "gpt-4o", rates={"standard": {"input_mtok": "2.5"}}, effective_at_ms=1_798_761_600_000, output_cap=100),
            Wish("*", "x-*", free=True),
        ),
        {"gpt-*": 1_250_000},
    )
    written = write_set(prices)
    assert written["format"] == FORMAT
    assert written["prices"][0]["effective_at"] == "2027-01-01T00:00:00Z"
    assert read(written) == prices
    assert read({"format": FORMAT}) == PriceSet((), {})


def test_rates_of_theirs_are_for_a_million():
    assert theirs(
        input_cost_per_token=2.5e-06,
        output_cost_per_token=1e-05,
        cache_read_input_token_cost=1.25e-06,
        cache_creation_input_token_cost=3e-06,
        cache_creation_input_token_cost_above_1hr=6e-06,
        input_cost_per_audio_token=4e-05,
        output_cost_per_reasoning_token=0,
        search_context_cost_per_query={"search_context_size_low": 0.01, "search_context_size_medium": 0.025},
        max_tokens=5,
        supports_vision=True,
    ) == {
        "standard": {
            "input_mtok": "2.5",
            "output_mtok": "10",
            "cache_read_mtok": "1.25",
            "cache_write_mtok": "3",
            "cache_write_1h_mtok": "6",
            "input_audio_mtok": "40",
            "output_reasoning_mtok": "0",
            "web_searches_kcount": "25",
        }
    }


def test_service_tiers_of_theirs_have_what_the_standard_one_has_beside():
    assert theirs(
        input_cost_per_token=2e-06, output_cost_per_token=8e-06, input_cost_per_token_batches=1e-06, output_cost_per_token_flex=4e-06
    ) == {
        "standard": {"input_mtok": "2", "output_mtok": "8"},
        "batch": {"input_mtok": "1", "output_mtok": "8"},
        "flex": {"input_mtok": "2", "output_mtok": "4"},
    }


def test_context_lengths_of_theirs():
    rates = theirs(
        input_cost_per_token=3e-06, input_cost_per_token_above_200k_tokens=6e-06, input_cost_per_token_above_200k_tokens_priority=1e-05,
        cache_creation_input_token_cost_above_1hr_above_200k_tokens=1.2e-05, cache_creation_input_token_cost_above_1hr=6e-06,
    )  # fmt: skip
    assert rates["standard"]["input_mtok"] == [{"above_tokens": 0, "dollars": "3"}, {"above_tokens": 200_000, "dollars": "6"}]
    assert rates["standard"]["cache_write_1h_mtok"][1] == {"above_tokens": 200_000, "dollars": "12"}
    assert rates["priority"] == rates["standard"], "a step alone has nothing below it"
    price = build_price("x", read_cards(rates))
    assert [price.cost(Usage(input_tokens=tokens)) for tokens in (200_000, 200_001)] == [600_000_000, 1_200_006_000]


def test_things_of_theirs_that_are_no_tokens():
    assert theirs(mode="image_generation", input_cost_per_image=0.04) == {"standard": {"images_count": "0.04"}}
    assert theirs(mode="audio_transcription", input_cost_per_second=0.0001) == {"standard": {"audio_hours": "0.36"}}
    assert theirs(mode="audio_speech", input_cost_per_character=1.5e-05) == {"standard": {"input_mchars": "15"}}


def test_what_is_left_out_is_said():
    dear = {"litellm_provider": "openai", "input_cost_per_token": 1e-6}
    found = read({
        "sample_spec": {"litellm_provider": "one of https://docs"},
        "azure/gpt-4o": {"litellm_provider": "azure", "input_cost_per_token": 1e-6},
        "openai/gpt-4o": dear,
        "hd/1024-x-1024/dall-e-3": dear,
        "omni-moderation": {"litellm_provider": "openai", "input_cost_per_token": 0.0},
        "sora": {"litellm_provider": "openai", "output_cost_per_video_per_second": 0.1},
    })  # fmt: skip
    assert [wish.model for wish in found.wishes] == ["gpt-4o"]
    assert [words.partition(":")[0] for words in found.skipped] == ["hd/1024-x-1024/dall-e-3", "omni-moderation", "sora"]


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"format": "penstock-prices/2"}, "format"),
        ({"format": FORMAT, "prices": {}}, "prices"),
        ({"format": FORMAT, "prices": [1]}, "prices.0"),
        ({"format": FORMAT, "prices": [{"model": "x"}]}, "prices.0"),
        ({"format": FORMAT, "prices": [{"provider": "openai", "model": "x", "more": 1}]}, "prices.0"),
        ({"format": FORMAT, "prices": [{"provider": "openai", "model": 5}]}, "prices.0.model"),
        ({"format": FORMAT, "prices": [{"provider": "openai", "model": "x", "free": 1}]}, "prices.0.free"),
        ({"format": FORMAT, "prices": [{"provider": "openai", "model": "x", "output_cap": True}]}, "prices.0.output_cap"),
        ({"format": FORMAT, "prices": [{"provider": "openai", "model": "x", "effective_at": "30d"}]}, "prices.0.effective_at"),
        ({"format": FORMAT, "prices": [{"provider": "openai", "model": "x", "effective_at": "2027-13-01T00:00"}]}, "prices.0.effective_at"),
        ({"format": FORMAT, "multipliers": [{"model": "x", "multiplier_micro": 1.5}]}, "multipliers.0.multiplier_micro"),
        ({"format": FORMAT, "multipliers": [{"model": "x", "multiplier_micro": None}]}, "multipliers.0.multiplier_micro"),
        ({"a": 1}, None),
        ([], None),
        *(
            ({"m": {"litellm_provider": "openai", "input_cost_per_token": wrong}}, "m")
            for wrong in (-1, -1e-9, "0.1", True, [], {}, 1e300, 10**8)
        ),
    ],
)  # fmt: skip
def test_what_is_no_set_is_refused_by_its_place(value, param):
    with pytest.raises(PenstockError) as caught:
        read(value)
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"m": {"x": NaN}}', b'{"m": {"x": -Infinity}}', b"1" * 5000])
def test_what_is_no_json_is_refused(raw):
    with pytest.raises(PenstockError) as caught:
        read_set(raw, VENDORS)
    assert caught.value.code in ("invalid_json", "invalid_request")


def test_a_number_with_a_malicious_exponent_is_refused_at_once():
    with pytest.raises(PenstockError):
        read_set(b'{"m": {"litellm_provider": "openai", "input_cost_per_token": 1e-999999999}}', VENDORS)


def test_too_much_is_refused():
    with pytest.raises(PenstockError) as caught:
        read_set(b" " * (16 * 1024 * 1024 + 1), VENDORS)
    assert caught.value.code == "body_too_large"
    with pytest.raises(PenstockError):
        read({f"m{number}": {} for number in range(20_001)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["format", "prices", "multipliers", "provider", "model", "rates", "litellm_provider", "input_cost_per_token"])
            | st.text(max_size=5),
            inner | st.sampled_from([FORMAT, "openai"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_sent_is_read_or_refused(value):
    with suppress(PenstockError):
        assert isinstance(read(value), PriceSet)
