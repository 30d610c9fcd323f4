"""Others need few names of records."""

from __future__ import annotations

from penstock.records import door, record, recorder, redact


def test_the_door_shows_a_record_and_its_recorder_and_little_else() -> None:
    shown = {name: getattr(door, name) for name in door.__all__}

    assert shown == {
        "PHASES": record.PHASES,
        "Record": record.Record,
        "Recorder": recorder.Recorder,
        "without_keys": redact.without_keys,
        "without_secrets": redact.without_secrets,
    }
