"""The control API of the bill: charges, their receipts and exports, and statistics of usage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from penstock.accounts.api.asking import ID, ID_LIMIT, Paging, Who
from penstock.accounts.api.errors import refusals
from penstock.accounts.identity import Identity
from penstock.billing.api.asked import Meant, Scope
from penstock.billing.api.streamed import Streamed
from penstock.billing.bill import Bill, Listed
from penstock.billing.export import MEDIA_TYPES, Format, export
from penstock.billing.receipts import Receipts
from penstock.billing.selection import Selection, Span
from penstock.billing.shown import shown
from penstock.billing.sums import DAY_MS, HOUR_MS
from penstock.billing.usage import By, Part, Statistics, Sums
from penstock.kit.clock import iso, now_ms
from penstock.kit.errors import PenstockError
from penstock.kit.pages import encode

routes = APIRouter(prefix="/api", tags=["bill"], responses=refusals("not_signed_in", "invalid_request", "not_found"))

HOURS_LIMIT = 7 * 24
DEFAULT_MS = {"hour": DAY_MS}
ChargeId = Annotated[str, Path(max_length=ID_LIMIT, pattern=ID, examples=["req_..."])]


class ChargeShown(BaseModel):
    """What one request consumed and cost."""

    id: Annotated[str, Field(description="The request's id.", examples=["req_..."])]
    came_at: Annotated[str, Field(description="When the request came.")]
    created_at: Annotated[str, Field(description="When it was charged.")]
    account_id: str
    key_id: str | None
    key_name: str | None
    model: Annotated[str, Field(description="What was asked for.", examples=["gpt-4o"])]
    served_model: Annotated[str, Field(description="What the provider was asked for.", examples=["gpt-4o"])]
    wire: Annotated[str, Field(examples=["chat"])]
    provider: str
    channel: Annotated[str, Field(examples=["openai"])]
    status: Annotated[int, Field(description="The HTTP status that the client was shown.", examples=[200])]
    outcome: Annotated[str, Field(examples=["complete"])]
    streamed: bool
    estimated: Annotated[bool, Field(description="The provider did not say what was consumed.")]
    prompt_tokens: Annotated[int, Field(description="All that was read, from the cache too.")]
    completion_tokens: Annotated[int, Field(description="All that was written.")]
    input_tokens: Annotated[int, Field(description="Those of the prompt tokens that are neither read from nor written to a cache.")]
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: Annotated[int, Field(description="A part of the completion tokens.")]
    extra_usage: Annotated[dict[str, Any] | None, Field(description="The rarer usage: audio, images, characters, searches.")]
    rurt_ms: Annotated[int, Field(description="Until the request had been sent to the provider.")]
    tps_s: Annotated[float, Field(description="The whole request, in seconds.")]
    first_byte_ms: Annotated[int, Field(description="Until the answer began.")]
    duration_ms: int
    free: Annotated[bool, Field(description="Some of the cost was free money.")]
    cost_nano: int
    free_nano: Annotated[int, Field(description="How much of the cost was free money.")]
    multiplier_micro: Annotated[int, Field(description="Millionths that the price was multiplied by.", examples=[1_000_000])]
    price_version: Annotated[str | None, Field(description="null: the model had no price.")]
    attempts: int


class ChargePage(BaseModel):
    """Some charges, newest first. A page may have less than was asked for, and be followed by others: only `next` tells."""

    data: list[ChargeShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]
    total: Annotated[int | None, Field(description="How many there are in all, if `total` was asked for and the sums can tell.")]


class LineShown(BaseModel):
    """One component of a cost."""

    component: Annotated[str, Field(examples=["input_tokens"])]
    text: Annotated[str, Field(examples=["1,000 input tokens at 2.5 dollars per 1,000,000 x 1.2 = 0.003 dollars"])]
    quantity: int
    rate: Annotated[str | None, Field(description="Which rate of the price was used; null: it has none.")]
    rate_nano: int
    per: Annotated[int, Field(description="The rate is for so many.")]
    multiplier_micro: int
    amount_nano: int
    tier: Annotated[str, Field(examples=["standard"])]
    above_tokens: Annotated[int, Field(description="The rate is that of contexts of more tokens than this.")]


class PaymentShown(BaseModel):
    """What was taken from one purse."""

    purse: Literal["free", "paid"]
    amount_nano: int


class ReceiptShown(BaseModel):
    """A charge explained."""

    charge: ChargeShown
    lines: list[LineShown]
    cost_nano: int
    computed_nano: Annotated[int | None, Field(description="The cost computed again; null where the price is not known any more.")]
    agrees: bool | None
    paid_from: list[PaymentShown]
    notes: Annotated[list[str], Field(examples=[[]])]


class SumsShown(BaseModel):
    """Sums over requests."""

    requests: int
    failed: Annotated[int, Field(description="Those that were not answered, or not whole, for another reason than the client's leaving.")]
    estimated: int
    unpriced: int
    input_tokens: Annotated[int, Field(description="Neither read from nor written to a cache.")]
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: Annotated[int, Field(description="A part of the output tokens.")]
    cost_nano: int
    free_nano: int
    mean_duration_ms: int
    mean_first_byte_ms: int


class PartShown(SumsShown):
    """Those of one hour, day, model, key, channel or account."""

    of: Annotated[str, Field(description="When the hour or day begins, or the name or id.", examples=["2026-10-01T00:00:00Z"])]
    key_name: str | None = None


class UsageShown(BaseModel):
    """Statistics of whole hours."""

    by: By
    since_at: str
    until_at: str
    data: list[PartShown]
    total: SumsShown


_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All charges that are meant, newest first.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "id,created_at,...\r\nreq_...,2027-01-31T12:00:00Z,...\r\n"},
            "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/ChargeShown"}}},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"id": "req_...", ...}\n'},
        },
    }
}


def _bill(request: Request) -> Bill:
    return cast(Bill, request.app.state.bill)


def _receipts(request: Request) -> Receipts:
    return cast(Receipts, request.app.state.receipts)


def _usage(request: Request) -> Statistics:
    return cast(Statistics, request.app.state.usage)


TheBill = Annotated[Bill, Depends(_bill)]
TheReceipts = Annotated[Receipts, Depends(_receipts)]
TheUsage = Annotated[Statistics, Depends(_usage)]


@routes.get("/charges")
async def list_charges(
    meant: Meant, paging: Paging, bill: TheBill, total: Annotated[bool, Query(description="Say how many there are in all.")] = False
) -> ChargePage:
    """Charges, newest first: of all accounts for administrators, else one's own."""
    listed = await bill.page(meant, before=paging.after, limit=paging.limit)
    count = await bill.count(meant) if total else None
    return ChargePage(data=_shown(listed), next=None if listed.before is None else encode(listed.before), total=count)


