"""The relay needs few names of records."""

from __future__ import annotations

from penstock.records import door, policies, record, recorder, redact


def test_the_door_shows_a_record_and_its_recorder_and_little_else() -> None:
    shown = {name: getattr(door, name) for name in door.__all__}

    assert shown == {
        "PHASES": record.PHASES, "Policies": policies.Policies, "Record": record.Record, "Recorder": recorder.Recorder,
        "without_keys": redact.without_keys, "without_secrets": redact.without_secrets,
    }  # fmt: skip
