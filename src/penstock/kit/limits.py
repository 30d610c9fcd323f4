"""Limits: what a key, an account or a tier may use, each None where there is none."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Spending = Literal["total_nano", "day_nano", "week_nano", "month_nano"]
CAPS: tuple[Spending, ...] = ("total_nano", "day_nano", "week_nano", "month_nano")
RATES = ("rpm", "tpm", "concurrency")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Caps of spending in nano-dollars, requests and tokens per minute, requests at once.

    `window` says what a day, week or month is: of the calendar in UTC (weeks begin on Monday), or `rolling`: 24 hours, 7 days
    or 30 days that begin with the first request after the last such time has ended.
    """

    total_nano: int | None = None
    day_nano: int | None = None
    week_nano: int | None = None
    month_nano: int | None = None
    window: Literal["calendar", "rolling"] = "calendar"
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None

    @property
    def any(self) -> bool:
        """There is some limit."""
        return any(getattr(self, name) is not None for name in (*CAPS, *RATES))


def read_limits(stored: dict[str, Any] | None) -> Limits:
    """The limits in a JSON column. Raises msgspec.ValidationError for what `Limits` does not hold."""
    return msgspec.convert(stored or {}, Limits)


def write_limits(limits: Limits) -> dict[str, Any]:
    """The limits as they are kept in a JSON column."""
    kept: dict[str, Any] = msgspec.to_builtins(limits)
    return kept
