"""Recalls: wishes that are heard by everyone, and grow old."""

from __future__ import annotations

from sqlalchemy import select

from penstock.billing.recalls import FRESH_MS, REVISION, recall, recalled
from penstock.infra.revisions import Revision


async def test_a_wish_is_heard_while_it_is_fresh(database):
    await recall(database, ["acc_a/paid", "acc_a/free", "acc_a/paid"], 10_000)
    assert sorted(await recalled(database, 10_000)) == ["acc_a/free", "acc_a/paid"]
    assert await recalled(database, 10_000 + FRESH_MS) == []
    await recall(database, ["acc_a/paid"], 20_000)
    assert await recalled(database, 20_000) == ["acc_a/paid"]
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(Revision.number).where(Revision.name == REVISION)) == 2


async def test_without_a_database_nobody_hears_it(database, outage):
    async with outage():
        await recall(database, ["acc_a/paid"], 1)
        assert await recalled(database, 1) == []
