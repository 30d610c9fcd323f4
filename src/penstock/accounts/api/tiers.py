"""The control API of tiers, under `/api/tiers`: everyone who is signed in sees them, administrators set them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field, StrictInt

from penstock.accounts.api.asking import Admin, who
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.services import TheTiers
from penstock.accounts.api.shapes import AccountLimits, AccountLimitsGiven, example, given, limits_shown
from penstock.accounts.models import Tier
from penstock.accounts.service import NAME_LIMIT
from penstock.accounts.tiers import EARNS_LIMIT, MODELS_LIMIT, MONTHS_LIMIT, MULTIPLIER_LIMIT_MICRO, NAME, WINDOW_LIMIT_DAYS, Terms
from penstock.kit.limits import GREATEST

routes = APIRouter(prefix="/api/tiers", tags=["tiers"], responses=refusals("not_signed_in"))

TierName = Annotated[str, Path(pattern=f"^{NAME}$", examples=["vip"])]


class Earning(BaseModel):
    """A row of what top-ups earn."""

    model_config = example({"amount_nano": 20_000_000_000, "months": 1})

    amount_nano: Annotated[StrictInt, Field(ge=1, le=GREATEST)]
    months: Annotated[StrictInt, Field(ge=1, le=MONTHS_LIMIT)]


class TierGiven(BaseModel):
    """What a tier gives."""

    model_config = example(
        {
            "title": "VIP", "rank": 1, "multiplier_micro": 900_000, "limits": {"rpm": 600}, "monthly_nano": 20_000_000_000,
            "earns": [{"amount_nano": 20_000_000_000, "months": 1}, {"amount_nano": 40_000_000_000, "months": 6}], "window_days": 31,
        }
    )  # fmt: skip

    title: Annotated[str, Field(min_length=1, max_length=NAME_LIMIT)]
    rank: Annotated[StrictInt, Field(ge=0, le=1_000_000, description="Of several memberships the one of the highest rank counts.")]
    multiplier_micro: Annotated[
        StrictInt, Field(ge=0, le=MULTIPLIER_LIMIT_MICRO, description="Of prices, in millionths: 1000000 is the price as it is.")
    ] = 1_000_000
    limits: Annotated[AccountLimitsGiven | None, Field(description="Of accounts with this tier; null: none.")] = None
    models: Annotated[list[str] | None, Field(max_length=MODELS_LIMIT, description="Names of models with `*` and `?`; null: all.")] = None
    monthly_nano: Annotated[StrictInt | None, Field(ge=1, le=GREATEST, description="What a month costs; null: it is not sold.")] = None
    earns: Annotated[list[Earning], Field(max_length=EARNS_LIMIT, description="What top-ups within the window earn.")] = []
    window_days: Annotated[StrictInt, Field(ge=1, le=WINDOW_LIMIT_DAYS)] = 31


class TierShown(BaseModel):
    """A tier."""

    name: Annotated[str, Field(examples=["vip"])]
    title: str
    rank: int
    multiplier_micro: int
    limits: AccountLimits
    models: list[str] | None
    monthly_nano: int | None
    earns: list[Earning]
    window_days: int


class TierList(BaseModel):
    """All tiers, the lowest first."""

    data: list[TierShown]


@routes.get("", dependencies=[Depends(who)])
async def list_tiers(tiers: TheTiers) -> TierList:
    """All tiers, the lowest first."""
    return TierList(data=[_shown(tier) for tier in await tiers.list()])


@routes.get("/{name}", dependencies=[Depends(who)], responses=refusals("not_found"))
async def get_tier(name: TierName, tiers: TheTiers) -> TierShown:
    """One tier."""
    return _shown(await tiers.get(name))


@routes.put("/{name}", responses=refusals("invalid_request", "forbidden", "conflict"))
async def put_tier(name: TierName, body: TierGiven, admin: Admin, tiers: TheTiers) -> TierShown:
    """Make a tier, or replace what it gives. Accounts that have it see that within a second."""
    limits = {} if body.limits is None else given(body.limits)
    terms = Terms(**{**body.model_dump(), "limits": limits})
    return _shown(await tiers.put(admin, name, terms))


@routes.delete("/{name}", status_code=204, responses=refusals("forbidden", "not_found", "conflict"))
async def delete_tier(name: TierName, admin: Admin, tiers: TheTiers) -> None:
    """Delete a tier that no account has had. `free` stays."""
    await tiers.delete(admin, name)


def _shown(tier: Tier) -> TierShown:
    return TierShown(
        name=tier.name,
        title=tier.title,
        rank=tier.rank,
        multiplier_micro=tier.multiplier_micro,
        limits=limits_shown(tier.limits),
        models=tier.models,
        monthly_nano=tier.monthly_nano,
        earns=[Earning(**row) for row in tier.earns],
        window_days=tier.window_days,
    )
