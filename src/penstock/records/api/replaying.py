"""Sending a recorded request again, under `/api/records`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, cast

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock.accounts.api.asking import Who
from penstock.accounts.api.errors import refusals
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.records.api.asked import RecordId, Shelf, unsniffed
from penstock.records.replay import MODELS_LIMIT, Outcome, Replays

routes = APIRouter(
    prefix="/api/records", tags=["records"], dependencies=[Depends(unsniffed)], responses=refusals("not_signed_in", "forbidden")
)

Model = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["claude-sonnet-4-5"])]


class ReplayGiven(BaseModel):
    """Which models are to be asked."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"models": ["gpt-4o", "claude-sonnet-4-5"]}]})

    model: Model | None = None
    models: Annotated[list[Model], Field(min_length=1, max_length=MODELS_LIMIT)] | None = None
    channel: Annotated[str | None, Field(min_length=1, max_length=200, description="The only channel to ask.")] = None

    @model_validator(mode="after")
    def one_or_several(self) -> ReplayGiven:
        """Either is named."""
        if (self.model is None) == (self.models is None):
            raise ValueError("Name a model, or several as models")
        return self


class CallShown(BaseModel):
    """A call of a tool."""

    name: str
    arguments: Annotated[str, Field(description="JSON text, as the model wrote it.", examples=["{}"])]


class OutcomeShown(BaseModel):
    """One answer. What was not charged has neither cost nor tokens."""

    id: Annotated[str | None, Field(description="Of its record, where it is recorded, and its charge.", examples=["req_..."])]
    model: str
    status: Annotated[int | None, Field(description="null: it was not answered.", examples=[200])]
    error: Annotated[str | None, Field(description="Why it was refused.")]
    text: Annotated[str | None, Field(description="What was said; null on wires that do not talk.", examples=["Hello!"])]
    calls: list[CallShown]
    truncated: bool
    whole: Annotated[bool, Field(description="The answer came to its end.")]
    channel: str | None
    served_model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_nano: int | None
    duration_ms: int | None


class ReplayShown(BaseModel):
    """The answers side by side, in the order of the models."""

    original: OutcomeShown
    answers: list[OutcomeShown]
    redacted: Annotated[bool, Field(description="Secrets had been taken out of the record: `[redacted]` was sent in their place.")]


def _replays(request: Request) -> Replays:
    return cast(Replays, request.app.state.replays)


TheReplays = Annotated[Replays, Depends(_replays)]


@routes.post("/{record_id}/replay", responses=refusals("invalid_request", "not_found", "conflict", "overloaded"))
async def replay_record(
    record_id: RecordId, body: ReplayGiven, request: Request, who: Who, shelf: Shelf, replays: TheReplays
) -> ReplayShown:
    """Send the recorded request again, to other models, as its key and on its account. What becomes of it is charged as any request is."""
    models = body.models or [cast(str, body.model)]
    acting = spawn(replays.replay(who, shelf, record_id, models, body.channel), name="replay", awaited=True)
    leaving = spawn(_gone(request), name="client of a replay", awaited=True)
    try:
        await asyncio.wait({acting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not acting.done():
            raise PenstockError("conflict", "Nobody waits for the answers any more.")
        found = acting.result()
    finally:
        for task in (acting, leaving):
            task.cancel()
        await asyncio.gather(acting, leaving, return_exceptions=True)
    answers = [_shown(outcome) for outcome in found.answers]
    return ReplayShown(original=_shown(found.original), answers=answers, redacted=found.redacted)


async def _gone(request: Request) -> None:
    """Ends when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _shown(outcome: Outcome) -> OutcomeShown:
    facts: dict[str, Any] = msgspec.to_builtins(outcome)
    return OutcomeShown(**facts)
