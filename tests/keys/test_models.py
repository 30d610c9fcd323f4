"""The table of keys: what the database itself refuses."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from penstock.infra.database import Database
from penstock.keys.models import Key


def row(number: int, **more: Any) -> Key:
    facts = {"name": f"name {number}", "digest": bytes([number]) * 32, "kind": "key", "prefix": "sk-", "last_four": "abcd"}
    return Key(id=f"key_{number}", record=False, created_at_ms=0, **{**facts, **more})


async def add(database: Database, *rows: Key) -> None:
    async with database.session() as session:
        session.add_all(rows)


@pytest.mark.parametrize("same", [{"name": "me"}, {"digest": b"d"}, {"old_digest": b"o"}])
async def test_what_must_differ_among_live_keys(database: Database, same: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        await add(database, row(1, **same), row(2, **same))


async def test_deleted_keys_may_share_a_name_and_have_no_digest(database: Database) -> None:
    gone = {"name": "me", "digest": None, "deleted_at_ms": 1}
    await add(database, row(1, **gone), row(2, **gone), row(3, name="me"))
