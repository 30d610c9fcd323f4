"""Limits: what a key, an account or a tier may use, each None where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from penstock.kit.errors import PenstockError

Spending = Literal["total_nano", "day_nano", "week_nano", "month_nano"]
CAPS: tuple[Spending, ...] = ("total_nano", "day_nano", "week_nano", "month_nano")
RATES = ("rpm", "tpm", "concurrency")
GREATEST = 10**18
Window = Literal["calendar", "rolling"]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Caps of spending in nano-dollars, requests and tokens per minute, requests at once.

    `window` says what a day, week or month is: of the calendar in UTC (weeks begin on Monday), or `rolling`: 24 hours, 7 days
    or 30 days that begin with the first request after the last such time has ended.
    """

    total_nano: int | None = None
    day_nano: int | None = None
    week_nano: int | None = None
    month_nano: int | None = None
    window: Window = "calendar"
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


def change_limits(limits: Limits, given: Mapping[str, Any]) -> Limits:
    """The limits with those changed that are given; None takes one away, 0 allows nothing.

    Raises PenstockError `invalid_request` for a name that is none and for what is no whole number from 0 to `GREATEST`.
    """
    for name, value in given.items():
        if name not in Limits.__struct_fields__:
            raise _refusal(name, f"There is no such limit; there are {', '.join(Limits.__struct_fields__)}.")
        if name == "window":
            if value not in get_args(Window):
                raise _refusal(name, "The window is 'calendar' or 'rolling'.")
        elif value is not None and not (type(value) is int and 0 <= value <= GREATEST):
            raise _refusal(name, f"A limit is a whole number from 0 to {GREATEST}, or null for none.")
    return msgspec.structs.replace(limits, **given)


def _refusal(name: str, words: str) -> PenstockError:
    return PenstockError("invalid_request", words, param=f"limits.{name}")
