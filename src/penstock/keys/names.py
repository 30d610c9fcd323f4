"""Names of keys, for bills: those of deleted keys too."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from penstock.infra.database import Database
from penstock.keys.models import Key

_IDS = 500


async def names_of(database: Database, key_ids: Sequence[str]) -> dict[str, str]:
    """The names of these keys, by their ids; ids of no key are left out. Raises DatabaseAway."""
    found: dict[str, str] = {}
    async with database.session(read_only=True) as session:
        for start in range(0, len(key_ids), _IDS):
            some = key_ids[start : start + _IDS]
            found.update((row.id, row.name) for row in await session.execute(select(Key.id, Key.name).where(Key.id.in_(some))))
    return found
