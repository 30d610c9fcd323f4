"""Sharing a record, under `/api/records`, and what the link shows, under `/shared`."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from penstock.accounts.api.asking import ID, ID_LIMIT, Paging, Who
from penstock.accounts.api.errors import refusals
from penstock.kit.clock import iso
from penstock.kit.errors import PenstockError
from penstock.records.api.asked import RecordId, Shelf, unsniffed
from penstock.records.models import ShareRow
from penstock.records.page import HEADERS, nothing, page_of
from penstock.records.service import Opened
from penstock.records.sharing import LASTS_S, LONGEST_S, Sharing, shared_shown
from penstock.records.shown import opened_shown

routes = APIRouter(
    prefix="/api/records", tags=["records"], dependencies=[Depends(unsniffed)], responses=refusals("not_signed_in", "forbidden")
)
shared = APIRouter(include_in_schema=False)

_MISSING = refusals("invalid_request", "not_found")
_TOKEN_LIMIT = 100


class ShareGiven(BaseModel):
    """How long a link works and what it shows. Whose the record is, by which key, and which rules were applied is never shown."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"lasts_s": 3600, "bodies": True, "headers": False}]})

    lasts_s: Annotated[StrictInt, Field(ge=60, le=LONGEST_S)] = LASTS_S
    headers: Annotated[StrictBool, Field(description="Show the headers, without credentials, as everywhere.")] = False
    bodies: Annotated[StrictBool, Field(description="Show the bodies.")] = True


class ShareShown(BaseModel):
    """A link, without its secret."""

    id: Annotated[str, Field(examples=["shr_..."])]
    record_id: Annotated[str, Field(examples=["req_..."])]
    headers: bool
    bodies: bool
    created_by: str
    created_at: str
    expires_at: str


class ShareMade(ShareShown):
    """A link that works."""

    url: Annotated[str, Field(description="The link, shown this once.", examples=["https://gateway.example.com/shared/records/..."])]


class SharePage(BaseModel):
    """Some links that work, the newest first."""

    data: list[ShareShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


def _sharing(request: Request) -> Sharing:
    return cast(Sharing, request.app.state.sharing)


TheSharing = Annotated[Sharing, Depends(_sharing)]
ShareId = Annotated[str, Path(max_length=ID_LIMIT, pattern=ID, examples=["shr_..."])]


@routes.post("/{record_id}/share", status_code=201, responses=_MISSING | refusals("conflict"))
async def share_record(
    record_id: RecordId, request: Request, who: Who, shelf: Shelf, sharing: TheSharing, body: ShareGiven | None = None
) -> ShareMade:
    """Make a link that shows this record to whoever has it, for a while. It is in this answer and nowhere else."""
    given = body or ShareGiven()
    share = await sharing.share(who, shelf, record_id, lasts_s=given.lasts_s, headers=given.headers, bodies=given.bodies)
    origin = request.app.state.settings.public_url or str(request.base_url)
    return ShareMade(**_shown(share.row).model_dump(), url=f"{origin.rstrip('/')}/shared/records/{share.token}")


@routes.get("/shares", responses=_MISSING)
async def list_shares(
    shelf: Shelf,
    paging: Paging,
    sharing: TheSharing,
    record_id: Annotated[str | None, Query(max_length=ID_LIMIT, pattern=ID, description="Those to this record alone.")] = None,
) -> SharePage:
    """Links to records of a shelf that work, the newest first."""
    page = await sharing.list(shelf, record_id, paging)
    return SharePage(data=[_shown(row) for row in page.data], next=page.next)


@routes.delete("/shares/{share_id}", status_code=204, responses=_MISSING)
async def revoke_share(share_id: ShareId, who: Who, shelf: Shelf, sharing: TheSharing) -> None:
    """Have a link stop working at once."""
    await sharing.revoke(who, shelf, share_id)


@shared.get("/shared/records/{token}")
async def show_shared(token: str, request: Request, sharing: TheSharing) -> Response:
    """What a link shows, as a page to browsers and as JSON to all others."""
    html = "text/html" in request.headers.get("accept", "")
    try:
        opened, row = await sharing.open(token[: _TOKEN_LIMIT + 1])
    except PenstockError as refused:
        if refused.code != "not_found":
            raise
        told = {"error": {"code": refused.code, "message": refused.message, "param": None}}
        content, status = nothing().encode() if html else msgspec.json.encode(told), 404
    else:
        content, status = await asyncio.to_thread(_content, opened, row, html), 200
    return Response(content, status, HEADERS, "text/html; charset=utf-8" if html else "application/json")


def _content(opened: Opened, row: ShareRow, html: bool) -> bytes:
    facts = shared_shown(opened_shown(opened), row)
    expires_at = iso(row.expires_at_ms)
    return page_of(facts, expires_at).encode() if html else msgspec.json.encode({**facts, "expires_at": expires_at})


def _shown(row: ShareRow) -> ShareShown:
    return ShareShown(
        id=row.id,
        record_id=row.record_id,
        headers=row.headers,
        bodies=row.bodies,
        created_by=row.created_by,
        created_at=iso(row.created_at_ms),
        expires_at=iso(row.expires_at_ms),
    )
