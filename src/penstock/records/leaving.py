"""Leaving: what an account takes along of its records' settings in its export, and what becomes of its records when it is deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from penstock.kit.clock import iso
from penstock.records.clearing import clear_pages
from penstock.records.models import PageRow, PolicyRow
from penstock.records.policies import forget_policy


async def export_policy(session: AsyncSession, account_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """What the account wants of its records, for `accounts.export`; the records have an export of their own."""
    row = await session.get(PolicyRow, account_id)
    if row is not None:
        yield "record_policy", {
            "record": row.record, "retention_days": row.retention_days, "redact_paths": row.redact_paths,
            "redact_patterns": row.redact_patterns, "updated_at": iso(row.updated_at_ms),
        }  # fmt: skip


async def forget_records(session: AsyncSession, account_id: str) -> None:
    """Clear the account's shelf and forget what it wanted, in this transaction. The bodies go with the next run of the job."""
    await clear_pages(session, PageRow.shelf == account_id)
    await forget_policy(session, account_id)
