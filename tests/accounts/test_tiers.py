"""Tiers: data that administrators set; nothing that is no tier gets in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from penstock.accounts.identity import CLI
from penstock.accounts.models import Event, Membership, Tier
from penstock.accounts.service import CALLERS
from penstock.accounts.tiers import TIERS_LIMIT, Terms, Tiers, tier_of
from penstock.infra.revisions import Revision
from penstock.kit.errors import PenstockError

GOLD = Terms(
    "Gold", 5, 900_000, {"rpm": 60}, ["gpt-*"], 20_000_000_000, [{"amount_nano": 40, "months": 6}, {"amount_nano": 20, "months": 1}], 30
)


@pytest.fixture
def tiers(database, clock) -> Tiers:
    return Tiers(database, clock)


async def refused(act, code: str, param: str | None = None) -> None:
    with pytest.raises(PenstockError) as refusal:
        await act
    assert (refusal.value.code, refusal.value.param) == (code, param)


async def test_the_first_tiers(tiers):
    assert [(tier.name, tier.rank, tier.multiplier_micro) for tier in await tiers.list()] == [
        ("free", 0, 1_000_000), ("vip", 1, 1_000_000), ("premium", 2, 1_000_000),
    ]  # fmt: skip


async def test_put(tiers, database):
    made = await tiers.put(CLI, "gold", GOLD)
    found = await tiers.get("gold")
    assert (found.title, found.rank, found.multiplier_micro, found.limits, found.models) == ("Gold", 5, 900_000, {"rpm": 60}, ["gpt-*"])
    assert (found.monthly_nano, found.window_days) == (20_000_000_000, 30)
    assert found.earns == made.earns == [{"amount_nano": 20, "months": 1}, {"amount_nano": 40, "months": 6}]
    await tiers.put(CLI, "gold", Terms("Gold", 6))
    found = await tiers.get("gold")
    assert (found.rank, found.multiplier_micro, found.limits, found.models, found.monthly_nano, found.earns) == (
        6,
        1_000_000,
        {},
        None,
        None,
        [],
    )
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(Revision.number).where(Revision.name == CALLERS)) == 2
        (first, _) = (await session.scalars(select(Event).where(Event.action == "tier.put").order_by(Event.id))).all()
    assert (first.subject, first.account_id, first.detail["multiplier_micro"]) == ("gold", None, 900_000)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"title": ""}, "title"), ({"title": " x"}, "title"), ({"title": "a\x00"}, "title"), ({"rank": -1}, "rank"),
        ({"rank": True}, "rank"),
        ({"multiplier_micro": -1}, "multiplier_micro"), ({"multiplier_micro": 1_000_000_001}, "multiplier_micro"),
        ({"multiplier_micro": 0.9}, "multiplier_micro"), ({"limits": {"rpm": -1}}, "limits.rpm"), ({"models": []}, "models"),
        ({"models": [" "]}, "models"), ({"models": ["a\x00"]}, "models"), ({"monthly_nano": 0}, "monthly_nano"),
        ({"monthly_nano": 10**18 + 1}, "monthly_nano"), ({"window_days": 0}, "window_days"), ({"window_days": 367}, "window_days"),
        ({"earns": [{"amount_nano": 0, "months": 1}]}, "earns"), ({"earns": [{"amount_nano": 1, "months": 121}]}, "earns"),
        ({"earns": [{"amount_nano": 1}]}, "earns"), ({"earns": [{"amount_nano": 1, "months": 1}] * 2}, "earns"),
        ({"earns": [{"amount_nano": 1, "months": 2}, {"amount_nano": 2, "months": 1}]}, "earns"),
    ],
)  # fmt: skip
async def test_terms_that_are_none(tiers, change, param):
    await refused(tiers.put(CLI, "gold", replace(GOLD, **change)), "invalid_request", param)


@pytest.mark.parametrize("name", ["", "Gold", "a b", "-a", "a" * 51, "a\n", "ä"])
async def test_names_that_are_none(tiers, name):
    await refused(tiers.put(CLI, name, GOLD), "invalid_request", "name")


async def test_free_stays_and_is_not_earned(tiers):
    await refused(tiers.delete(CLI, "free"), "conflict")
    await refused(tiers.put(CLI, "free", GOLD), "invalid_request", "earns")
    assert (await tiers.put(CLI, "free", Terms("Nothing", 0, 2_000_000))).title == "Nothing"


async def test_delete(tiers, database, new_account, clock):
    await tiers.delete(CLI, "premium")
    await refused(tiers.get("premium"), "not_found", "tier")
    await refused(tiers.delete(CLI, "premium"), "not_found", "tier")
    async with database.session() as session:
        account = await new_account("ada@example.com")
        session.add(Membership(account_id=account.id, tier="vip", started_at_ms=0, until_ms=1))
    await refused(tiers.delete(CLI, "vip"), "conflict")


async def test_there_are_only_so_many(tiers, database):
    async with database.session() as session:
        for number in range(TIERS_LIMIT - 3):
            session.add(Tier(name=f"t{number}", title="x", rank=9, multiplier_micro=1, limits={}, models=None, earns=[], window_days=1))
    await refused(tiers.put(CLI, "gold", GOLD), "conflict")
    assert await tiers.put(CLI, "vip", GOLD)


async def test_the_tier_of_an_account(tiers, database, new_account, clock):
    account = await new_account("ada@example.com")

    async def name() -> str:
        async with database.session(read_only=True) as session:
            return (await tier_of(session, account.id, clock.ms)).name

    assert await name() == "free"
    async with database.session() as session:
        session.add(Membership(account_id=account.id, tier="vip", started_at_ms=0, until_ms=clock.ms + 10))
        session.add(Membership(account_id=account.id, tier="premium", started_at_ms=0, until_ms=clock.ms + 5))
    assert await name() == "premium"
    assert (await tiers.standing(account.id)).until_ms == clock.ms + 5
    clock.ms += 5
    assert await name() == "vip"
    clock.ms += 5
    assert await name() == "free"
