"""Cards as people write them: read exactly, written as they were, and refused in words."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalog.cards import NAMES, as_dollars, read_cards, write_cards
from penstock.catalog.prices import UNITS, build_price, free_price
from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage

WRITTEN = {
    "standard": {
        "input_mtok": [{"above_tokens": 0, "dollars": "2.5"}, {"above_tokens": 200_000, "dollars": "5"}],
        "output_mtok": "10",
        "audio_hours": "1.02",
    },
    "batch": {"input_mtok": "1.25"},
}


def test_what_was_read_is_written_alike():
    price = build_price("test", read_cards(WRITTEN))
    assert write_cards(price) == WRITTEN
    assert price.cost(Usage(input_tokens=200_000)) == 500_000_000
    assert price.cost(Usage(input_tokens=200_001)) == 200_001 * 5_000
    assert price.cost(Usage(input_tokens=4, service_tier="batch")) == 5_000


def test_a_multiplied_price_is_written_multiplied():
    written = write_cards(build_price("test", read_cards(WRITTEN)).times(1_100_001))
    assert written["standard"]["input_mtok"][1] == {"above_tokens": 200_000, "dollars": "5.500005"}
    assert written["standard"]["audio_hours"] == "1.12200102"


def test_steps_that_are_no_steps_are_one_rate():
    steps = [{"above_tokens": 0, "dollars": "2"}, {"above_tokens": 5, "dollars": "2.0"}]
    assert write_cards(build_price("test", read_cards({"standard": {"input_mtok": steps}}))) == {"standard": {"input_mtok": "2"}}


def test_a_free_price_is_written_as_zeros():
    assert set(write_cards(free_price("free"))["standard"].values()) == {"0"}


TEXTS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,15})?", fullmatch=True)


@given(TEXTS, st.sampled_from(NAMES))
def test_any_text_is_exact_both_ways(text: str, name: str):
    price = build_price("test", read_cards({"standard": {name: text}}))
    written = write_cards(price)["standard"]
    if name in written:  # a general rate beside none that falls back to it would not be used
        assert Decimal(written[name]) == Decimal(text)
        assert written[name] == as_dollars(Fraction(text) * 10**9 / UNITS[name.rpartition("_")[2]], name)


@pytest.mark.parametrize(
    ("nano_per_unit", "name", "text"),
    [
        (Fraction(2500), "input_mtok", "2.5"),
        (Fraction(0), "input_mtok", "0"),
        (Fraction(1, 1000), "input_mtok", "0.000001"),
        (Fraction(40_000_000), "images_count", "0.04"),
        (Fraction(10_000_000), "web_searches_kcount", "10"),
        (Fraction(10**14), "input_mtok", "100000000000"),
    ],
)
def test_dollars_as_text(nano_per_unit, name, text):
    assert as_dollars(nano_per_unit, name) == text


def test_what_has_no_end_is_no_text():
    with pytest.raises(ValueError):
        as_dollars(Fraction(1, 3), "input_mtok")


def steps(*pairs):
    return [{"above_tokens": above, "dollars": dollars} for above, dollars in pairs]


@pytest.mark.parametrize(
    ("written", "param"),
    [
        ({}, "rates"),
        ({"flex": {"input_mtok": "1"}}, "rates"),
        ({"standard": {"input_mtok": "1"}, "default": {"input_mtok": "1"}}, "rates"),
        ({"standard": {"input_mtok": "1"}, "Flex": {"input_mtok": "1"}}, "rates"),
        ({"standard": {"input_mtok": "1"}, **{f"t{number}": {"input_mtok": "1"} for number in range(16)}}, "rates"),
        ({"standard": {}}, "rates.standard"),
        ({"standard": "1"}, "rates.standard"),
        ({"standard": {"input": "1"}}, "rates.standard"),
        *(
            ({"standard": {"input_mtok": wrong}}, "rates.standard.input_mtok")
            for wrong in (
                1, 1.5, None, True, "", "-1", "+1", "1e3", "1.", ".5", "1,5", " 1", "1 ", "\u0661", "NaN", "inf", "1" * 10, "0." + "1" * 16,
                {}, [], steps((1, "1")), steps((0, "1"), (0, "2")), steps((0, "1"), (5, "2"), (4, "3")), steps((0, 1)), ["1"],
                steps((False, "1")), steps((0, "1"), (2.0, "2")), steps((0, "1"), (10**10, "2")), [{"above_tokens": 0}],
                steps(*((n, "1") for n in range(17))),
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_card_is_refused_by_its_place(written, param):
    with pytest.raises(PenstockError) as caught:
        read_cards(written)
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)
