"""Money: integers of one nano-dollar (1e-9 USD), rounded once, half up."""

from __future__ import annotations

import re

NANO_PER_DOLLAR = 1_000_000_000
PER_MILLION = 1_000_000
MAX_NANO = 2**63 - 1
_DECIMAL = re.compile(r"(\d{1,20})(?:\.(\d{1,9}))?", re.ASCII)


def round_half_up(numerator: int, denominator: int) -> int:
    """The integer nearest to numerator/denominator; a tie goes away from zero for positive numbers."""
    return (2 * numerator + denominator) // (2 * denominator)


def dollars(amount_nano: int) -> str:
    """An exact decimal string of dollars, without trailing zeros: 1_500_000_000 -> "1.5"."""
    sign = "-" if amount_nano < 0 else ""
    whole, rest = divmod(abs(amount_nano), NANO_PER_DOLLAR)
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def parse_dollars(text: str, per_dollar: int = 1) -> int:
    """Dollars, or units of which `per_dollar` are one, as nano-dollars: "2.50" -> 2_500_000_000. Raises ValueError.

    Digits with at most nine decimals, no sign and no exponent. Dollars are exact; other units are rounded to the nano, half up.
    """
    found = _DECIMAL.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is not an amount; write digits with up to nine decimals, as in 2.50")
    decimals = found[2] or ""
    return round_half_up(int(found[1] + decimals) * NANO_PER_DOLLAR, 10 ** len(decimals) * per_dollar)


def decimal_of_micro(micro: int) -> str:
    """Millionths that are not negative as an exact decimal string: 1_250_000 -> "1.25"."""
    return dollars(micro * (NANO_PER_DOLLAR // PER_MILLION))


def micro_of_decimal(text: str) -> int:
    """The millionths of a decimal string: "1.25" -> 1_250_000. Raises ValueError for what is not a number of at most six decimals."""
    micro, rest = divmod(parse_dollars(text), NANO_PER_DOLLAR // PER_MILLION)
    if rest:
        raise ValueError(f"'{text}' has more than six decimals")
    return micro
