"""The control API of accounts, under `/api/accounts`: for administrators, but that everyone may see their own."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field, StrictBool

from penstock.accounts.api.asking import Admin, Id, Paging, Who, administrator
from penstock.accounts.api.download import Download
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.joining import Sent
from penstock.accounts.api.services import TheAccounts, TheExports, TheRecovery
from penstock.accounts.api.shapes import (
    EXPORTED,
    LEFT_OUT,
    AccountLimitsGiven,
    AccountShown,
    Email,
    Name,
    NewPassword,
    Role,
    account_shown,
    example,
    given,
)
from penstock.accounts.service import NAME_LIMIT, Draft, Wanted

routes = APIRouter(prefix="/api/accounts", tags=["accounts"], responses=refusals("not_signed_in", "forbidden"))

_MISSING = refusals("not_found")
_CHANGED = refusals("not_found", "conflict")
_Prepaid = Annotated[StrictBool, Field(description="It spends its balance and nothing more; else what it consumes is only counted.")]


class AccountGiven(BaseModel):
    """An account to be made. With an e-mail address and no password, its owner asks for a link to choose one."""

    model_config = example(
        {"name": "Ada", "email": "ada@example.com", "role": "member", "prepaid": True, "limits": {"month_nano": 100_000_000_000}}
    )

    name: Name
    email: Email | None = None
    password: NewPassword | None = None
    role: Role = "member"
    prepaid: _Prepaid = True
    limits: AccountLimitsGiven | None = None


class AccountChanged(BaseModel):
    """What is to be changed of an account; what is left out stays as it is."""

    model_config = example({"prepaid": False, "limits": {"rpm": 600, "month_nano": None}})

    name: Name = LEFT_OUT
    email: Email = LEFT_OUT
    role: Role = LEFT_OUT
    prepaid: _Prepaid = LEFT_OUT
    limits: AccountLimitsGiven | None = LEFT_OUT


class AccountPage(BaseModel):
    """Some accounts, newest first, the operator's before all others."""

    data: list[AccountShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


def _wanted(
    search: Annotated[
        str | None, Query(min_length=1, max_length=NAME_LIMIT, description="Part of a name, an e-mail address or an id.")
    ] = None,
    role: Role | None = None,
    state: Annotated[Literal["active", "disabled", "deleted"] | None, Query(description="Default: all but deleted ones.")] = None,
) -> Wanted:
    return Wanted(search, role, state)


@routes.get("", dependencies=[Depends(administrator)], responses=refusals("invalid_request"))
async def list_accounts(accounts: TheAccounts, paging: Paging, wanted: Annotated[Wanted, Depends(_wanted)]) -> AccountPage:
    """All accounts, newest first."""
    page = await accounts.list(wanted, paging)
    return AccountPage(data=[account_shown(one) for one in page.data], next=page.next)


@routes.post("", status_code=201, responses=refusals("invalid_request", "conflict", "overloaded"))
async def create_account(body: AccountGiven, admin: Admin, accounts: TheAccounts) -> AccountShown:
    """Make an account. Its e-mail address counts as proven."""
    fields = given(body)
    if body.password is not None:
        fields["password"] = body.password.get_secret_value()
    return account_shown(await accounts.create(admin, Draft(**fields)))


@routes.get("/{account_id}", responses=_MISSING)
async def get_account(account_id: Id, who: Who, accounts: TheAccounts) -> AccountShown:
    """One account."""
    return account_shown(await accounts.get(who.acting_on(account_id)))


@routes.patch("/{account_id}", responses=refusals("invalid_request", "not_found", "conflict"))
async def change_account(account_id: Id, body: AccountChanged, admin: Admin, accounts: TheAccounts) -> AccountShown:
    """Change what is given. Requests that are running are not touched; new ones see it within a second."""
    return account_shown(await accounts.change(admin, account_id, **given(body)))


@routes.post("/{account_id}/disable", responses=_CHANGED)
async def disable_account(account_id: Id, admin: Admin, accounts: TheAccounts) -> AccountShown:
    """Refuse its keys and its sign-ins until it is enabled again. Its sessions end; requests that are running do not."""
    return account_shown(await accounts.disable(admin, account_id))


@routes.post("/{account_id}/enable", responses=_MISSING)
async def enable_account(account_id: Id, admin: Admin, accounts: TheAccounts) -> AccountShown:
    """Accept a disabled account again."""
    return account_shown(await accounts.enable(admin, account_id))


@routes.delete("/{account_id}", status_code=204, responses=_CHANGED)
async def delete_account(account_id: Id, admin: Admin, accounts: TheAccounts) -> None:
    """Forget who the account was; its keys open nothing any more, its charges and entries stay. Export it first."""
    await accounts.delete(admin, account_id)


@routes.delete("/{account_id}/sessions", status_code=204, responses=_MISSING)
async def end_sessions(account_id: Id, admin: Admin, accounts: TheAccounts) -> None:
    """Sign the account out everywhere."""
    await accounts.sign_out(admin, account_id)


@routes.post("/{account_id}/password-reset", status_code=202, responses=_CHANGED | refusals("overloaded"))
async def send_password_reset(account_id: Id, admin: Admin, recovery: TheRecovery) -> Sent:
    """Send the account a link to choose another password."""
    await recovery.send(admin, account_id)
    return Sent()


@routes.get("/{account_id}/export", response_class=Response, responses=EXPORTED | _MISSING | refusals("too_many_requests"))
async def export_account(account_id: Id, who: Who, exports: TheExports) -> Response:
    """Everything that is known of the account, as one JSON document."""
    return Download(await exports.write(who.acting_on(account_id)), f"{account_id}.json", "application/json")
