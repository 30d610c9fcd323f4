"""The tables of rules: what belongs to a rule goes with it, and names are unique in an account alone."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from penstock.rules.models import RuleDay, RuleRow


async def test_days_go_with_their_rule(rules, operator, given, database):
    row = await rules.create(operator, given())
    async with database.session() as session:
        session.add(RuleDay(rule_id=row.id, day=1, hits=1, shadow_hits=0, errors=0, last_at_ms=1))
    async with database.session() as session:
        await session.execute(delete(RuleRow))
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(RuleDay))).all() == []


async def test_a_name_is_taken_in_one_account(rules, operator, member, given, database):
    row = await rules.create(operator, given())
    await rules.create(member, given(), member.account_id)
    twin = {column.name: getattr(row, column.name) for column in row.__table__.columns} | {"id": "rul_twin"}
    with pytest.raises(IntegrityError):
        async with database.session() as session:
            session.add(RuleRow(**twin))
