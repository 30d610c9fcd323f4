"""Reading records, under `/api/records`: list, open, compare, export, clear, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from penstock.accounts.api.asking import On, Who
from penstock.accounts.api.errors import refusals
from penstock.billing.api.bill import TheBill
from penstock.billing.api.streamed import Streamed
from penstock.kit.clock import iso
from penstock.kit.errors import PenstockError
from penstock.kit.pages import CURSOR_LIMIT, LIMIT, LIMIT_MAX
from penstock.records.api.asked import Meant, RecordId, Shelf, Shelves, TheRecords, Wanted, shelf_meant, unsniffed
from penstock.records.api.shapes import Cleared, DiffShown, EntryPage, EntryShown, PolicyShown, RecordShown, StateShown, Written
from penstock.records.exports import MEDIA_TYPES, Format, export
from penstock.records.layers import layers
from penstock.records.noted import Noted
from penstock.records.policies import DAYS_MAX, PATHS, PATTERNS
from penstock.records.service import Entry, Opened, Policy
from penstock.records.shown import entry_shown, opened_shown

routes = APIRouter(
    prefix="/api/records", tags=["records"], dependencies=[Depends(unsniffed)], responses=refusals("not_signed_in", "forbidden")
)

RULE_LIMIT = 1000
"""Characters of a path or a pattern."""
_MISSING = refusals("invalid_request", "not_found")
_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All records that are meant, the latest first.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "id,created_at,...\r\nreq_...,2027-01-31T12:00:00.123Z,...\r\n"},
            "application/json": {
                "schema": {"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]},
                "example": [{"id": "req_..."}],
            },
            "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"id": "req_...", ...}\n'},
        },
    }
}


class ClearGiven(Wanted):
    """Which records are to be deleted: all of a shelf, unless more is said."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"until": "30d", "model": "gpt-*"}]})

    shelf: Shelves = "own"


class PolicyGiven(BaseModel):
    """What an account wants of its records; it takes the place of what it wanted before."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"record": True, "retention_days": 7, "redact_paths": ["messages.*.content"]}]}
    )

    record: Annotated[StrictBool, Field(description="Record everything of the account, whichever its key.")] = False
    retention_days: Annotated[StrictInt, Field(ge=1, le=DAYS_MAX)] | None = None
    redact_paths: Annotated[list[Annotated[str, Field(max_length=RULE_LIMIT)]], Field(max_length=PATHS)] = []
    redact_patterns: Annotated[list[Annotated[str, Field(max_length=RULE_LIMIT)]], Field(max_length=PATTERNS)] = []


def _noted(request: Request) -> Noted:
    return cast(Noted, request.app.state.noted)


TheNoted = Annotated[Noted, Depends(_noted)]


@routes.get("", responses=refusals("invalid_request"))
async def list_records(
    shelf: Shelf,
    meant: Meant,
    records: TheRecords,
    bill: TheBill,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many to list at most.")] = LIMIT,
    cursor: Annotated[str | None, Query(max_length=CURSOR_LIMIT, description="The `next` of the page before.")] = None,
) -> EntryPage:
    """Records, the latest first, without bodies."""
    found = await records.list(shelf, meant, cursor=cursor, limit=limit)
    names = await bill.names(sorted({entry.key_id for entry in found.entries if entry.key_id is not None}))
    return EntryPage(data=[_listed(entry, names) for entry in found.entries], next=found.cursor, complete=found.complete)


@routes.get("/export", response_class=Response, responses=_EXPORTED | refusals("invalid_request"))
async def export_records(
    shelf: Shelf, meant: Meant, records: TheRecords, form: Annotated[Format, Query(alias="format")] = "csv"
) -> Streamed:
    """Download all records that are meant, with their bodies, the latest first."""
    await records.flush()
    name = f"penstock-records-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{form}"
    return Streamed(export(records.read(shelf, meant, newest_first=True), form), name, MEDIA_TYPES[form])


@routes.post("/clear", responses=refusals("invalid_request"))
async def clear_records(body: ClearGiven, who: Who, noted: TheNoted) -> Cleared:
    """Delete records from a shelf. Those of the other shelf stay."""
    return Cleared(cleared=await noted.clear(who, shelf_meant(who, body.shelf), body.filters()))


@routes.get("/policy", responses=_MISSING)
async def get_policy(account_id: On, records: TheRecords) -> PolicyShown:
    """What an account wants of its records."""
    return _policy(await records.policy(account_id))


@routes.put("/policy", responses=_MISSING)
async def set_policy(body: PolicyGiven, who: Who, account_id: On, noted: TheNoted) -> PolicyShown:
    """Say what an account wants of its records. What was recorded already stays as it is, but for how long it is kept."""
    wanted = Policy(
        record=body.record, retention_days=body.retention_days, redact_paths=tuple(body.redact_paths),
        redact_patterns=tuple(body.redact_patterns),
    )  # fmt: skip
    return _policy(await noted.set_policy(who, account_id, wanted))


@routes.get("/state")
async def get_state(who: Who, records: TheRecords) -> StateShown:
    """Whether recording works."""
    state = records.state()
    if not who.is_admin:
        return StateShown(running=state.running, stopped_because=None, dropped=None, waiting=None)
    return StateShown(
        running=state.running, stopped_because=state.stopped_because or None, dropped=state.dropped, waiting=state.waiting
    )  # fmt: skip


@routes.get("/{record_id}", response_model=RecordShown, response_class=Written, responses=_MISSING)
async def get_record(record_id: RecordId, shelf: Shelf, records: TheRecords, bill: TheBill) -> Response:
    """One record: what the client sent, what went out, what came back, what the client got."""
    opened = await records.get(shelf, record_id)
    names = await bill.names([opened.entry.key_id] if opened.entry.key_id is not None else [])
    try:
        await bill.get(record_id)
        receipt = f"/api/charges/{record_id}/receipt"
    except PenstockError:
        receipt = None
    return Written(await asyncio.to_thread(_written, opened, names, receipt))


@routes.get("/{record_id}/diff", response_model=DiffShown, response_class=Written, responses=_MISSING | refusals("conflict"))
async def compare_record(record_id: RecordId, shelf: Shelf, records: TheRecords) -> Response:
    """What each layer of the gateway has changed of a request and its answer."""
    opened = await records.get(shelf, record_id)
    if opened.record is None:
        raise PenstockError("conflict", f"There is nothing to compare. {opened.missing}")
    found = await asyncio.to_thread(layers, opened.record)
    return Written(msgspec.json.encode({"data": found}))


def _written(opened: Opened, names: Mapping[str, str], receipt: str | None) -> bytes:
    shown = opened_shown(opened)
    return msgspec.json.encode({**shown, "key_name": names.get(opened.entry.key_id or ""), "receipt": receipt})


def _listed(entry: Entry, names: Mapping[str, str]) -> EntryShown:
    return EntryShown(**entry_shown(entry), key_name=names.get(entry.key_id or ""))


def _policy(policy: Policy) -> PolicyShown:
    return PolicyShown(
        record=policy.record,
        retention_days=policy.retention_days,
        redact_paths=list(policy.redact_paths),
        redact_patterns=list(policy.redact_patterns),
        updated_at=iso(policy.updated_at_ms) if policy.updated_at_ms else None,
    )
