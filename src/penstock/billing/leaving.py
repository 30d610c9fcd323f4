"""Leaving: what an account takes along of its money in its export. The books themselves stay as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.billing.charge import COLUMNS, Charge
from penstock.billing.ledger import signed_nano
from penstock.billing.models import ChargeRow, Entry, Grant
from penstock.billing.shown import shown
from penstock.kit.clock import iso


async def export_money(session: AsyncSession, account_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The account's grants, entries and charges, oldest first, for `accounts.export`."""
    for grant in await session.scalars(select(Grant).where(Grant.account_id == account_id).order_by(Grant.created_at_ms, Grant.id)):
        amounts = {"amount_nano": grant.amount_nano, "left_nano": grant.left_nano}
        moments = {"created_at": grant.created_at_ms, "expires_at": grant.expires_at_ms, "expired_at": grant.expired_at_ms}
        told = {name: None if at_ms is None else iso(at_ms) for name, at_ms in moments.items()}
        yield "grants", {"id": grant.id, **amounts, **told, "note": grant.note}
    order = (Entry.created_at_ms, Entry.id)
    async for entry in await session.stream_scalars(select(Entry).where(Entry.account_id == account_id).order_by(*order)):
        facts = {"id": entry.id, "kind": entry.kind, "amount_nano": signed_nano(entry), "debit": entry.debit, "credit": entry.credit}
        yield "entries", {**facts, "ref": entry.ref, "note": entry.note, "created_at": iso(entry.created_at_ms)}
    charges = select(*(getattr(ChargeRow, name) for name in COLUMNS)).where(ChargeRow.account_id == account_id).order_by(ChargeRow.id)
    async for row in await session.stream(charges):
        charge = Charge(*row)
        yield "charges", shown(charge, None)
