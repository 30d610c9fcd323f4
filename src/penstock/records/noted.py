"""Noted: what is done to records, and with what an account wants of them, that others must be able to find out afterwards."""

from __future__ import annotations

import msgspec

from penstock.accounts.identity import Identity
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.records.service import Filters, Policy, Records


class Noted:
    """Clears records and changes policies, and notes it in the audit trail. Raises what `Records` does."""

    def __init__(self, database: Database, records: Records) -> None:
        self._database = database
        self._records = records
        self._trail = Trail(database)

    async def clear(self, who: Identity, shelf: str, filters: Filters) -> int:
        """Delete those that fit from a shelf; how many there were."""
        await self._records.flush()
        asked = {name: value for name, value in msgspec.structs.asdict(filters).items() if value is not None and name != "text"}
        count = await self._records.clear(shelf, filters)
        async with self._database.session() as session:
            detail = {"shelf": shelf, "count": count, **asked}
            await self._trail.note(session, who, "record.clear", shelf, account_id=who.account_id, detail=detail)
        return count

    async def set_policy(self, who: Identity, account_id: str, policy: Policy) -> Policy:
        """Change what an account wants of its records."""
        changed = await self._records.set_policy(account_id, policy)
        detail = {
            "record": policy.record, "retention_days": policy.retention_days, "redact_paths": len(policy.redact_paths),
            "redact_patterns": len(policy.redact_patterns),
        }  # fmt: skip
        async with self._database.session() as session:
            await self._trail.note(session, who, "record.policy", account_id, account_id=account_id, detail=detail)
        return changed
