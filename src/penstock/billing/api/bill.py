"""The control API of the bill: charges, their receipts and exports, and statistics of usage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from penstock.accounts.api.asking import ID, ID_LIMIT, Paging, Who
from penstock.accounts.api.errors import refusals
from penstock.accounts.identity import Identity
from penstock.billing.api.streamed import Streamed
from penstock.billing.bill import Bill, Listed
from penstock.billing.export import MEDIA_TYPES, Format, export
from penstock.billing.receipts import Receipts
from penstock.billing.selection import LAST_MS, Selection, Span
from penstock.billing.shown import shown
from penstock.billing.sums import DAY_MS, HOUR_MS
from penstock.billing.usage import By, Part, Statistics, Sums
from penstock.kit.clock import iso, now_ms, parse_moment_ms, parse_span_s
from penstock.kit.errors import PenstockError
from penstock.kit.money import MAX_NANO
from penstock.kit.pages import encode

routes = APIRouter(prefix="/api", tags=["bill"], responses=refusals("not_signed_in", "invalid_request", "not_found"))

HOURS_LIMIT = 7 * 24
TEXT_LIMIT = 200
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_Ref = Query(max_length=ID_LIMIT, pattern=ID)
_Text = Query(max_length=TEXT_LIMIT, pattern=_PRINTABLE)
_Moment = Query(
    max_length=64,
    description="ISO 8601 (UTC unless it names a zone), a date, or a span such as `30d` before now. A date is its first moment in `since`, "
    "and its last in `until`.",
    examples=["2026-10-01"],
)
ChargeId = Annotated[str, Path(max_length=ID_LIMIT, pattern=ID, examples=["req_..."])]
