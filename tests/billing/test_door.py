"""The door has what one request needs, in the order in which the walk needs it."""

from __future__ import annotations

import asyncio

from penstock.billing.door import Books, Purse, holding


async def test_hold_settle_post(database_url, tmp_path, new_charge, stored):
    books, purse = Books(database_url, "process", tmp_path), Purse()
    await books.start()
    assert books.available
    charge = new_charge(cost_nano=70)
    with holding(purse, 100) as hold:
        assert purse.open_holds == 1
        hold.settle(charge.cost_nano)
    durable = asyncio.get_running_loop().create_future()
    books.post(charge, durable.set_result)
    assert await durable is None
    assert stored(database_url) == [charge]
    assert (purse.open_holds, purse.spent_nano) == (0, 70)
    assert await books.stop() == 0
