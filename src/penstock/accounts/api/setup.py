"""The control API of setting up, under `/api/setup`: the first administrator, once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from penstock.accounts.api.entering import Comer, Door
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.services import TheSigning, TheTickets
from penstock.accounts.api.shapes import Email, Name, NewPassword, SessionOpened, Token, example
from penstock.accounts.service import Draft

routes = APIRouter(prefix="/api/setup", tags=["setup"])


class SetUp(BaseModel):
    """Who administers the gateway."""

    model_config = example({"token": "...", "name": "Ada", "email": "ada@example.com", "password": "correct horse battery"})

    token: Token
    name: Name
    email: Email
    password: NewPassword


class SetUpState(BaseModel):
    """Whether the gateway has an administrator who can sign in."""

    is_set_up: Annotated[bool, Field(description="false: `POST /api/setup` with the token that the first start has printed.")]


@routes.get("")
async def get_setup(tickets: TheTickets) -> SetUpState:
    """Whether there is an administrator yet."""
    return SetUpState(is_set_up=await tickets.is_set_up())


@routes.post("", status_code=201, responses=refusals("invalid_request", "csrf_refused", "conflict", "overloaded"))
async def set_up(body: SetUp, comer: Comer, door: Door, signing: TheSigning) -> SessionOpened:
    """Become the first administrator, with the token that the first start or `penstock account first-admin` has printed."""
    draft = Draft(body.name, body.email, body.password.get_secret_value())
    return door.open(await signing.set_up(body.token.get_secret_value(), draft, comer))
