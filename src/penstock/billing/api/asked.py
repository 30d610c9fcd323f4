"""What is asked of the bill: the parameters that say which charges are meant, and in which time."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from penstock.accounts.api.asking import ID, ID_LIMIT, Who
from penstock.accounts.identity import Identity
from penstock.billing.selection import LAST_MS, Selection, Span
from penstock.billing.sums import DAY_MS
from penstock.kit.clock import now_ms, parse_moment_ms, parse_span_s
from penstock.kit.errors import PenstockError
from penstock.kit.money import MAX_NANO

TEXT_LIMIT = 200
_SPAN = re.compile(r"\d+\s*[smhdw]", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Ref = Annotated[str | None, Field(max_length=ID_LIMIT, pattern=ID)]
Text = Annotated[str | None, Field(max_length=TEXT_LIMIT, pattern=_PRINTABLE)]
Moment = Annotated[str | None, Field(max_length=64, examples=["2026-10-01"])]
Cost = Annotated[int | None, Field(ge=0, le=MAX_NANO)]


class Scope(BaseModel):
    """Whose charges, of what, and from when to when."""

    account_id: Annotated[Ref, Field(description="For administrators: whose. Default: everybody's. Members have their own.")] = None
    key_id: Ref = None
    model: Annotated[
        Text, Field(description="The name that was asked for; `*` is any run of characters, `?` any one.", examples=["gpt-*"])
    ] = None
    channel: Text = None
    since: Annotated[
        Moment, Field(description="ISO 8601 (UTC unless it names a zone), a date, which is its first moment, or a span before now: `30d`.")
    ] = None
    until: Annotated[Moment, Field(description="The same, not included; a date is its last moment.")] = None

    def selection(self, who: Identity) -> Selection:
        """What is meant. Raises PenstockError `invalid_request`, and `not_found` for another's account."""
        account_id = None if who.is_admin and self.account_id is None else who.acting_on(self.account_id)
        return Selection(span=self.span(), account_id=account_id, key_id=self.key_id, model=self.model, channel=self.channel)

    def span(self) -> Span:
        """The time that is meant, all of it by default."""
        since_ms = 0 if self.since is None else moment_ms(self.since, "since")
        until_ms = LAST_MS if self.until is None else moment_ms(self.until, "until")
        if since_ms > until_ms:
            raise PenstockError("invalid_request", "since is after until.", param="since")
        return Span(since_ms, until_ms)


class Wanted(Scope):
    """The same, and what a single charge must be like."""

    free: Annotated[bool | None, Field(description="Whether any of the cost was free money.")] = None
    estimated: bool | None = None
    status: Annotated[int | None, Field(ge=100, le=599)] = None
    outcome: Annotated[Text, Field(examples=["complete"])] = None
    cost_from_nano: Cost = None
    cost_to_nano: Annotated[Cost, Field(description="Included.")] = None

    def selection(self, who: Identity) -> Selection:
        """What is meant; raises as for `Scope`."""
        scope = super().selection(who)
        return Selection(
            span=scope.span, account_id=scope.account_id, key_id=scope.key_id, model=scope.model, channel=scope.channel, free=self.free,
            estimated=self.estimated, status=self.status, outcome=self.outcome, cost_from_nano=self.cost_from_nano,
            cost_to_nano=self.cost_to_nano,
        )  # fmt: skip


def _meant(who: Who, wanted: Annotated[Wanted, Query()]) -> Selection:
    return wanted.selection(who)


Meant = Annotated[Selection, Depends(_meant)]


def moment_ms(text: str, param: str) -> int:
    """The moment that a parameter names. Raises PenstockError `invalid_request`."""
    text, now = text.strip(), now_ms()
    try:
        if _SPAN.fullmatch(text):
            return max(now - parse_span_s(text) * 1000, 0)
        at_ms = parse_moment_ms(text, now)
    except (ValueError, OverflowError) as wrong:
        raise PenstockError("invalid_request", f"{param}: {wrong}.", param=param) from None
    return max(at_ms - DAY_MS if param == "since" and _DATE.fullmatch(text) else at_ms, 0)
