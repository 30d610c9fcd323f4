"""Leaving: an account takes its rules along, and they go with it."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from penstock.accounts.export import Exports
from penstock.accounts.service import Accounts
from penstock.rules.changes import changed_since
from penstock.rules.counts import Counts
from penstock.rules.leaving import export_rules, forget_rules
from penstock.rules.models import RuleDay, RuleRow


@pytest.fixture
async def mine(rules, operator, member, given, database, clock):
    """A rule of the member's that was used, beside one of the operator's."""
    await rules.create(operator, given("operator's", scope="all"))
    row = await rules.create(member, given("mine"), member.account_id)
    counts = Counts(database)
    counts.add((row.id,), (), (), clock.ms)
    await counts.flush()
    return row


async def test_the_export_has_the_accounts_rules_alone(mine, member, database):
    with await Exports(database, (export_rules,)).write(member.account_id) as file:
        (rule,) = json.loads(file.read())["rules"]
    assert (rule["id"], rule["name"], rule["then"]) == (mine.id, "mine", [{"do": "set", "path": "temperature", "value": 1}])


async def test_a_deleted_account_has_none(mine, operator, member, database):
    await Accounts(database, endings=(forget_rules,)).delete(operator, member.account_id)
    async with database.session(read_only=True) as session:
        assert [row.name for row in await session.scalars(select(RuleRow))] == ["operator's"]
        assert (await session.scalars(select(RuleDay))).all() == []
        assert (await changed_since(session, 2))[1] == {member.account_id}


async def test_without_rules_nothing_changes(member, database):
    async with database.session() as session:
        await forget_rules(session, member.account_id)
    async with database.session(read_only=True) as session:
        assert await changed_since(session, 0) == (0, set())
