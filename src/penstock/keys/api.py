"""The control API of keys, under `/api/keys`: members act on their own, administrators on everybody's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from penstock.accounts.api.asking import On, Paging, Who
from penstock.accounts.api.errors import refusals
from penstock.billing.usage import KeyTotals, Statistics
from penstock.keys.facts import facts
from penstock.keys.models import Key
from penstock.keys.service import GRACE_LIMIT_S, Keys, Made, Wanted
from penstock.keys.terms import ID_PREFIX, MODELS_LIMIT, NAME_LIMIT, NETWORKS_LIMIT, Changes, refusal
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.limits import GREATEST, Window

routes = APIRouter(prefix="/api/keys", tags=["keys"], responses=refusals("not_signed_in", "forbidden"))

_REFUSED = refusals("invalid_request", "not_found", "conflict")
_MISSING = refusals("invalid_request", "not_found")
_LEFT_OUT: Any = Field(default_factory=lambda: None)  # a factory's value is in no schema, and what is left out is not looked at


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


Limit = Annotated[StrictInt, Field(ge=0, le=GREATEST)] | None
Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT, description="Unique among the keys of the account.")]
Moment = Annotated[str, Field(max_length=64, examples=["2027-12-31"])] | None
"""ISO 8601, a date, or a span such as `30d`."""


class LimitsGiven(BaseModel):
    """What a key may use: nano-dollars, requests, tokens. What is left out stays as it is; null takes a limit away; 0 allows nothing."""

    model_config = _example(day_nano=5_000_000_000, rpm=60)

    total_nano: Limit = _LEFT_OUT
    day_nano: Limit = _LEFT_OUT
    week_nano: Limit = _LEFT_OUT
    month_nano: Limit = _LEFT_OUT
    window: Annotated[Window, Field(description="What a day, a week and a month is.")] = _LEFT_OUT
    rpm: Limit = _LEFT_OUT
    tpm: Limit = _LEFT_OUT
    concurrency: Limit = _LEFT_OUT


Fallbacks = Annotated[
    dict[str, list[str]],
    Field(
        description="By a model or a glob, the models that answer when none of its channels can.",
        examples=[{"gpt-*": ["claude-sonnet-4-5"]}],
    ),
]


class _Terms(BaseModel):
    kind: Annotated[
        Literal["key", "management"],
        Field(description="`management`: it may call this API as well. Only someone who has signed in makes or changes such a key."),
    ] = _LEFT_OUT
    models: Annotated[list[str], Field(max_length=MODELS_LIMIT, description="Names with `*` and `?`; null: all.")] | None = _LEFT_OUT
    wires: Annotated[list[str], Field(max_length=100, description="Protocols; null: all.", examples=[["chat"]])] | None = _LEFT_OUT
    networks: Annotated[list[str], Field(max_length=NETWORKS_LIMIT, description="Addresses, as CIDR; null: all.")] | None = _LEFT_OUT
    fallbacks: Fallbacks | None = _LEFT_OUT
    limits: LimitsGiven | None = _LEFT_OUT
    record: Annotated[StrictBool, Field(description="Record its requests and answers.")] = _LEFT_OUT
    expires_at: Moment = _LEFT_OUT


class KeyGiven(_Terms):
    """A key to be made. What is left out is not restricted."""

    model_config = _example(name="build-server", models=["gpt-4o*"], networks=["10.0.0.0/8"], limits={"day_nano": 5_000_000_000})

    name: Name


class KeyChanged(_Terms):
    """What is to be changed of a key; what is left out stays as it is."""

    model_config = _example(models=None, limits={"rpm": 120, "day_nano": None})

    name: Name = _LEFT_OUT


class Rotation(BaseModel):
    """How a token is replaced."""

    model_config = _example(grace_s=86_400)

    grace_s: Annotated[StrictInt, Field(ge=0, le=GRACE_LIMIT_S, description="How long the token it has works on.")] = 0
    expires_at: Annotated[Moment, Field(description="A new end.")] = _LEFT_OUT


class LimitsShown(BaseModel):
    """What a key may use."""

    total_nano: int | None
    day_nano: int | None
    week_nano: int | None
    month_nano: int | None
    window: Window
    rpm: int | None
    tpm: int | None
    concurrency: int | None


class KeyShown(BaseModel):
    """A key, without its secret."""

    id: Annotated[str, Field(examples=["key_..."])]
    account_id: str
    name: str
    kind: Literal["key", "team", "management"]
    key: Annotated[str, Field(description="What is shown of its token.", examples=["sk-...wxyz"])]
    state: Literal["active", "disabled", "expired"]
    models: list[str] | None
    wires: list[str] | None
    networks: list[str] | None
    fallbacks: dict[str, list[str]] | None
    limits: LimitsShown
    record: bool
    created_at: str
    expires_at: str | None
    disabled_at: str | None
    grace_until: Annotated[str | None, Field(description="Until when the token before the last rotation works.")]
    used_at: Annotated[str | None, Field(description="When the last request with it came; null: never.")]
    requests: int
    cost_nano: int


class KeyMade(KeyShown):
    """A key and its token."""

    token: Annotated[str, Field(description="The secret, shown this once and kept nowhere.", examples=["sk-..."])]


class KeyPage(BaseModel):
    """Some keys, newest first."""

    data: list[KeyShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


def _keys(request: Request) -> Keys:
    return cast(Keys, request.app.state.keys)


def _usage(request: Request) -> Statistics:
    return cast(Statistics, request.app.state.usage)


Service = Annotated[Keys, Depends(_keys)]
Used = Annotated[Statistics, Depends(_usage)]
AccountId = Annotated[str | None, Query(max_length=100, description="For administrators: whose it must be. Default: anybody's.")]


def _owner(who: Who, account_id: AccountId = None) -> str | None:
    """Whose a key must be that is named by its id; None: anybody's."""
    return None if who.is_admin and account_id is None else who.acting_on(account_id)


