"""The control API of one's own account, under `/api/me`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from penstock.accounts.api.asking import Doorway, InPerson, Who
from penstock.accounts.api.download import Download
from penstock.accounts.api.entering import Comer, Door
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.joining import Sent
from penstock.accounts.api.services import TheAccounts, TheExports, TheJoining, TheSigning, TheTiers
from penstock.accounts.api.shapes import EXPORTED, AccountShown, Email, Name, NewPassword, Password, account_shown, example, moment
from penstock.accounts.identity import Identity
from penstock.accounts.models import Account
from penstock.accounts.standing import Standing

routes = APIRouter(prefix="/api/me", tags=["me"], responses=refusals("not_signed_in", "csrf_refused"))

_CHECKED = refusals("invalid_request", "wrong_credentials", "too_many_requests", "overloaded")


class TierHeld(BaseModel):
    """The tier that an account has."""

    name: Annotated[str, Field(examples=["vip"])]
    title: str
    until_at: Annotated[str | None, Field(description="When that changes by itself; null: never.")]


class Me(AccountShown):
    """Who asks."""

    via: Annotated[str, Field(description="`session`, or the id of the management key that was shown.")]
    csrf_token: Annotated[str | None, Field(description="Of the session, to be sent as `x-csrf-token`; null with a key.")]
    tier: TierHeld


class MeChanged(BaseModel):
    """What is to be changed of one's account."""

    model_config = example({"name": "Ada"})

    name: Name


class EmailWanted(BaseModel):
    """The e-mail address to sign in with from now on."""

    model_config = example({"email": "ada@example.org", "password": "correct horse battery"})

    email: Email
    password: Password


class PasswordChanged(BaseModel):
    """The password there is, and another one."""

    model_config = example({"current_password": "correct horse battery", "new_password": "another horse battery"})

    current_password: Password
    new_password: NewPassword


class Farewell(BaseModel):
    """That one means it."""

    model_config = example({"password": "correct horse battery"})

    password: Password


@routes.get("")
async def get_me(who: Who, request: Request, gate: Doorway, accounts: TheAccounts, tiers: TheTiers) -> Me:
    """Who asks, with the CSRF token of the session and the tier of the account."""
    csrf_token = (await gate.session_of(request)).csrf_token if who.via == "session" else None
    return _me(await accounts.get(who.account_id), who, csrf_token, await tiers.standing(who.account_id))


@routes.patch("", responses=refusals("invalid_request"))
async def change_me(body: MeChanged, who: Who, accounts: TheAccounts) -> AccountShown:
    """Change one's name."""
    return account_shown(await accounts.change(who, who.account_id, name=body.name))


@routes.post("/email", status_code=202, responses=_CHECKED)
async def change_email(body: EmailWanted, me: InPerson, comer: Comer, joining: TheJoining) -> Sent:
    """Send a link to another e-mail address, which the account has once the link is used."""
    await joining.ask_email(me.identity(comer.address), body.email, body.password.get_secret_value())
    return Sent()


@routes.put("/password", status_code=204, responses=_CHECKED)
async def change_password(body: PasswordChanged, me: InPerson, comer: Comer, signing: TheSigning) -> None:
    """Choose another password. All other sessions end."""
    current, password = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    await signing.change_password(me, comer.address, current, password)


@routes.post("/delete", status_code=204, responses=_CHECKED | refusals("conflict"))
async def delete_me(body: Farewell, me: InPerson, comer: Comer, door: Door, *, signing: TheSigning, accounts: TheAccounts) -> None:
    """Delete one's account: who one was is forgotten, the keys open nothing any more. Export it first."""
    await signing.check(me.account_id, body.password.get_secret_value(), comer.address)
    await accounts.delete(me.identity(comer.address), me.account_id)
    door.close()


@routes.get("/export", response_class=Response, responses=EXPORTED | refusals("too_many_requests"))
async def export_me(who: Who, exports: TheExports) -> Response:
    """Everything that is known of one's account, as one JSON document."""
    return Download(await exports.write(who.account_id), f"{who.account_id}.json", "application/json")


def _me(account: Account, who: Identity, csrf_token: str | None, standing: Standing) -> Me:
    tier = TierHeld(name=standing.tier.name, title=standing.tier.title, until_at=moment(standing.until_ms))
    return Me(**account_shown(account).model_dump(), via=who.via, csrf_token=csrf_token, tier=tier)
