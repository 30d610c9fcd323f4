"""Recalls: a process that is short of a purse asks the others to give back what they do not need of it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from penstock.billing.models import Recall
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import bump

REVISION = "recall"
FRESH_MS = 2_000


async def recall(database: Database, purse_ids: Sequence[str], now_ms: int) -> None:
    """Ask all processes to give back what they do not need of these purses; without a database nobody hears it."""
    try:
        async with database.session() as session:
            insert = postgresql.insert if database.path is None else sqlite.insert
            rows = [{"purse_id": purse_id, "asked_at_ms": now_ms} for purse_id in sorted(set(purse_ids))]
            added = insert(Recall)
            await session.execute(
                added.on_conflict_do_update(index_elements=["purse_id"], set_={"asked_at_ms": added.excluded.asked_at_ms}), rows
            )
            await bump(session, REVISION)
    except DatabaseAway:
        return


async def recalled(database: Database, now_ms: int) -> list[str]:
    """The purses that somebody has lately been short of."""
    try:
        async with database.session(read_only=True) as session:
            return list(await session.scalars(select(Recall.purse_id).where(Recall.asked_at_ms > now_ms - FRESH_MS)))
    except DatabaseAway:
        return []
