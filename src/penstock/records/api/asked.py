"""What is asked of records: the shelf, and the parameters that say which of its records are meant."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from fastapi import Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from penstock.accounts.api.asking import ID, ID_LIMIT, Who
from penstock.accounts.identity import Identity
from penstock.billing.api.asked import Cost, Moment, Ref, Text, moment_ms
from penstock.kit.errors import PenstockError
from penstock.records.entries import OPERATOR_SHELF, shelf_of
from penstock.records.filters import TEXT_LIMIT
from penstock.records.service import Filters, Records

Shelves = Literal["own", "operator"]
RecordId = Annotated[str, Path(max_length=ID_LIMIT, pattern=ID, examples=["req_..."])]
_ABOUT_SHELF = "`operator`: what the operator records of everybody; for administrators."


class Wanted(BaseModel):
    """Which records of a shelf are meant; what is left out is not asked."""

    since: Annotated[
        Moment, Field(description="ISO 8601 (UTC unless it names a zone), a date, which is its first moment, or a span before now: `30d`.")
    ] = None
    until: Annotated[Moment, Field(description="The same, not included; a date is its last moment.")] = None
    key_id: Ref = None
    model: Annotated[Text, Field(description="Asked for or served; `*` is any run of characters.", examples=["gpt-*"])] = None
    wire: Annotated[Text, Field(examples=["chat"])] = None
    status: Annotated[
        str | None, Field(pattern="^[1-5]([0-9]{2}|xx)$", description="A number or a class.", examples=["5xx"], max_length=3)
    ] = None
    outcome: Annotated[Text, Field(examples=["complete"])] = None
    channel: Text = None
    cost_from_nano: Cost = None
    record_id: Ref = None
    rule_id: Ref = None
    text: Annotated[
        str | None,
        Field(
            min_length=1, max_length=TEXT_LIMIT, pattern=r"^[^\x00]*$", description="Somewhere in a body; capitals do not count.",
            examples=["weather"],
        ),
    ] = None  # fmt: skip

    def filters(self) -> Filters:
        """The same for the service. Raises PenstockError `invalid_request`."""
        since_ms = None if self.since is None else moment_ms(self.since, "since")
        until_ms = None if self.until is None else moment_ms(self.until, "until")
        if since_ms is not None and until_ms is not None and since_ms > until_ms:
            raise PenstockError("invalid_request", "since is after until.", param="since")
        status = int(self.status) if self.status is not None and self.status.isdigit() else self.status
        return Filters(
            from_ms=since_ms, until_ms=until_ms, key_id=self.key_id, model=self.model, wire=self.wire, status=status,
            outcome=self.outcome, channel=self.channel, least_cost_nano=self.cost_from_nano, record_id=self.record_id,
            rule_id=self.rule_id, text=self.text,
        )  # fmt: skip


def unsniffed(response: Response) -> None:
    """No browser takes the answer for anything but what it says it is: there is text in it that anybody may have written."""
    response.headers["x-content-type-options"] = "nosniff"


def shelf_meant(who: Identity, shelf: Shelves) -> str:
    """The shelf that is meant: one's own, or the operator's. Raises PenstockError `forbidden`."""
    if shelf == "own":
        return shelf_of(who.account_id)
    if not who.is_admin:
        raise PenstockError("forbidden", "Only administrators may see the operator's shelf.", param="shelf")
    return OPERATOR_SHELF


def _shelf(who: Who, shelf: Annotated[Shelves, Query(description=_ABOUT_SHELF)] = "own") -> str:
    return shelf_meant(who, shelf)


def _meant(wanted: Annotated[Wanted, Query()]) -> Filters:
    return wanted.filters()


def _records(request: Request) -> Records:
    return cast(Records, request.app.state.records)


Shelf = Annotated[str, Depends(_shelf)]
Meant = Annotated[Filters, Depends(_meant)]
TheRecords = Annotated[Records, Depends(_records)]
