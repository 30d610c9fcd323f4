from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from penstock.kit.errors import PenstockError
from penstock.rules.spans import read_span


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def holds(given: dict, text: str, zone: str = "UTC") -> bool:
    return read_span(given, "x")[0].holds(at(text, zone))


@pytest.mark.parametrize(("clock", "within"), [("08:59", False), ("09:00", True), ("16:59", True), ("17:00", False), ("00:00", False)])
def test_a_part_of_the_day(clock, within):
    assert holds({"from": "09:00", "until": "17:00"}, f"2026-11-25T{clock}") is within


@pytest.mark.parametrize(
    ("moment", "within"),
    [
        ("2026-11-23T21:59", False),
        ("2026-11-23T22:00", True),  # Monday
        ("2026-11-24T05:59", True),
        ("2026-11-24T06:00", False),
        ("2026-11-24T22:00", False),
        ("2026-11-23T05:00", False),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment, within):
    assert holds({"from": "22:00", "until": "06:00", "days": ["mon"]}, moment) is within


def test_a_sunday_night_goes_into_monday():
    assert holds({"from": "22:00", "until": "06:00", "days": ["sun"]}, "2026-11-23T03:00")


def test_days_alone_are_whole_days():
    weekend = {"days": ["sun", "sat"]}
    assert [holds(weekend, f"2026-11-{day}T{clock}") for day, clock in ((27, "23:59"), (28, "00:00"), (29, "23:59"), (30, "00:00"))] == [
        False,
        True,
        True,
        False,
    ]


def test_from_alone_is_until_midnight_and_until_alone_from_it():
    assert holds({"from": "22:00"}, "2026-11-25T23:59") and not holds({"from": "22:00"}, "2026-11-25T00:00")
    assert holds({"until": "06:00"}, "2026-11-25T00:00") and not holds({"until": "06:00"}, "2026-11-25T06:00")
    assert holds({"from": "22:00", "until": "24:00"}, "2026-11-25T23:59")


def test_clocks_are_those_of_the_zone_and_go_with_its_summer():
    office = {"from": "09:00", "until": "10:00", "zone": "Europe/Berlin"}
    assert holds(office, "2026-01-15T08:30") and not holds(office, "2026-01-15T07:30")
    assert holds(office, "2026-07-15T07:30") and not holds(office, "2026-07-15T08:30")
    assert holds(office, "2026-03-29T09:30", "Europe/Berlin")


def test_moments():
    span = {"after": "2026-11-25T10:00:00Z", "before": "2026-11-25T12:00:00+01:00"}
    assert [holds(span, f"2026-11-25T{clock}") for clock in ("09:59:59", "10:00:00", "10:59:59", "11:00:00")] == [False, True, True, False]
    berlin = {"after": "2026-11-25T10:00", "zone": "Europe/Berlin"}
    assert holds(berlin, "2026-11-25T09:00") and not holds(berlin, "2026-11-25T08:59")


def test_it_is_written_in_one_spelling():
    given = {"days": ["sun", "mon", "mon"], "until": "06:00", "from": "22:00"}
    assert read_span(given, "x")[1] == {"from": "22:00", "until": "06:00", "days": ["mon", "sun"]}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "v"),
        ({"zone": "UTC"}, "v"),
        ("22:00", "v"),
        ({"from": "22:00", "until": "22:00"}, "v.until"),
        ({"from": "24:00"}, "v.from"),
        ({"from": "7:00"}, "v.from"),
        ({"from": 7}, "v.from"),
        ({"until": "00:60"}, "v.until"),
        ({"days": []}, "v.days"),
        ({"days": ["monday"]}, "v.days"),
        ({"days": [[]]}, "v.days"),
        ({"days": "mon"}, "v.days"),
        ({"from": "01:00", "zone": "Mars"}, "v.zone"),
        ({"from": "01:00", "zone": "../../etc/passwd"}, "v.zone"),
        ({"from": "01:00", "zone": "America"}, "v.zone"),
        ({"from": "01:00", "zone": "/etc/localtime"}, "v.zone"),
        ({"from": "01:00", "zone": 1}, "v.zone"),
        ({"after": "tomorrow"}, "v.after"),
        ({"after": 5}, "v.after"),
        ({"after": "2026-11-25", "before": "2026-11-25"}, "v.before"),
        ({"at": "22:00"}, "v.at"),
        ({"after": "0001-01-01T00:00:00+23:59"}, None),
    ],
)
def test_what_is_no_time_is_refused(given, param):
    if param is None:
        assert read_span(given, "v")[0].holds(0)
        return
    with pytest.raises(PenstockError) as refused:
        read_span(given, "v")
    assert refused.value.param == param
