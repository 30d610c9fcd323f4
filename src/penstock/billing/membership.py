"""Membership: what top-ups earn by a tier's table, and what an administrator sets. A gift: the balance is kept."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity, no_account
from penstock.accounts.models import Account, Membership, Tier
from penstock.accounts.standing import FREE, Standing, standings_of
from penstock.accounts.trail import Trail
from penstock.billing.models import Earning
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.money import MAX_NANO

CALLERS = "keys"
"""The revision of what is known about callers: their tier is part of it."""
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR = 9998


class Window(NamedTuple):
    """What was paid since a first top-up, and the months that came of it, counted from `from_ms`."""

    first_at_ms: int
    from_ms: int
    paid_nano: int = 0
    months: int = 0


class Stacked(NamedTuple):
    """A window after one more payment, and the end of the membership; None where none was earned so far."""

    window: Window
    until_ms: int | None


class Progress(NamedTuple):
    """What an account has of one tier. `window_until_ms`: top-ups until then add up to `paid_nano`; None when nothing does."""

    tier: Tier
    started_at_ms: int | None
    until_ms: int | None
    paid_nano: int
    window_until_ms: int | None


class Held(NamedTuple):
    """The tier that an account has now, and what it has of each, the highest first. A membership whose end has passed is over."""

    standing: Standing
    tiers: list[Progress]


def add_months(at_ms: int, months: int) -> int:
    """The same day and time so many months later, in UTC; the last day of the month where it has no such day."""
    whole_s, rest_ms = divmod(at_ms, 1000)
    moment = _EPOCH + timedelta(seconds=whole_s)
    count = moment.year * 12 + moment.month - 1 + months
    year, month = min(count // 12, _LAST_YEAR), count % 12 + 1
    later = moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
    return (later - _EPOCH) // timedelta(seconds=1) * 1000 + rest_ms


def months_for(earns: Iterable[Mapping[str, int]], paid_nano: int) -> int:
    """The months that a sum of payments earns: those of the highest row that it reaches, by its months."""
    return max((row["months"] for row in earns if row["amount_nano"] <= paid_nano), default=0)


def stack(tier: Tier, window: Window | None, until_ms: int | None, amount_nano: int, now_ms: int) -> Stacked:
    """The stacking rule. A payment within the window of a first one adds to it, and the months of the sum count from there.

    Any other opens a new window, whose months come after a membership that still runs. An end that was set by hand is
    moved by as much as was earned.
    """
    if window is None or now_ms >= window.first_at_ms + tier.window_days * _DAY_MS:
        window = Window(now_ms, max(now_ms, until_ms or 0))
    paid_nano = min(window.paid_nano + amount_nano, MAX_NANO)
    months = max(months_for(tier.earns, paid_nano), window.months)
    if months > window.months:
        before_ms, after_ms = add_months(window.from_ms, window.months), add_months(window.from_ms, months)
        until_ms = max(until_ms or 0, before_ms) + after_ms - before_ms
    return Stacked(window._replace(paid_nano=paid_nano, months=months), until_ms)


class Memberships:
    """The memberships of accounts. Methods with a session are part of its transaction, in which the account is locked."""

    def __init__(self, database: Database, trail: Trail, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._trail = trail
        self._now_ms = now_ms

    async def earned(self, session: AsyncSession, account_id: str, amount_nano: int, now_ms: int) -> dict[str, int]:
        """Count a payment for every tier that can be earned: the tiers that were, each with its new end."""
        ends: dict[str, int] = {}
        for tier in await session.scalars(select(Tier).where(Tier.name != FREE).order_by(Tier.name)):
            if not tier.earns:
                continue
            earning = await session.get(Earning, (account_id, tier.name))
            membership = await session.get(Membership, (account_id, tier.name))
            window = Window(earning.first_at_ms, earning.from_ms, earning.paid_nano, earning.months) if earning else None
            before_ms = membership.until_ms if membership else None
            window, until_ms = stack(tier, window, before_ms, amount_nano, now_ms)
            await session.merge(Earning(account_id=account_id, tier=tier.name, **window._asdict()))
            if until_ms is not None and until_ms != before_ms:
                runs = membership is not None and membership.until_ms > now_ms
                started_at_ms = membership.started_at_ms if membership and runs else window.from_ms
                await session.merge(Membership(account_id=account_id, tier=tier.name, started_at_ms=started_at_ms, until_ms=until_ms))
                ends[tier.name] = until_ms
        if ends:
            await session.flush()
            await bump(session, CALLERS)
        return ends

    async def refunded(self, session: AsyncSession, account_id: str, amount_nano: int, paid_at_ms: int) -> None:
        """What was paid back no longer adds up. The months it earned are kept, and are not earned again by paying it once more."""
        for earning in await session.scalars(select(Earning).where(Earning.account_id == account_id, Earning.first_at_ms <= paid_at_ms)):
            earning.paid_nano = max(earning.paid_nano - amount_nano, 0)

    async def set(self, session: AsyncSession, who: Identity, account_id: str, tier: str, until_ms: int | None) -> Held:
        """Let an account's membership end at that time, whatever was earned; None ends it now."""
        now_ms = self._now_ms()
        account = await session.scalar(select(Account).where(Account.id == account_id).with_for_update(key_share=True))
        if account is None or account.deleted_at_ms is not None:
            raise no_account(account_id)
        if tier == FREE:
            raise PenstockError(
                "invalid_request", f"'{FREE}' is the tier of accounts without membership: end the others instead.", param="tier"
            )
        if await session.get(Tier, tier) is None:
            raise PenstockError("not_found", f"There is no tier '{tier}'.", param="tier")
        if until_ms is not None and until_ms <= now_ms:
            raise PenstockError("invalid_request", "The end has already passed; leave it out to end the membership now.", param="until_at")
        membership = await session.get(Membership, (account_id, tier))
        if membership is None:
            membership = Membership(account_id=account_id, tier=tier, started_at_ms=now_ms, until_ms=now_ms)
            session.add(membership)
        elif membership.until_ms <= now_ms:
            membership.started_at_ms = now_ms
        membership.until_ms = min(membership.until_ms, now_ms) if until_ms is None else until_ms
        await session.flush()
        detail = {"tier": tier, "until_at": clock.iso(membership.until_ms)}
        await self._trail.note(session, who, "membership.set", tier, account_id=account_id, detail=detail)
        await bump(session, CALLERS)
        return await self._held(session, account_id)

    async def of(self, account_id: str) -> Held:
        """What an account has of each tier."""
        async with self._database.session(read_only=True) as session:
            if await session.scalar(select(Account.id).where(Account.id == account_id)) is None:
                raise no_account(account_id)
            return await self._held(session, account_id)

    async def _held(self, session: AsyncSession, account_id: str) -> Held:
        now_ms = self._now_ms()
        rows = await session.execute(
            select(Tier, Membership, Earning)
            .outerjoin(Membership, (Membership.tier == Tier.name) & (Membership.account_id == account_id))
            .outerjoin(Earning, (Earning.tier == Tier.name) & (Earning.account_id == account_id))
            .where(Tier.name != FREE)
            .order_by(Tier.rank.desc(), Tier.name)
        )
        tiers = [_progress(tier, membership, earning, now_ms) for tier, membership, earning in rows]
        return Held((await standings_of(session, [account_id], now_ms))[account_id], tiers)


def _progress(tier: Tier, membership: Membership | None, earning: Earning | None, now_ms: int) -> Progress:
    started_at_ms, until_ms = (membership.started_at_ms, membership.until_ms) if membership else (None, None)
    if earning is not None and tier.earns and (ends_ms := earning.first_at_ms + tier.window_days * _DAY_MS) > now_ms:
        return Progress(tier, started_at_ms, until_ms, earning.paid_nano, ends_ms)
    return Progress(tier, started_at_ms, until_ms, 0, None)
