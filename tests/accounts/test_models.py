"""The tables of accounts as the migration leaves them."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from penstock.accounts.models import OPERATOR, Account, Membership, Session


async def test_the_operators_account_is_there(database):
    async with database.session(read_only=True) as session:
        (account,) = (await session.scalars(select(Account))).all()
    assert (account.id, account.role, account.password, account.email, account.prepaid) == (OPERATOR, "admin", None, None, False)


@pytest.mark.parametrize(
    "orphan",
    [
        {"account_id": "acc_x", "digest": b"x", "created_at_ms": 1, "seen_at_ms": 1, "expires_at_ms": 1, "agent": "", "address": ""},
        {"account_id": OPERATOR, "tier": "none", "started_at_ms": 1, "until_ms": 1},
        {"account_id": "acc_x", "tier": "vip", "started_at_ms": 1, "until_ms": 1},
    ],
)
async def test_there_are_no_orphans(database, orphan):
    with pytest.raises(IntegrityError):
        async with database.session() as session:
            session.add((Session if "digest" in orphan else Membership)(**orphan))
