"""What the relay sees of records: what one is, who takes it, and whose are wanted."""

from __future__ import annotations

from penstock.records.policies import Policies
from penstock.records.record import PHASES, Record
from penstock.records.recorder import Recorder
from penstock.records.redact import without_keys, without_secrets

__all__ = ["PHASES", "Policies", "Record", "Recorder", "without_keys", "without_secrets"]
