"""Standing: the tier that accounts have at a moment, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.models import Membership, Tier

FREE = "free"


class Standing(NamedTuple):
    """A tier, and when that changes by itself; None: never."""

    tier: Tier
    until_ms: int | None


async def standings_of(session: AsyncSession, account_ids: Iterable[str], now_ms: int) -> dict[str, Standing]:
    """The standing of each account: of the memberships that have not ended the one of the highest rank, else `free`."""
    ids = sorted(set(account_ids))
    if not ids:
        return {}
    free = await session.get_one(Tier, FREE)
    standings = dict.fromkeys(ids, Standing(free, None))
    live = select(Membership, Tier).join(Tier, Tier.name == Membership.tier)
    rows = await session.execute(live.where(Membership.account_id.in_(ids), Membership.until_ms > now_ms).order_by(Tier.rank))
    for membership, tier in rows:
        standings[membership.account_id] = Standing(tier, membership.until_ms)
    return standings
