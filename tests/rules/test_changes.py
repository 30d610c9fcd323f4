"""Changes: numbers that say whose rules have changed since when."""

from __future__ import annotations

from sqlalchemy import update

from penstock.infra.revisions import Revision
from penstock.rules.changes import EVERYBODY, REVISION, changed, changed_since


async def since(database, number):
    async with database.session(read_only=True) as session:
        return await changed_since(session, number)


async def test_whose_rules_have_changed(database):
    assert await since(database, 0) == (0, set())
    async with database.session() as session:
        await changed(session, {"acc_a", EVERYBODY})
    assert await since(database, 0) == (1, {"acc_a", EVERYBODY})
    async with database.session() as session:
        await changed(session, {"acc_b"})
        await changed(session, ())
    async with database.session() as session:
        await changed(session, {"acc_a"})
    assert await since(database, 1) == (3, {"acc_a", "acc_b"})
    assert await since(database, 2) == (3, {"acc_a"})
    assert await since(database, 3) == (3, set())


async def test_a_number_that_went_back_says_nothing(database):
    async with database.session() as session:
        await changed(session, {"acc_a"})
        await session.execute(update(Revision).where(Revision.name == REVISION).values(number=1))
    assert await since(database, 7) == (1, None)


async def test_each_rule_tells_whose_it_is(rules, operator, member, given, database):
    await rules.create(member, given(), member.account_id)
    assert await since(database, 0) == (1, {member.account_id})
    row = await rules.create(operator, given(scope="all"))
    assert await since(database, 1) == (2, {EVERYBODY})
    await rules.switch(operator, [row.id], enabled=True)
    assert await since(database, 2) == (2, set()), "nothing has changed"
    await rules.switch(operator, [row.id], enabled=False)
    await rules.delete(operator, [row.id])
    assert await since(database, 2) == (4, {EVERYBODY})
