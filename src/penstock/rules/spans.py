"""Spans: the times at which a rule counts, by the clock of a place."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from penstock.rules.given import only, wrong

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
_FIELDS = ("from", "until", "days", "zone", "after", "before")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(msgspec.Struct, frozen=True):
    """When something counts. A day's part that goes over midnight belongs to the day on which it begins."""

    zone: str
    days: frozenset[int]
    """Monday is 0."""
    from_minute: int
    until_minute: int
    """Minutes since midnight; less than `from_minute`: on the day after."""
    after_ms: int | None
    before_ms: int | None

    def holds(self, now_ms: int) -> bool:
        """Whether the moment is within."""
        if (self.after_ms is not None and now_ms < self.after_ms) or (self.before_ms is not None and now_ms >= self.before_ms):
            return False
        day, minute = _on_the_wall(self.zone, now_ms // 60_000)
        if self.from_minute < self.until_minute:
            return day in self.days and self.from_minute <= minute < self.until_minute
        return (day in self.days and minute >= self.from_minute) or ((day - 1) % 7 in self.days and minute < self.until_minute)


@lru_cache(maxsize=1024)
def _on_the_wall(zone: str, minute: int) -> tuple[int, int]:
    """The weekday and the minute of the day that clocks show in a place, at a minute since 1970."""
    shown = (_EPOCH + timedelta(minutes=minute)).astimezone(_zone(zone))
    return shown.weekday(), shown.hour * 60 + shown.minute


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def read_span(given: Any, param: str) -> tuple[Span, dict[str, Any]]:
    """A span, and how it is written down. Raises PenstockError."""
    fields = only(given, _FIELDS, "A time", param)
    if not fields.keys() - {"zone"}:
        raise wrong("A time says at least one of from, until, days, after and before.", param)
    zone = fields.get("zone", "UTC")
    if not isinstance(zone, str) or not _ZONE.fullmatch(zone) or not _exists(zone):
        raise wrong("The zone is one of the IANA time zones, such as Europe/Berlin.", f"{param}.zone")
    days = _read_days(fields.get("days", DAYS), f"{param}.days")
    begin = _read_clock(fields.get("from", "00:00"), f"{param}.from")
    end = DAY_MINUTES if fields.get("until", "24:00") == "24:00" else _read_clock(fields["until"], f"{param}.until")
    if begin == end:
        raise wrong("From and until are the same: leave both out for the whole day.", f"{param}.until")
    after_ms, before_ms = (_read_moment(fields, name, zone, param) for name in ("after", "before"))
    if after_ms is not None and before_ms is not None and after_ms >= before_ms:
        raise wrong("The moment before which it counts is not later than the one after which it does.", f"{param}.before")
    written = {name: fields[name] for name in _FIELDS if name in fields}
    if "days" in written:
        written["days"] = [DAYS[day] for day in sorted(days)]
    return Span(zone, days, begin, end, after_ms, before_ms), written


def _exists(zone: str) -> bool:
    try:
        _zone(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _read_days(given: Any, param: str) -> frozenset[int]:
    if not isinstance(given, list | tuple) or not given or not all(isinstance(day, str) and day in DAYS for day in given):
        raise wrong(f"Days are a list of some of {', '.join(DAYS)}.", param)
    return frozenset(DAYS.index(day) for day in given)


def _read_clock(given: Any, param: str) -> int:
    found = _CLOCK.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise wrong("A time of day is written like 06:30.", param)
    return int(found[1]) * 60 + int(found[2])


def _read_moment(fields: Any, name: str, zone: str, param: str) -> int | None:
    if name not in fields:
        return None
    try:
        moment = datetime.fromisoformat(fields[name])
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=_zone(zone))
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (TypeError, ValueError, OverflowError):
        raise wrong("A moment is written like 2027-01-31T18:00:00Z.", f"{param}.{name}") from None
