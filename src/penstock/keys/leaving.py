"""Leaving: what an account takes along of its keys in its export, and what is forgotten of them when it is deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.keys.facts import facts
from penstock.keys.models import Key
from penstock.kit import clock

FORGOTTEN = "deleted"
"""The name that is left of a key."""


async def export_keys(
    session: AsyncSession, account_id: str, now_ms: Callable[[], int] = clock.now_ms
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The account's keys, oldest first, for `accounts.export`."""
    found = await session.scalars(select(Key).where(Key.account_id == account_id, Key.deleted_at_ms.is_(None)).order_by(Key.id))
    for key in found:
        yield "keys", facts(key, now_ms())


async def forget_keys(session: AsyncSession, account_id: str, now_ms: Callable[[], int] = clock.now_ms) -> None:
    """Delete all keys of an account, in this transaction, and forget what they were called and where they were used from."""
    gone = {"name": FORGOTTEN, "networks": None, "digest": None, "old_digest": None, "old_until_ms": None}
    deleted_at_ms = func.coalesce(Key.deleted_at_ms, now_ms())
    await session.execute(update(Key).where(Key.account_id == account_id).values(**gone, deleted_at_ms=deleted_at_ms))
