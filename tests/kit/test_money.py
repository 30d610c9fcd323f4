"""Money: rounded once, half up; shown exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.money import MAX_NANO, NANO_PER_DOLLAR, dollars, round_half_up

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
