"""Policies: what accounts want of their records, in memory, so that nobody waits to know."""

from __future__ import annotations

import msgspec

PATHS, PATTERNS = 64, 32
"""How many of each a policy may have."""
DAYS_MAX = 3650


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What an account wants: whether everything of it is recorded, for how many days it stays on its shelf, what is covered.

    `redact_paths` are paths in JSON bodies, such as `messages.*.content`; `redact_patterns` RE2 patterns. `retention_days` None: as
    long as the operator keeps records, which is the most in any case.
    """

    record: bool = False
    retention_days: int | None = None
    redact_paths: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    updated_at_ms: int = 0


DEFAULT = Policy()
