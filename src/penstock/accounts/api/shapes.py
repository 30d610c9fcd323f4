"""Shapes: the JSON that several routes of accounts take and give."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictInt

from penstock.accounts.emails import EMAIL_LIMIT
from penstock.accounts.models import Account
from penstock.accounts.passwords import LONGEST, SHORTEST
from penstock.accounts.service import NAME_LIMIT
from penstock.kit.clock import iso
from penstock.kit.limits import GREATEST, Window, read_limits

LEFT_OUT: Any = Field(default_factory=lambda: None)
"""For fields that may be left out: the default is in no schema, and is not looked at."""

Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT, examples=["Ada"])]
Email = Annotated[str, Field(min_length=3, max_length=EMAIL_LIMIT, examples=["ada@example.com"])]
Password = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST, examples=["..."])]
NewPassword = Annotated[SecretStr, Field(min_length=SHORTEST, max_length=LONGEST, examples=["correct horse battery"])]
Token = Annotated[SecretStr, Field(min_length=1, max_length=200, description="What stands behind `#` in the link.", examples=["..."])]
Limit = Annotated[StrictInt, Field(ge=0, le=GREATEST)] | None
Role = Literal["admin", "member"]


_EXAMPLE = {"account": {"id": "acc_...", "name": "Ada"}, "keys": [{"id": "key_...", "name": "build-server"}], "events": []}
EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The account, and by what it is a list of everything that is its own.",
        "content": {"application/json": {"schema": {"type": "object"}, "example": _EXAMPLE}},
    }
}
"""What an export says of its answer, for `responses=`."""


def example(fields: dict[str, Any]) -> ConfigDict:
    """The settings of a body: no other fields than its own, and this example in the OpenAPI document."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class AccountLimitsGiven(BaseModel):
    """What an account may use: nano-dollars, requests, tokens. What is left out stays; null takes a limit away; 0 allows nothing."""

    model_config = example({"month_nano": 100_000_000_000, "rpm": 600})

    total_nano: Limit = LEFT_OUT
    day_nano: Limit = LEFT_OUT
    week_nano: Limit = LEFT_OUT
    month_nano: Limit = LEFT_OUT
    window: Annotated[Window, Field(description="What a day, a week and a month is.")] = LEFT_OUT
    rpm: Limit = LEFT_OUT
    tpm: Limit = LEFT_OUT
    concurrency: Limit = LEFT_OUT


class AccountLimits(BaseModel):
    """What an account may use; null: no limit."""

    total_nano: int | None
    day_nano: int | None
    week_nano: int | None
    month_nano: int | None
    window: Window
    rpm: int | None
    tpm: int | None
    concurrency: int | None


class AccountShown(BaseModel):
    """An account."""

    id: Annotated[str, Field(examples=["acc_..."])]
    name: Annotated[str, Field(examples=["Ada"])]
    email: Annotated[str | None, Field(description="null: nobody can sign in to it.")]
    role: Role
    state: Literal["active", "disabled", "deleted"]
    prepaid: Annotated[bool, Field(description="It spends its balance and nothing more; else what it consumes is only counted.")]
    limits: AccountLimits
    created_at: str
    confirmed_at: Annotated[str | None, Field(description="When its e-mail address was proven.")]
    disabled_at: str | None
    deleted_at: str | None


class SessionOpened(BaseModel):
    """A new session. Its cookie is in the header `set-cookie`."""

    account: AccountShown
    csrf_token: Annotated[str, Field(description="To be sent as `x-csrf-token` with every request that changes something.")]
    expires_at: str


def limits_shown(stored: dict[str, Any]) -> AccountLimits:
    """The limits in a column, as they are shown."""
    return AccountLimits.model_validate(msgspec.structs.asdict(read_limits(stored)))


def moment(at_ms: int | None) -> str | None:
    """A moment as it is shown; None where there is none."""
    return None if at_ms is None else iso(at_ms)


def account_shown(account: Account) -> AccountShown:
    """An account as it is shown."""
    state = "deleted" if account.deleted_at_ms is not None else "active" if account.disabled_at_ms is None else "disabled"
    return AccountShown(
        id=account.id,
        name=account.name,
        email=account.email,
        role=cast(Role, account.role),
        state=cast(Any, state),
        prepaid=account.prepaid,
        limits=limits_shown(account.limits),
        created_at=iso(account.created_at_ms),
        confirmed_at=moment(account.confirmed_at_ms),
        disabled_at=moment(account.disabled_at_ms),
        deleted_at=moment(account.deleted_at_ms),
    )


def given(body: BaseModel) -> dict[str, Any]:
    """What was sent of a body."""
    return body.model_dump(exclude_unset=True)
