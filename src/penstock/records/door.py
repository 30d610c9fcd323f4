"""What the relay sees of records: what one is, and who takes it."""

from __future__ import annotations

from penstock.records.record import PHASES, Record
from penstock.records.recorder import Recorder
from penstock.records.redact import without_keys, without_secrets

__all__ = ["PHASES", "Record", "Recorder", "without_keys", "without_secrets"]
