"""Exports: one JSON document with everything, and no secret."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock.accounts.export import AT_ONCE, Exports
from penstock.accounts.identity import CLI
from penstock.accounts.models import Membership
from penstock.accounts.sessions import Browser
from penstock.kit.errors import PenstockError

PASSWORD = "correct horse battery"


async def read(exports: Exports, account_id: str) -> dict:
    with await exports.write(account_id) as file:
        text = file.read()
    assert b"$argon2" not in text
    return json.loads(text)


def exporter(*names: str, count: int = 2):
    async def export(session, account_id: str):
        for name in names:
            for number in range(count):
                yield name, {"account_id": account_id, "text": 'ü\u2028"', "number": number}

    return export


async def test_everything_of_an_account(database, new_account, parts, clock):
    account = await new_account("ada@example.com")
    _, opened = await parts.signing.sign_in("ada@example.com", PASSWORD, Browser("Mozilla", "10.0.0.1"))
    await parts.accounts.change(CLI, account.id, limits={"rpm": 5})
    async with database.session() as session:
        session.add(Membership(account_id=account.id, tier="vip", started_at_ms=clock.ms, until_ms=clock.ms + 1000))
    other = await new_account("eve@example.com")
    document = await read(Exports(database, [exporter("keys", "charges"), exporter("entries")]), account.id)
    assert list(document) == ["account", "memberships", "sessions", "events", "keys", "charges", "entries"]
    assert (document["account"]["email"], document["account"]["limits"]) == ("ada@example.com", {"rpm": 5})
    assert [row["tier"] for row in document["memberships"]] == ["vip"]
    assert [(row["agent"], row["address"]) for row in document["sessions"]] == [("Mozilla", "10.0.0.1")]
    assert [row["action"] for row in document["events"]] == ["account.create", "session.create", "account.change"]
    assert [row["address"] for row in document["events"]] == [None, "10.0.0.1", None]
    assert document["charges"][1] == {"account_id": account.id, "text": 'ü\u2028"', "number": 1}
    text = json.dumps(document)
    assert opened.token not in text and other.id not in text


async def test_an_account_with_nothing(database, parts):
    document = await read(Exports(database, [exporter("keys", count=0)]), "acc_operator")
    assert list(document) == ["account"]


async def test_many_items(database, new_account):
    account = await new_account("ada@example.com")
    document = await read(Exports(database, [exporter("charges", count=12_345)]), account.id)
    assert [row["number"] for row in document["charges"]] == list(range(12_345))


async def test_only_so_many_at_once(database, new_account):
    ready, go = asyncio.Event(), asyncio.Event()

    async def slow(session, account_id: str):
        ready.set()
        await go.wait()
        yield "keys", {}

    exports = Exports(database, [slow])
    accounts = [(await new_account(f"{number}@example.com")).id for number in range(AT_ONCE + 1)]
    first = asyncio.gather(*(exports.write(account_id) for account_id in accounts[:AT_ONCE]))
    await ready.wait()
    for account_id in (accounts[0], accounts[-1]):
        with pytest.raises(PenstockError) as refused:
            await exports.write(account_id)
        assert refused.value.code == "too_many_requests"
    go.set()
    for file in await first:
        file.close()
    (await exports.write(accounts[0])).close()


async def test_one_that_fails_leaves_nothing_behind(database, new_account):
    async def broken(session, account_id: str):
        yield "keys", {}
        raise RuntimeError

    account = await new_account("ada@example.com")
    exports = Exports(database, [broken])
    for _ in range(AT_ONCE + 1):
        with pytest.raises(RuntimeError):
            await exports.write(account.id)
        with pytest.raises(PenstockError, match="no account"):
            await exports.write("acc_x")
