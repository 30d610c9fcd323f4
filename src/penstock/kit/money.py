"""Money: integers of one nano-dollar (1e-9 USD), rounded once, half up."""

from __future__ import annotations

NANO_PER_DOLLAR = 1_000_000_000
PER_MILLION = 1_000_000
MAX_NANO = 2**63 - 1


def round_half_up(numerator: int, denominator: int) -> int:
    """The integer nearest to numerator/denominator; a tie goes away from zero for positive numbers."""
    return (2 * numerator + denominator) // (2 * denominator)


def dollars(amount_nano: int) -> str:
    """An exact decimal string of dollars, without trailing zeros: 1_500_000_000 -> "1.5"."""
    sign = "-" if amount_nano < 0 else ""
    whole, rest = divmod(abs(amount_nano), NANO_PER_DOLLAR)
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")
