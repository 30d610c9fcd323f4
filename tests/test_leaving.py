"""Leaving: an account takes all that is its own along, of whatever part of the program."""

from __future__ import annotations

from penstock.accounts.identity import CLI
from penstock.accounts.service import Accounts, Draft
from penstock.infra.database import Database
from penstock.leaving import ENDINGS
from penstock.records.models import PolicyRow, ShareRow


async def test_nothing_of_its_records_is_left(database: Database) -> None:
    accounts = Accounts(database, endings=ENDINGS)
    account = await accounts.create(CLI, Draft("Ada", None, role="member", prepaid=False))
    async with database.session() as session:
        session.add(PolicyRow(account_id=account.id, record=True, redact_paths=[], redact_patterns=[], updated_at_ms=1))
        session.add(
            ShareRow(
                id="shr_1",
                digest=b"1",
                shelf=account.id,
                record_id="req_1",
                created_by=account.id,
                headers=True,
                bodies=True,
                created_at_ms=1,
                expires_at_ms=1 << 50,
            )
        )

    await accounts.delete(CLI, account.id)

    async with database.session(read_only=True) as session:
        assert await session.get(PolicyRow, account.id) is None and await session.get(ShareRow, "shr_1") is None
