"""The control API of the audit trail, under `/api/events`: administrators see all of it, members what was done to their account."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from penstock.accounts.api.asking import ID, ID_LIMIT, Paging, Who
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.services import TheTrail
from penstock.accounts.export import event_facts
from penstock.accounts.trail import Wanted

routes = APIRouter(prefix="/api/events", tags=["events"], responses=refusals("not_signed_in"))

_Ref = Query(max_length=ID_LIMIT, pattern=ID)


class EventShown(BaseModel):
    """What someone did."""

    id: Annotated[str, Field(examples=["evt_..."])]
    at: str
    actor: Annotated[str, Field(description="The id of the account that acted, or `cli`.")]
    via: Annotated[str, Field(description="`session`, `cli`, or the id of the key or the link that was used.")]
    address: Annotated[str | None, Field(description="Where the request came from; null: not for you to see.")]
    action: Annotated[str, Field(examples=["key.create"])]
    account_id: Annotated[str | None, Field(description="Whose thing it was done to.")]
    subject: Annotated[str, Field(description="The id of what it was done to.")]
    detail: Annotated[dict[str, Any], Field(examples=[{"changed": ["name"]}])]


class EventPage(BaseModel):
    """Some events, newest first."""

    data: list[EventShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


@routes.get("", responses=refusals("invalid_request", "not_found"))
async def list_events(
    who: Who,
    trail: TheTrail,
    paging: Paging,
    account_id: Annotated[str | None, _Ref] = None,
    actor: Annotated[str | None, _Ref] = None,
    action: Annotated[str | None, _Ref] = None,
) -> EventPage:
    """What was done, newest first: to all accounts for administrators, else to one's own."""
    whose = None if who.is_admin and account_id is None else who.acting_on(account_id)
    page = await trail.list(Wanted(whose, actor, action), paging)
    sees = None if who.is_admin else who.account_id
    return EventPage(data=[EventShown(**event_facts(event, sees)) for event in page.data], next=page.next)
