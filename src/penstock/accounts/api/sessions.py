"""The control API of sessions, under `/api/sessions`: sign in, see where one is signed in, sign out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from penstock.accounts.api.asking import Id, InPerson
from penstock.accounts.api.entering import Comer, Door
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.services import TheSessions, TheSigning
from penstock.accounts.api.shapes import Email, Password, SessionOpened, example
from penstock.accounts.sessions import public_id
from penstock.kit.clock import iso

routes = APIRouter(prefix="/api/sessions", tags=["sessions"], responses=refusals("not_signed_in", "csrf_refused"))


class Credentials(BaseModel):
    """Who signs in."""

    model_config = example({"email": "ada@example.com", "password": "correct horse battery"})

    email: Email
    password: Password


class SessionShown(BaseModel):
    """A signed-in browser."""

    id: Annotated[str, Field(examples=["ses_..."])]
    current: Annotated[bool, Field(description="The one that asks.")]
    agent: Annotated[str, Field(description="What the browser calls itself.")]
    address: str
    created_at: str
    seen_at: str
    expires_at: str


class SessionList(BaseModel):
    """The sessions of an account, the one that was used last first."""

    data: list[SessionShown]


@routes.post("", status_code=201, responses=refusals("invalid_request", "wrong_credentials", "too_many_requests", "overloaded"))
async def sign_in(body: Credentials, comer: Comer, door: Door, signing: TheSigning) -> SessionOpened:
    """Sign in. A session that the browser has already ends."""
    return door.open(await signing.sign_in(body.email, body.password.get_secret_value(), comer))


@routes.get("")
async def list_sessions(me: InPerson, sessions: TheSessions) -> SessionList:
    """Where one is signed in."""
    shown = [
        SessionShown(
            id=public_id(one.digest),
            current=one.digest == me.digest,
            agent=one.agent,
            address=one.address,
            created_at=iso(one.created_at_ms),
            seen_at=iso(one.seen_at_ms),
            expires_at=iso(one.expires_at_ms),
        )
        for one in await sessions.list(me.account_id)
    ]
    return SessionList(data=shown)


@routes.delete("", status_code=204)
async def end_other_sessions(me: InPerson, sessions: TheSessions) -> None:
    """Sign out everywhere but here."""
    await sessions.end_others(me)


@routes.delete("/current", status_code=204)
async def sign_out(me: InPerson, door: Door, sessions: TheSessions) -> None:
    """Sign out."""
    await sessions.end(me.account_id, me.id)
    door.close()


@routes.delete("/{session_id}", status_code=204, responses=refusals("not_found"))
async def end_session(session_id: Id, me: InPerson, sessions: TheSessions) -> None:
    """Sign out elsewhere."""
    await sessions.end(me.account_id, session_id)
