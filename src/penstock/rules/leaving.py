"""Leaving: what an account takes along of its rules in its export, and that they go when it is deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.rules.changes import changed
from penstock.rules.models import RuleRow
from penstock.rules.shown import facts_of


async def export_rules(session: AsyncSession, account_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The account's rules, oldest first, for `accounts.export`."""
    for row in await session.scalars(select(RuleRow).where(RuleRow.account_id == account_id).order_by(RuleRow.id)):
        yield "rules", facts_of(row)


async def forget_rules(session: AsyncSession, account_id: str) -> None:
    """Delete all rules of an account, with their statistics, in this transaction."""
    mine = select(RuleRow.id).where(RuleRow.account_id == account_id).order_by(RuleRow.id).with_for_update()
    if ids := (await session.scalars(mine)).all():
        await session.execute(delete(RuleRow).where(RuleRow.id.in_(ids)))
        await changed(session, {account_id})
