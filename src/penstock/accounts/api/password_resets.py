"""The control API of forgotten passwords, under `/api/password-resets`."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from penstock.accounts.api.asking import same_site
from penstock.accounts.api.entering import Comer, Door
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.joining import Sent
from penstock.accounts.api.services import TheRecovery
from penstock.accounts.api.shapes import Email, NewPassword, SessionOpened, Token, example

routes = APIRouter(
    prefix="/api/password-resets", tags=["password resets"], responses=refusals("invalid_request", "csrf_refused", "overloaded")
)


class Forgotten(BaseModel):
    """Who has forgotten their password."""

    model_config = example({"email": "ada@example.com"})

    email: Email


class Remembered(BaseModel):
    """Who has the link, and chooses another password."""

    model_config = example({"token": "...", "password": "correct horse battery"})

    token: Token
    password: NewPassword


@routes.post("", status_code=202, dependencies=[Depends(same_site)], responses=refusals("too_many_requests"))
async def forget_password(body: Forgotten, comer: Comer, recovery: TheRecovery) -> Sent:
    """Ask for a link to choose another password. The answer is the same whether the address has an account."""
    await recovery.ask(body.email, comer.address)
    return Sent()


@routes.post("/complete", status_code=201, responses=refusals("conflict"))
async def reset_password(body: Remembered, comer: Comer, door: Door, recovery: TheRecovery) -> SessionOpened:
    """Choose another password and sign in. All other sessions end."""
    return door.open(await recovery.complete(body.token.get_secret_value(), body.password.get_secret_value(), comer))
