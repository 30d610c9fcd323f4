"""What the relay sees of telemetry: what it hands over, and to whom."""

from __future__ import annotations

from penstock.telemetry.content import CONTENT_LIMIT
from penstock.telemetry.seen import Seen, Trace, Trial
from penstock.telemetry.sender import Telemetry

__all__ = ["CONTENT_LIMIT", "Seen", "Telemetry", "Trace", "Trial"]
