"""Money: rounded once, half up; shown exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.money import MAX_NANO, NANO_PER_DOLLAR, decimal_of_micro, dollars, micro_of_decimal, parse_dollars, round_half_up

amounts = st.integers(0, MAX_NANO)


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(1, 2, 1), (3, 2, 2), (1, 3, 0), (2, 3, 1), (0, 7, 0), (499_999, 1_000_000, 0), (500_000, 1_000_000, 1)],
)
def test_round_half_up(numerator: int, denominator: int, rounded: int) -> None:
    assert round_half_up(numerator, denominator) == rounded


@given(amounts, st.integers(1, 10**12))
def test_round_half_up_agrees_with_decimal(numerator: int, denominator: int) -> None:
    with localcontext(prec=80):
        expected = (Decimal(numerator) / Decimal(denominator)).to_integral_value(ROUND_HALF_UP)
    assert round_half_up(numerator, denominator) == expected


@pytest.mark.parametrize(
    ("amount_nano", "shown"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (1_500_000_000, "1.5"),
        (10 * NANO_PER_DOLLAR, "10"),
        (-250_000_000, "-0.25"),
        (100 * NANO_PER_DOLLAR, "100"),
    ],
)
def test_dollars(amount_nano: int, shown: str) -> None:
    assert dollars(amount_nano) == shown


@given(st.integers(-MAX_NANO, MAX_NANO))
def test_dollars_is_exact(amount_nano: int) -> None:
    assert Decimal(dollars(amount_nano)) * NANO_PER_DOLLAR == amount_nano


@pytest.mark.parametrize(
    ("text", "per_dollar", "amount_nano"),
    [
        ("0", 1, 0),
        ("2.50", 1, 2_500_000_000),
        (" 0.000000001 ", 1, 1),
        ("1", 3, 333_333_333),
        ("2", 3, 666_666_667),
        ("34000.00", 34_000, NANO_PER_DOLLAR),
        ("99999999999999999999", 1, 99_999_999_999_999_999_999 * NANO_PER_DOLLAR),
    ],
)
def test_parse_dollars(text: str, per_dollar: int, amount_nano: int) -> None:
    assert parse_dollars(text, per_dollar) == amount_nano


@pytest.mark.parametrize("text", ["", "-1", "+1", "1e3", "1.", ".5", "1,5", "1_000", "0.0000000001", "\u0661", "nan", "1 2", "1" * 21])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        parse_dollars(text)


@given(amounts)
def test_parse_dollars_reads_what_dollars_shows(amount_nano: int) -> None:
    assert parse_dollars(dollars(amount_nano)) == amount_nano


@pytest.mark.parametrize(("text", "micro"), [("1", 1_000_000), ("1.25", 1_250_000), ("0", 0), ("0.000001", 1), ("1000", 10**9)])
def test_millionths_are_exact_both_ways(text, micro):
    assert (decimal_of_micro(micro), micro_of_decimal(text)) == (text, micro)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "0.0000001", "1,5", "one"])
def test_what_is_no_number_of_millionths_is_refused(text):
    with pytest.raises(ValueError):
        micro_of_decimal(text)
