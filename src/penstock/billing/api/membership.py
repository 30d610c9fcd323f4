"""The control API of membership: which tiers an account has, until when, and what its top-ups have come to."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from penstock.accounts.api.asking import Admin, Id, On
from penstock.accounts.api.errors import refusals
from penstock.accounts.api.shapes import example, moment
from penstock.accounts.tiers import NAME
from penstock.billing.api.money import ASKED, MOVED, Moment, TheDeed, read_moment
from penstock.billing.membership import Held, Memberships, Progress

routes = APIRouter(prefix="/api", tags=["membership"], responses=refusals("not_signed_in", "forbidden"))


class MembershipSet(BaseModel):
    """When a membership is to end."""

    model_config = example({"until_at": "2027-12-31"})

    until_at: Annotated[Moment | None, Field(description="null: now.")]


class TierNow(BaseModel):
    """The tier that counts."""

    name: Annotated[str, Field(examples=["vip"])]
    title: str
    until_at: Annotated[str | None, Field(description="When that changes by itself; null: never.")]


class TierProgress(BaseModel):
    """What an account has of one tier. A membership whose end has passed is over."""

    tier: Annotated[str, Field(examples=["vip"])]
    title: str
    started_at: str | None
    until_at: Annotated[str | None, Field(description="null: it never had it.")]
    paid_nano: Annotated[int, Field(description="What top-ups have come to that add up.")]
    adds_up_until_at: Annotated[str | None, Field(description="Until when more add to it; null: the next one begins anew.")]


class MembershipShown(BaseModel):
    """The membership of an account."""

    tier: TierNow
    tiers: Annotated[list[TierProgress], Field(description="All tiers but `free`, the highest first.")]


def _memberships(request: Request) -> Memberships:
    return cast(Memberships, request.app.state.membership)


TheMemberships = Annotated[Memberships, Depends(_memberships)]


@routes.get("/membership", responses=ASKED)
async def get_membership(account_id: On, memberships: TheMemberships) -> MembershipShown:
    """Which tiers an account has."""
    return _shown(await memberships.of(account_id))


@routes.put("/accounts/{account_id}/memberships/{tier}", responses=MOVED)
async def set_membership(
    account_id: Id, tier: Annotated[str, Path(pattern=f"^{NAME}$", examples=["vip"])], body: MembershipSet, admin: Admin, deed: TheDeed,
    memberships: TheMemberships,
) -> MembershipShown:  # fmt: skip
    """Let a membership end at that time, whatever was paid. Running requests are not touched; new ones see it within a second."""
    until_ms = read_moment(body.until_at, "until_at")

    async def act(session: Any) -> MembershipShown:
        return _shown(await memberships.set(session, admin, account_id, tier, until_ms))

    return await deed.once(act, MembershipShown)


def _shown(held: Held) -> MembershipShown:
    tier, until_ms = held.standing
    return MembershipShown(
        tier=TierNow(name=tier.name, title=tier.title, until_at=moment(until_ms)), tiers=[_progress(one) for one in held.tiers]
    )


def _progress(one: Progress) -> TierProgress:
    return TierProgress(
        tier=one.tier.name,
        title=one.tier.title,
        started_at=moment(one.started_at_ms),
        until_at=moment(one.until_ms),
        paid_nano=one.paid_nano,
        adds_up_until_at=moment(one.window_until_ms),
    )