@routes.get("/charges/export", response_class=Response, responses=_EXPORTED)
async def export_charges(meant: Meant, bill: TheBill, form: Annotated[Format, Query(alias="format")] = "csv") -> Streamed:
    """Download all charges that are selected, newest first."""
    name = f"penstock-charges-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{form}"
    return Streamed(export(bill, meant, form), name, MEDIA_TYPES[form])


@routes.get("/charges/{charge_id}")
async def get_charge(charge_id: ChargeId, who: Who, bill: TheBill) -> ChargeShown:
    """One charge."""
    [charge] = _shown(await bill.get(charge_id, _own(who)))
    return charge


@routes.get("/charges/{charge_id}/receipt")
async def get_receipt(charge_id: ChargeId, who: Who, receipts: TheReceipts) -> ReceiptShown:
    """What a charge is made of, line by line, and whether it comes to the same when it is computed again."""
    return ReceiptShown.model_validate(msgspec.to_builtins(await receipts.receipt(charge_id, _own(who))))


@routes.get("/usage")
async def get_usage(who: Who, scope: Annotated[Scope, Query()], usage: TheUsage, bill: TheBill, by: By = "day") -> UsageShown:
    """Statistics of usage, of the last 30 days unless told otherwise, by hour of the last 24 hours. Hours and days are of UTC."""
    asked = scope.selection(who)
    until_ms = now_ms() if scope.until is None else asked.span.until_ms
    since_ms = max(until_ms - DEFAULT_MS.get(by, 30 * DAY_MS), 0) if scope.since is None else asked.span.since_ms
    span = Span(since_ms // HOUR_MS * HOUR_MS, -(-until_ms // HOUR_MS) * HOUR_MS)
    if by == "hour" and span.until_ms - span.since_ms > (HOURS_LIMIT + 1) * HOUR_MS:  # the ends are rounded
        raise PenstockError("invalid_request", f"Ask for up to {HOURS_LIMIT} hours at a time, or by day.", param="since")
    of = Selection(span=span, account_id=asked.account_id, key_id=asked.key_id, model=asked.model, channel=asked.channel)
    parts = await usage.by(by, of)
    names = await bill.names([str(part.of) for part in parts if part.of]) if by == "key" else {}
    return UsageShown(
        by=by,
        since_at=iso(span.since_ms),
        until_at=iso(span.until_ms),
        data=[PartShown(of=_of(part), key_name=names.get(str(part.of)), **_sums(part.sums)) for part in parts],
        total=SumsShown(**_sums(_total(parts))),
    )


def _own(who: Identity) -> str | None:
    return None if who.is_admin else who.account_id


def _shown(listed: Listed) -> list[ChargeShown]:
    return [ChargeShown(**shown(charge, listed.names.get(charge.key_id or ""))) for charge in listed.charges]


def _of(part: Part) -> str:
    return iso(part.of) if isinstance(part.of, int) else part.of


def _total(parts: list[Part]) -> Sums:
    return Sums(**{name: sum(getattr(part.sums, name) for part in parts) for name in Sums.__struct_fields__})


def _sums(sums: Sums) -> dict[str, int]:
    facts = {name: getattr(sums, name) for name in Sums.__struct_fields__}
    for name in ("duration_ms", "first_byte_ms"):
        facts[f"mean_{name}"] = round(facts.pop(name) / sums.requests) if sums.requests else 0
    return facts