def _key_id(key_id: Annotated[str, Path(examples=["key_..."])]) -> str:
    """The id in the path; names, which are not unique among accounts, will not do."""
    if not key_id.startswith(ID_PREFIX):
        raise PenstockError("not_found", f"There is no key '{key_id}'.")
    return key_id


Owner = Annotated[str | None, Depends(_owner)]
KeyId = Annotated[str, Depends(_key_id)]


@routes.post("", status_code=201, responses=_REFUSED)
async def create_key(body: KeyGiven, who: Who, account_id: On, keys: Service) -> KeyMade:
    """Make a key. Its token is in this answer and nowhere else."""
    given = _given(body)
    return _made(await keys.create(given.pop("name"), account_id=account_id, who=who, **given))


@routes.get("", responses=_MISSING)
async def list_keys(
    account_id: On,
    paging: Paging,
    keys: Service,
    used: Used,
    search: Annotated[str | None, Query(min_length=1, max_length=NAME_LIMIT, description="Part of a name, or an id.")] = None,
) -> KeyPage:
    """The keys of an account, newest first."""
    page = await keys.page(Wanted(account_id, search), paging)
    totals = await used.of_keys([key.id for key in page.data])
    return KeyPage(data=[_shown(key, totals) for key in page.data], next=page.next)


@routes.get("/{key_id}", responses=_MISSING)
async def get_key(key_id: KeyId, owner: Owner, keys: Service, used: Used) -> KeyShown:
    """One key."""
    return await _answer(await keys.get(key_id, owner), used)


@routes.patch("/{key_id}", responses=_REFUSED)
async def change_key(key_id: KeyId, body: KeyChanged, who: Who, owner: Owner, keys: Service, used: Used) -> KeyShown:
    """Change what is given. Requests that are running are not touched; new ones see it within a second."""
    return await _answer(await keys.change(key_id, account_id=owner, who=who, **_given(body)), used)


@routes.post("/{key_id}/rotate", responses=_REFUSED)
async def rotate_key(key_id: KeyId, who: Who, owner: Owner, keys: Service, used: Used, body: Rotation | None = None) -> KeyMade:
    """Replace the token. The new one is in this answer and nowhere else."""
    given: Any = {} if body is None else _given(body)
    totals = await used.of_keys([key_id])  # first: nothing may fail between the rotation and its answer
    return _made(await keys.rotate(key_id, account_id=owner, who=who, **given), totals)


@routes.post("/{key_id}/disable", responses=_MISSING)
async def disable_key(key_id: KeyId, who: Who, owner: Owner, keys: Service, used: Used) -> KeyShown:
    """Refuse the key until it is enabled again."""
    return await _answer(await keys.disable(key_id, account_id=owner, who=who), used)


@routes.post("/{key_id}/enable", responses=_MISSING)
async def enable_key(key_id: KeyId, who: Who, owner: Owner, keys: Service, used: Used) -> KeyShown:
    """Accept a disabled key again."""
    return await _answer(await keys.enable(key_id, account_id=owner, who=who), used)


@routes.delete("/{key_id}", status_code=204, responses=_MISSING)
async def delete_key(key_id: KeyId, who: Who, owner: Owner, keys: Service) -> None:
    """Delete a key for good. Its name becomes free; its charges stay."""
    await keys.delete(key_id, account_id=owner, who=who)


def _given(body: KeyGiven | KeyChanged | Rotation) -> Any:
    """What was sent, as the service takes it."""
    given: dict[str, Any] = body.model_dump(exclude_unset=True)
    if "expires_at" in given:
        text = given.pop("expires_at")
        try:
            given["expires_at_ms"] = None if text is None else clock.parse_moment_ms(text, clock.now_ms())
        except ValueError as wrong:
            raise refusal(f"expires_at: {wrong}.", "expires_at") from None
    return cast(Changes, given)


async def _answer(key: Key, used: Statistics) -> KeyShown:
    return _shown(key, await used.of_keys([key.id]))


def _shown(key: Key, totals: dict[str, KeyTotals]) -> KeyShown:
    return KeyShown.model_validate(_facts(key, totals))


def _made(made: Made, totals: dict[str, KeyTotals] | None = None) -> KeyMade:
    return KeyMade.model_validate(_facts(made.key, totals or {}) | {"token": made.token})


def _facts(key: Key, totals: dict[str, KeyTotals]) -> dict[str, Any]:
    used = totals.get(key.id, KeyTotals())
    used_at = None if used.used_at_ms is None else clock.iso(used.used_at_ms)
    return {**facts(key, clock.now_ms()), "used_at": used_at, "requests": used.requests, "cost_nano": used.cost_nano}
