"""The treasury: keeps this process's shares of purses filled, waits where they are short, and gives back what lies idle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import NamedTuple

from penstock.billing.funds import FOREVER_NS, Funds, Share
from penstock.billing.leases import Filled, Order, close_all, fill, give_back
from penstock.billing.purses import DURABLE, MONEY, Want
from penstock.billing.recalls import recall
from penstock.billing.shortage import Need, empty_of, may_return, needs, refusal
from penstock.infra.database import Database, DatabaseAway
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn

BATCH = 100
POLL_S = 0.05
"""How often a request that waits for funds asks again."""
DRY_NS = 500_000_000
"""For how long after the database had nothing more it is not asked again without need."""
RATE_S = 10
"""A lease is to last about so long at the rate of spending seen last."""
IDLE_TICKS = 5
STOP_S = 5
_log = logging.getLogger("penstock.billing")


class Sizes(NamedTuple):
    """How much money a lease has: at least and at most, and how long a request waits for funds that others hold."""

    least_nano: int
    most_nano: int
    wait_s: float


class Treasury:
    """This process's leases. Everything but the transactions happens on the loop's thread, in memory.

    What is on lease is held and spent without the database. It is asked, in batches of one transaction, when a share runs low
    (in the background) or is short (the request waits). Where the purse is empty but somebody holds some of it, here or in
    another process, a request waits for a while and others are asked to give back what they do not need.
    """

    def __init__(self, database: Database, sizes: Sizes, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._sizes = sizes
        self._now_ms = now_ms
        self.worker = ""
        """Who takes the leases; set by `Presence` before serving."""
        self.workers = 1
        """How many processes there are, as far as is known: limits are cut into so many parts."""
        self._shares: dict[str, Share] = {}
        self._funds: dict[tuple[Want, ...], Funds] = {}
        self._by_key: dict[str | None, Funds] = {}
        self._asked: dict[str, Need] = {}
        self._answers: list[asyncio.Future[None]] = []
        self._filling: asyncio.Task[None] | None = None
        self.sleepers: set[asyncio.Future[None]] = set()
        """Requests that wait for something to come back."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: dict[str, tuple[int, int]] = {}
        self.failures = 0
        self.fills = 0

    def funds(self, wants: tuple[Want, ...]) -> Funds:
        """The funds of whoever draws on these purses; the same object for the same purses."""
        found = self._funds.get(wants)
        if found is None:
            found = self._funds[wants] = Funds(self, wants)
            self._draw(found)
        return found

    def funds_of(self, key_id: str | None, wants: tuple[Want, ...]) -> Funds:
        """As `funds`, found by the key: comparing many purses at every request would cost more than all the rest."""
        found = self._by_key.get(key_id)
        if found is None or found.wants is not wants:
            found = self._by_key[key_id] = self.funds(wants)
            found.wants = wants
        return found

    def leased(self) -> int:
        """Units of money on lease here that are not spent."""
        return sum(share.amount - share.spent for share in self._shares.values() if share.want.kind in MONEY)

    # when a request settles

    def spent_of(self, funds: Funds) -> None:
        """Have shares that run low filled in the background."""
        paid = funds.paid
        if paid is not None and paid.amount - paid.spent - paid.held < paid.low and not paid.filling:
            self._ask(paid, 0)
        for share in funds.rest:
            if share.amount - share.spent - share.held < share.low and not share.filling:
                self._ask(share, 0)

    def wake(self) -> None:
        """Something was given back: let those that wait look again."""
        if self.sleepers:
            for sleeper in self.sleepers:
                if not sleeper.done():
                    sleeper.set_result(None)

    # when a request is short

    async def reserve(self, funds: Funds, nano: int, tokens: int) -> None:
        """Wait until there is something to hold in each of the purses, if there can be.

        Raises PenstockError: 402 `insufficient_funds` or `budget_exceeded`, 429 `too_many_requests`, 503 `database_away`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._sizes.wait_s
        while True:
            self._renew(funds)
            if funds.covers(nano, tokens, perf_counter_ns()):
                return
            short = [one for one in needs(funds, nano, tokens) if one.share.lease_id is None or one.share.room < one.units]
            if any(self._worth_asking(one) for one in short):
                await self._fill_now(short)
                self._draw(funds)
            empty = empty_of(funds, short, nano)
            if not empty and funds.ready:
                return
            if empty:
                await self._wait_for(empty, deadline)

    async def replenish(self, funds: Funds, nano: int) -> None:
        """As `reserve`, for a request that is being served: its hold is to be extended, and limits of rates are none of its business."""
        await self.reserve(self.funds(tuple(want for want in funds.wants if want.kind in DURABLE)), nano, 0)

    async def _wait_for(self, empty: list[Share], deadline: float) -> None:
        """Until something changes, or the time is over; where nobody has anything that could come back, it is over at once."""
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline or not may_return(empty):
            raise refusal(empty, self._now_ms())
        elsewhere = [share.want.purse_id for share in empty if share.elsewhere > 0]
        if elsewhere:
            self._spawn(recall(self._database, elsewhere, self._now_ms()))
        sleeper = loop.create_future()
        timer = loop.call_later(POLL_S, _settle, sleeper)
        self.sleepers.add(sleeper)
        for share in empty:
            share.asked_ns = 0 if share.elsewhere else share.asked_ns
        try:
            await sleeper
        finally:
            timer.cancel()
            self.sleepers.discard(sleeper)

    @staticmethod
    def _worth_asking(one: Need) -> bool:
        share = one.share
        return share.lease_id is None or not share.dry or perf_counter_ns() - share.asked_ns > DRY_NS

    # shares

    def _draw(self, funds: Funds) -> None:
        """Let funds draw on the shares that there are now, new ones where there are none."""
        funds.take([self._shares.setdefault(want.purse_id, Share(want)) for want in funds.wants])

    def _renew(self, funds: Funds) -> None:
        """Replace the shares whose window is over; requests that hold something of the old ones settle with those."""
        now_ns = perf_counter_ns()
        for want in funds.wants:
            share = self._shares.get(want.purse_id)
            if share is not None and (share.until_ns <= now_ns or share.want.limit != want.limit):
                self._replace(share, want, ended=share.until_ns <= now_ns)
        self._draw(funds)

    def _replace(self, share: Share, want: Want, *, ended: bool) -> None:
        if not ended:
            share.want = want
            share.asked_ns = 0
            share.dry = False
            return
        fresh = self._shares[want.purse_id] = Share(want)
        fresh.previous = share.lease_id

    # asking the database

    def _ask(self, share: Share, need: int) -> None:
        share.filling = True
        known = self._asked.get(share.want.purse_id)
        self._asked[share.want.purse_id] = Need(share, max(need, known.units if known is not None else 0))
        if self._filling is None:
            self._filling = self._spawn(self._fill_all())

    async def _fill_now(self, short: Iterable[Need]) -> None:
        """Have these asked for and wait for the answer. Raises PenstockError `database_away` when there is none and it matters."""
        needy = list(short)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        for one in needy:
            self._ask(*one)
        try:
            await answer
        except DatabaseAway as away:
            if any(one.share.lease_id is None or one.share.room <= 0 for one in needy):
                raise PenstockError("database_away", "The balance cannot be read at the moment; try again.", retry_after_s=2) from away

    async def _fill_all(self) -> None:
        """Ask for what is wanted, in batches, until nothing is; one transaction at a time."""
        try:
            await asyncio.sleep(0)  # what else is asked for in this turn comes along
            while self._asked:
                batch = [self._asked.pop(purse_id) for purse_id in list(self._asked)[:BATCH]]
                answers, self._answers = self._answers, []
                failure: DatabaseAway | None = None
                try:
                    await self._fill(batch)
                except DatabaseAway as away:
                    failure = away
                    self.failures += 1
                    _log.warning("funds cannot be leased: %s", away)
                for answer in answers:
                    if self._asked:
                        self._answers.append(answer)  # part of what it waits for is in the next batch
                    elif not answer.done():
                        answer.set_result(None) if failure is None else answer.set_exception(failure)
                self.wake()
        finally:
            self._filling = None
            for one in self._asked.values():
                one.share.filling = False
            self._asked.clear()
            for answer in self._answers:
                if not answer.done():
                    answer.set_exception(DatabaseAway("the treasury stops"))
            self._answers = []

    async def _fill(self, batch: list[Need]) -> None:
        orders = [self._order(one) for one in batch]
        try:
            filled = await fill(self._database, self.worker, orders, self._now_ms())
        finally:
            for one in batch:
                one.share.filling = False
                one.share.asked_ns = perf_counter_ns()
                one.share.low = 0
        self.fills += 1
        for one, order, answer in zip(batch, orders, filled, strict=True):
            self._apply(one.share, order, answer)

    def _order(self, one: Need) -> Order:
        share, want = one.share, one.share.want
        now_ns = perf_counter_ns()
        if want.kind in DURABLE:
            elapsed_s = max((now_ns - share.asked_ns) / 1e9, 0.1) if share.asked_ns else RATE_S
            rate = int((share.spent - share.spent_before) / elapsed_s)
            room = min(max(self._sizes.least_nano, 4 * one.units, rate * RATE_S), max(self._sizes.most_nano, one.units))
        else:
            room = max(one.units, (want.limit or 0) // (4 * self.workers), 1)
        share.spent_before = share.spent
        lease_id = share.lease_id or share.previous
        short = max(0, share.spent - share.amount) if share.lease_id is not None else 0
        return Order(want, lease_id, max(0, room - share.room), short, share.spent)

    def _apply(self, share: Share, order: Order, filled: Filled) -> None:
        if filled.fresh and share.lease_id is not None:
            # ours was closed, because we were thought dead: what was spent stays with it
            share.amount = share.spent = 0
            share.spent_before = 0
        share.lease_id = filled.lease_id
        share.previous = None
        share.amount += filled.given
        share.left, share.elsewhere = filled.left, filled.elsewhere
        share.dry = filled.given < order.target
        share.from_ms, share.until_ms = filled.from_ms, filled.until_ms
        now_ns = perf_counter_ns()
        share.until_ns = FOREVER_NS if filled.until_ms is None else now_ns + (filled.until_ms - self._now_ms()) * 1_000_000
        share.low = 0 if share.dry else (order.target + max(share.room - filled.given, 0)) // 2
        for funds in self._funds.values():
            if not funds.ready and share.want in funds.wants:
                self._draw(funds)

    # giving back

    async def tick(self) -> None:
        """Once a second: give back what has lain idle for some seconds, and forget funds that nobody uses."""
        idle: list[Share] = []
        for purse_id, share in list(self._shares.items()):
            seen, ticks = self._idle.get(purse_id, (-1, 0))
            quiet = share.spent == seen and not share.held and not share.filling
            self._idle[purse_id] = (share.spent, ticks + 1 if quiet else 0)
            if quiet and ticks >= IDLE_TICKS and share.room > 0 and share.until_ns > perf_counter_ns():
                idle.append(share)
            elif quiet and ticks > 60 and share.room == 0:
                self._forget(purse_id)
            if share.dry and perf_counter_ns() - share.asked_ns > DRY_NS:
                share.dry = False
        await self._return(idle)

    async def recalled(self, purse_ids: Iterable[str]) -> None:
        """Somebody is short of these: give back what is not held."""
        await self._return([share for purse_id in purse_ids if (share := self._shares.get(purse_id)) is not None and share.room > 0])

    async def _return(self, shares: list[Share]) -> None:
        parts = []
        for share in shares:
            if share.filling or share.lease_id is None:
                continue
            units = share.room
            share.amount -= units  # before anything is awaited: it must not be spent meanwhile
            share.low = 0
            parts.append((share, units))
        if not parts:
            return
        rows = [(share.want.purse_id, share.lease_id or "", units, share.spent) for share, units in parts]
        try:
            await give_back(self._database, rows, self._now_ms())
        except DatabaseAway:
            for share, units in parts:
                share.amount += units  # it may have been given back all the same: then the lease is overdrawn, and squared

    def _forget(self, purse_id: str) -> None:
        share = self._shares.pop(purse_id)
        self._idle.pop(purse_id, None)
        for wants in [wants for wants in self._funds if share.want in wants]:
            self._funds[wants].ready = False  # whoever still has it asks anew
            del self._funds[wants]
        self._by_key = {key_id: funds for key_id, funds in self._by_key.items() if funds.wants in self._funds}

    async def stop(self) -> None:
        """Give everything back. Call when no request is open and the books have been written."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_S)  # a transaction that is cut off costs its connection
            for task in late:
                task.cancel()
        spent = {share.lease_id: share.spent for share in self._shares.values() if share.lease_id is not None}
        try:
            async with self._database.session() as session:
                await close_all(session, self.worker, self._now_ms(), spent=spent)
        except DatabaseAway as away:
            _log.warning("leases could not be given back, another process will sweep them: %s", away)

    def lost(self, worker: str) -> None:
        """We were thought dead and our leases were swept: take new ones, as a new worker. What is spent late goes to the old ones."""
        self.worker = worker
        for share in self._shares.values():
            share.amount = share.spent + share.held if share.want.kind in DURABLE else share.spent
            share.previous, share.low = None, 0
            share.dry = False
            share.asked_ns = 0
        for funds in self._funds.values():
            funds.ready = False

    def _spawn(self, work: object) -> asyncio.Task[None]:
        task: asyncio.Task[None] = spawn(work, name="treasury")  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _settle(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
