"""The relay needs few names of telemetry, and none of them brings the SDK."""

from __future__ import annotations

import subprocess
import sys

from penstock.telemetry import door, seen, sender


def test_the_door_shows_what_is_handed_over_and_to_whom():
    assert {name: getattr(door, name) for name in door.__all__ if name != "CONTENT_LIMIT"} == {
        "Seen": seen.Seen, "Trace": seen.Trace, "Trial": seen.Trial, "Telemetry": sender.Telemetry,
    }  # fmt: skip


def test_the_program_does_not_import_the_sdk_before_it_is_asked_for():
    heavy = "('opentelemetry.sdk', 'opentelemetry.exporter')"
    code = f"import sys, penstock.app, penstock.serving; print([name for name in sys.modules if name.startswith({heavy})])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
