"""Changes: whose rules have changed since when, so that a process reads again only what it must."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.infra.revisions import Revision, bump
from penstock.rules.models import RuleChange, RuleRow

REVISION = "rules"
EVERYBODY = ""
"""Instead of an account: the rules for everybody."""
_NUMBER = select(Revision.number).where(Revision.name == REVISION)


def owner_of(row: RuleRow) -> str:
    """Whose requests a rule is for: an account, or EVERYBODY."""
    return EVERYBODY if row.scope == "all" else row.account_id


async def changed(session: AsyncSession, owners: Collection[str]) -> None:
    """Say, in the transaction that changes them, that the rules of these have changed. Nothing is said of none.

    Numbers go up in the order in which transactions are committed: each waits here for those that changed rules before it.
    """
    if not owners:
        return
    await bump(session, REVISION)
    number = await session.scalar(_NUMBER)
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    put = (postgresql.insert if on_postgresql else sqlite.insert)(RuleChange)
    rows = [{"account_id": owner, "number": number} for owner in sorted(owners)]
    await session.execute(put.on_conflict_do_update(index_elements=["account_id"], set_={"number": put.excluded.number}), rows)


async def changed_since(session: AsyncSession, number: int) -> tuple[int, set[str] | None]:
    """The number now, and whose rules have changed since another; None: that is not known, as after a backup was restored."""
    now = await session.scalar(_NUMBER) or 0
    if now < number:
        return now, None
    return now, set(await session.scalars(select(RuleChange.account_id).where(RuleChange.number > number)))
