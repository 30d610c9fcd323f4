"""The relay needs two names of records."""

from __future__ import annotations

from penstock.records import door, record, recorder


def test_the_door_shows_a_record_and_its_recorder_and_nothing_else() -> None:
    assert {name: getattr(door, name) for name in door.__all__} == {"Record": record.Record, "Recorder": recorder.Recorder}
