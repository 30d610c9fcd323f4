"""Filters: which records of a shelf are meant."""

from __future__ import annotations

import re

import msgspec

from penstock.kit import globs
from penstock.kit.errors import PenstockError
from penstock.records.entries import Entry

TEXT_LIMIT = 256
"""Characters of the longest text that is searched for."""
_STATUS_CLASS = re.compile(r"[1-5]xx")


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are meant; None leaves a question open, and all questions must be answered.

    A record is within a time from `from_ms` on and before `until_ms`. `model` is a glob that the model asked for or the one served
    fits. `status` is a number, or a class such as `5xx`. `text` is somewhere in a body, in capitals or not, and no pattern. Raises
    PenstockError `invalid_request` for what cannot be meant.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    key_id: str | None = None
    model: str | None = None
    wire: str | None = None
    status: int | str | None = None
    outcome: str | None = None
    channel: str | None = None
    least_cost_nano: int | None = None
    record_id: str | None = None
    rule_id: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.status, str) and not _STATUS_CLASS.fullmatch(self.status):
            raise PenstockError("invalid_request", "A status is a number such as 429, or a class such as 5xx.", param="status")
        if self.text is not None and not 0 < len(self.text) <= TEXT_LIMIT:
            raise PenstockError("invalid_request", f"Search for a text of 1 to {TEXT_LIMIT} characters.", param="text")
        if self.model is not None and len(self.model) > globs.NAME_LIMIT:
            raise PenstockError("invalid_request", "No model has so long a name.", param="model")

    @property
    def only_time(self) -> bool:
        """They ask for nothing but a time."""
        return all(getattr(self, name) is None for name in self.__struct_fields__ if name not in ("from_ms", "until_ms"))

    def fit(self, entry: Entry) -> bool:
        """Whether an entry is one that is meant, as far as it says: what is in the bodies is not looked at."""
        return (
            (self.from_ms is None or entry.created_at_ms >= self.from_ms)
            and (self.until_ms is None or entry.created_at_ms < self.until_ms)
            and (self.record_id is None or entry.id == self.record_id)
            and (self.key_id is None or entry.key_id == self.key_id)
            and (self.status is None or self._has_status(entry.status))
            and (self.outcome is None or entry.outcome == self.outcome)
            and (self.least_cost_nano is None or entry.cost_nano >= self.least_cost_nano)
            and (self.wire is None or entry.wire == self.wire)
            and (self.channel is None or entry.channel == self.channel)
            and (self.rule_id is None or self.rule_id in entry.rules)
            and (self.model is None or self._has_model(entry))
        )

    def _has_status(self, status: int | None) -> bool:
        if isinstance(self.status, int):
            return status == self.status
        return status is not None and status // 100 == int(str(self.status)[0])

    def _has_model(self, entry: Entry) -> bool:
        wanted = (self.model or "",)
        return any(name is not None and globs.matches(wanted, name) for name in (entry.model, entry.served))
