"""The control API of joining: `/api/registrations`, `/api/invitations`, and `/api/confirmations`, where their links lead."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from penstock.accounts.api.asking import Who, same_site
from penstock.accounts.api.entering import Comer, Door
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.services import TheJoining
from penstock.accounts.api.shapes import Email, Name, NewPassword, Role, SessionOpened, Token, example
from penstock.accounts.joining import Joiner

routes = APIRouter(
    prefix="/api", tags=["joining"], responses=refusals("invalid_request", "csrf_refused", "too_many_requests", "overloaded")
)


class Registration(BaseModel):
    """Who wants an account."""

    model_config = example({"email": "ada@example.com"})

    email: Email


class Invitation(BaseModel):
    """Who is invited, and as what."""

    model_config = example({"email": "ada@example.com", "role": "member"})

    email: Email
    role: Role = "member"


class Confirmation(BaseModel):
    """Who has the link, and chooses a name and a password."""

    model_config = example({"token": "...", "name": "Ada", "password": "correct horse battery"})

    token: Token
    name: Name
    password: NewPassword


class EmailConfirmation(BaseModel):
    """Who has the link."""

    model_config = example({"token": "..."})

    token: Token


class Sent(BaseModel):
    """That a mail is on its way, if there is one to send."""

    sent: bool = True


@routes.post("/registrations", status_code=202, dependencies=[Depends(same_site)], responses=refusals("forbidden"))
async def register(body: Registration, comer: Comer, joining: TheJoining) -> Sent:
    """Ask for a link that makes an account. The answer is the same whether the address has one already."""
    await joining.register(body.email, comer.address)
    return Sent()


@routes.post("/invitations", status_code=202, responses=refusals("not_signed_in", "forbidden", "conflict"))
async def invite(body: Invitation, who: Who, joining: TheJoining) -> Sent:
    """Send someone a link that makes an account. Only administrators are told whether the address has one already."""
    await joining.invite(who, body.email, body.role)
    return Sent()


@routes.post("/confirmations", status_code=201, responses=refusals("conflict"))
async def join(body: Confirmation, comer: Comer, door: Door, joining: TheJoining) -> SessionOpened:
    """Make the account that a link of an invitation or a registration is for, and sign in to it."""
    joiner = Joiner(body.name, body.password.get_secret_value())
    return door.open(await joining.join(body.token.get_secret_value(), joiner, comer))


@routes.post("/confirmations/email", status_code=204, dependencies=[Depends(same_site)], responses=refusals("conflict"))
async def confirm_email(body: EmailConfirmation, comer: Comer, joining: TheJoining) -> None:
    """Give an account the e-mail address that the link was sent to."""
    await joining.confirm_email(body.token.get_secret_value(), comer.address)
