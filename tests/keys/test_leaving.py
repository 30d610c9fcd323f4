"""Leaving: an account's keys in its export, and what is left of them when it is deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select

from penstock.accounts.identity import CLI
from penstock.accounts.service import Accounts
from penstock.infra.database import Database
from penstock.keys.leaving import FORGOTTEN, export_keys, forget_keys
from penstock.keys.models import Key
from penstock.keys.service import Keys
from penstock.kit.errors import PenstockError


async def test_an_export(keys: Keys, elsewhere: Database, new_account: Callable[..., Awaitable[str]], clock: Any) -> None:
    owner = await new_account()
    made = [await keys.create(name, account_id=owner) for name in ("one", "two")]
    await keys.create("another's")
    async with elsewhere.session(read_only=True) as session:
        found = [item async for item in export_keys(session, owner, clock)]
    assert [(section, facts["name"]) for section, facts in found] == [("keys", "one"), ("keys", "two")]
    assert not any(one.token in repr(found) or repr(one.key.digest) in repr(found) for one in made)


async def test_a_deleted_account_leaves_no_names(
    keys: Keys, elsewhere: Database, new_account: Callable[..., Awaitable[str]], clock: Any
) -> None:
    owner = await new_account()
    tokens = [(await keys.create(name, account_id=owner, networks=["192.0.2.1"])).token for name in ("alice", "alice's laptop")]
    await keys.delete("alice", account_id=owner)
    kept = (await keys.create("kept")).key

    clock.ms += 1
    await Accounts(elsewhere, clock, endings=[forget_keys]).delete(CLI, owner)

    for token in tokens:
        with pytest.raises(PenstockError, match="no such key"):
            await keys.of_token(token)
    async with elsewhere.session(read_only=True) as session:
        rows = (await session.scalars(select(Key).where(Key.account_id == owner))).all()
    assert [(row.name, row.networks, row.digest) for row in rows] == [(FORGOTTEN, None, None)] * 2
    assert all(row.deleted_at_ms is not None for row in rows)
    assert [key.id for key in await keys.list()] == [kept.id]
