"""What the relay sees of records: what one is, and who takes it."""

from __future__ import annotations

from penstock.records.record import Record
from penstock.records.recorder import Recorder

__all__ = ["Record", "Recorder"]
