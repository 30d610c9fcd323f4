"""The door has what one request needs, in the order in which the walk needs it."""

from __future__ import annotations

import asyncio

from penstock.billing.door import UNCOUNTED, Books, Holds, holding


async def test_hold_settle_post(database_url, tmp_path, new_charge, stored):
    books, holds = Books(database_url, "process", tmp_path), Holds()
    await books.start()
    assert books.available
    charge = new_charge(cost_nano=70)
    with holding(holds, UNCOUNTED, 100) as hold:
        assert holds.open == 1
        hold.settle(charge.cost_nano)
    durable = asyncio.get_running_loop().create_future()
    books.post(charge, durable.set_result)
    assert await durable is None
    assert stored(database_url) == [charge]
    assert (holds.open, holds.spent_nano) == (0, 70)
    assert await books.stop() == 0
