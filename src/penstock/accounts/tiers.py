"""Tiers: the levels of membership and what each gives; data that administrators set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.models import Tier
from penstock.accounts.service import CALLERS, NAME_LIMIT
from penstock.accounts.standing import FREE, Standing, standings_of
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.globs import NAME_LIMIT as GLOB_LIMIT
from penstock.kit.limits import GREATEST, Limits, change_limits, write_limits

TIERS_LIMIT = 100
MULTIPLIER_LIMIT_MICRO = 1_000_000_000
MODELS_LIMIT = 1000
MONTHS_LIMIT = 120
EARNS_LIMIT = 20
WINDOW_LIMIT_DAYS = 366
NAME = "[a-z0-9][a-z0-9_-]{0,49}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a tier gives, as in the columns of `models.Tier`."""

    title: str
    rank: int
    multiplier_micro: int = 1_000_000
    limits: Mapping[str, Any] = field(default_factory=dict)
    models: Sequence[str] | None = None
    monthly_nano: int | None = None
    earns: Sequence[Mapping[str, int]] = ()
    window_days: int = 31


class Tiers:
    """The tiers of one database. Methods raise PenstockError (`not_found`, `invalid_request`, `conflict`) and DatabaseAway."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms
        self._trail = Trail(database, now_ms)

    async def list(self) -> Sequence[Tier]:
        """All tiers, the lowest first."""
        async with self._database.session(read_only=True) as session:
            return (await session.scalars(select(Tier).order_by(Tier.rank, Tier.name))).all()

    async def get(self, name: str) -> Tier:
        """One tier."""
        async with self._database.session(read_only=True) as session:
            tier = await session.get(Tier, name)
        if tier is None:
            raise unknown_tier(name)
        return tier

    async def standing(self, account_id: str) -> Standing:
        """The tier that an account has now, and until when."""
        async with self._database.session(read_only=True) as session:
            return (await standings_of(session, [account_id], self._now_ms()))[account_id]

    async def put(self, who: Identity, name: str, terms: Terms) -> Tier:
        """Make a tier, or replace what it gives. Accounts that have it have the new terms within a second."""
        columns = _columns(name, terms)
        async with self._database.session() as session:
            tier = await session.scalar(select(Tier).where(Tier.name == name).with_for_update())
            if tier is None:
                if (await session.scalar(select(func.count()).select_from(Tier)) or 0) >= TIERS_LIMIT:
                    raise PenstockError("conflict", f"There are {TIERS_LIMIT} tiers already.")
                tier = Tier(name=name)
                session.add(tier)
            for column, value in columns.items():
                setattr(tier, column, value)
            await self._changed(session, who, "put", name, columns)
        return tier

    async def delete(self, who: Identity, name: str) -> None:
        """Delete a tier that no account has had."""
        if name == FREE:
            raise PenstockError("conflict", "The tier 'free' is that of accounts without membership. It stays.")
        try:
            async with self._database.session() as session:
                if await session.scalar(delete(Tier).where(Tier.name == name).returning(Tier.name)) is None:
                    raise unknown_tier(name)
                await self._changed(session, who, "delete", name, {})
        except IntegrityError as broken:
            raise PenstockError("conflict", "Accounts have this tier, or had it. Give it other terms instead.") from broken

    async def _changed(self, session: AsyncSession, who: Identity, action: str, name: str, detail: Mapping[str, Any]) -> None:
        await self._trail.note(session, who, f"tier.{action}", name, account_id=None, detail=detail)
        await bump(session, CALLERS)


async def tier_of(session: AsyncSession, account_id: str, now_ms: int) -> Tier:
    """The tier of an account: of the memberships that have not ended the one of the highest rank, else `free`."""
    return (await standings_of(session, [account_id], now_ms))[account_id].tier


def unknown_tier(name: str) -> PenstockError:
    """That there is no tier of this name."""
    return PenstockError("not_found", f"There is no tier '{name}'.", param="tier")


def _columns(name: str, terms: Terms) -> dict[str, Any]:
    """The columns that hold the terms. Raises PenstockError `invalid_request` for what cannot be terms."""
    _check(bool(re.fullmatch(NAME, name)), "A tier's name has 1 to 50 small letters, digits, dashes and underscores.", "name")
    title = terms.title
    good = 0 < len(title) <= NAME_LIMIT and title.isprintable() and title == title.strip()
    _check(good, f"A title has 1 to {NAME_LIMIT} printable characters, and no blanks around it.", "title")
    _check(_within(terms.rank, 0, 1_000_000), "A rank is a whole number from 0 to 1000000.", "rank")
    words = f"A multiplier is a whole number of millionths, from 0 to {MULTIPLIER_LIMIT_MICRO}."
    _check(_within(terms.multiplier_micro, 0, MULTIPLIER_LIMIT_MICRO), words, "multiplier_micro")
    _check(_is_models(terms.models), "Name at least one model, none of them empty, or leave them out for all.", "models")
    price = terms.monthly_nano
    _check(price is None or _within(price, 1, GREATEST), f"A price is a whole number of nano-dollars from 1 to {GREATEST}.", "monthly_nano")
    _check(_within(terms.window_days, 1, WINDOW_LIMIT_DAYS), f"The window has 1 to {WINDOW_LIMIT_DAYS} days.", "window_days")
    earns = sorted((_earning(row) for row in terms.earns), key=lambda row: row["amount_nano"])
    amounts, months = [row["amount_nano"] for row in earns], [row["months"] for row in earns]
    good = len(earns) <= EARNS_LIMIT and len(set(amounts)) == len(amounts) and months == sorted(months)
    _check(good, f"There are at most {EARNS_LIMIT} different amounts, of which a greater one earns no fewer months.", "earns")
    _check(name != FREE or not earns, "Nobody earns the tier 'free'.", "earns")
    return {
        "title": title, "rank": terms.rank, "multiplier_micro": terms.multiplier_micro,
        "limits": write_limits(change_limits(Limits(), terms.limits)), "models": None if terms.models is None else list(terms.models),
        "monthly_nano": price, "earns": earns, "window_days": terms.window_days,
    }  # fmt: skip


def _earning(row: Mapping[str, int]) -> dict[str, int]:
    """A row of what top-ups earn."""
    good = row.keys() == {"amount_nano", "months"} and _within(row["amount_nano"], 1, GREATEST) and _within(row["months"], 1, MONTHS_LIMIT)
    _check(good, f"A row has an amount_nano from 1 to {GREATEST} and months from 1 to {MONTHS_LIMIT}.", "earns")
    return {"amount_nano": row["amount_nano"], "months": row["months"]}


def _is_models(models: Sequence[str] | None) -> bool:
    return models is None or (
        0 < len(models) <= MODELS_LIMIT and all(one.strip() and one.isprintable() and len(one) <= GLOB_LIMIT for one in models)
    )


def _within(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _check(good: bool, words: str, param: str) -> None:
    if not good:
        raise PenstockError("invalid_request", words, param=param)
