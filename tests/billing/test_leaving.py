"""What an account takes along of its money, on both engines."""

from __future__ import annotations

import json

from bank import Bank
from money_desk import Desk
from penstock.accounts.export import Exports
from penstock.billing.leaving import export_money
from penstock.infra.database import Database


async def test_grants_and_entries_are_in_the_export(database: Database):
    desk = Desk(database)
    anna, other = await desk.account(), await desk.account()
    grant_id = await desk.grant(anna, 5, days=1, note="hello")
    desk.clock.ms += 1
    await desk.top_up(anna, 20, ref="order-1")
    desk.clock.ms += 1
    await desk.adjust(anna, -3)
    await desk.top_up(other, 7)
    with await Exports(database, [export_money]).write(anna) as file:
        document = json.load(file)
    assert [(one["id"], one["left_nano"], one["note"]) for one in document["grants"]] == [(grant_id, 5, "hello")]
    assert [(one["kind"], one["amount_nano"], one["ref"]) for one in document["entries"]] == [
        ("grant", 5, grant_id), ("top_up", 20, "order-1"), ("adjust", -3, ""),
    ]  # fmt: skip
    assert other not in json.dumps(document)


async def test_charges_are_in_the_export(database: Database, database_url: str):
    bank = Bank(database, database_url)
    account, wants = await bank.account(paid_nano=1_000)
    teller = await bank.teller()
    charge = await teller.pay(wants, account, 70, 70)
    with await Exports(database, [export_money]).write(account) as file:
        document = json.load(file)
    await bank.close()
    assert [(one["id"], one["cost_nano"]) for one in document["charges"]] == [(charge.id, 70)]


async def test_an_account_without_money(database: Database):
    desk = Desk(database)
    anna = await desk.account()
    async with database.session(read_only=True) as session:
        assert [item async for item in export_money(session, anna)] == []
