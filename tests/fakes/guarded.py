"""Streams under a hold: funds on lease without a database, a price in round numbers, and somebody to ask for more."""

from __future__ import annotations

import asyncio

from bank import SIZES
from penstock.billing.door import Funds, Hold, Holds, Treasury
from penstock.billing.funds import Share
from penstock.billing.purses import Want
from penstock.catalog.prices import STANDARD, Price, build_price, flat
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError
from penstock.relay.guard import Guard, More

IN, OUT = 1_000, 2_000
"""Nano-dollars per token."""
PRICE = build_price("test 1", {STANDARD: flat(input_mtok="1", output_mtok="2")})


def lease(amount_nano: int, kind: str = "paid") -> Funds:
    """Funds with so much on lease, and no database behind them."""
    want = Want(f"acc_a/{kind}", "acc_a", kind)  # type: ignore[arg-type]
    share = Share(want)
    share.amount, share.lease_id = amount_nano, "lea_a"
    funds = Funds(Treasury(Database("sqlite:///nowhere.db"), SIZES), (want,))
    funds.take([share])
    return funds


async def nothing(_: int) -> None:
    """More of what there is none of."""
    raise PenstockError("insufficient_funds", "There is no more.")


def guarded(
    nano: int, more_nano: int = 0, *, cap: int | None = None, price: Price = PRICE, more: More = nothing, kind: str = "paid"
) -> tuple[Guard, Hold]:
    """A guard and its open hold of `nano`, with `more_nano` beyond it on lease."""
    hold = Hold(Holds(), lease(nano + more_nano, kind), nano)
    hold.__enter__()
    return Guard(price, hold, cap, more), hold


class Bursar:
    """Is asked for more, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self._answer: asyncio.Future[None] | None = None

    async def more(self, nano: int) -> None:
        self.asked.append(nano)
        self._answer = asyncio.get_running_loop().create_future()
        await self._answer

    async def answers(self, error: Exception | None = None) -> None:
        """Say that there may be more, or why not."""
        await asyncio.sleep(0)
        assert self._answer is not None
        if error is None:
            self._answer.set_result(None)
        else:
            self._answer.set_exception(error)
        for _ in range(3):
            await asyncio.sleep(0)
