"""The treasury: keeps this process's shares of purses filled, waits where they are short, and gives back what lies idle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter_ns
from typing import NamedTuple

from penstock.billing.funds import FOREVER_NS, Funds, Share
from penstock.billing.leases import Order, Part, close_all, fill, give_back
from penstock.billing.purses import DURABLE, MONEY, Want
from penstock.billing.recalls import Recaller
from penstock.billing.shortage import Answer, Need, empty_of, may_grow, may_return, refusal, short_of
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
FORGET_NS = 60_000_000_000
"""After so long a time without a request, funds are forgotten, and the leases that nobody else draws on are ended."""
STEP = 500
"""So many shares are looked at before others have their turn."""
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
        self._users: dict[str, int] = {}
        """How many funds draw on each purse."""
        self._asked: dict[str, int] = {}
        """Units that each purse is to be asked for."""
        self._answers: list[Answer] = []
        self._filling: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        """What is asked for and what is given back are told to the database one after the other."""
        self._recaller = Recaller(database, now_ms)
        self.sleepers: set[asyncio.Future[None]] = set()
        """Requests that wait for something to come back."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures = 0
        self.fills = 0

    def funds(self, wants: tuple[Want, ...]) -> Funds:
        """The funds of whoever draws on these purses; the same object for the same purses. Limits are from now on what is said here."""
        for want in wants:
            share = self._shares.get(want.purse_id)
            if share is not None and share.want != want:
                share.want = want
                share.changed = True
                self._ask(share, 0)
        found = self._found(wants)
        self._draw(found)
        return found

    def funds_of(self, key_id: str | None, wants: tuple[Want, ...]) -> Funds:
        """As `funds`, found by the key: comparing many purses at every request would cost more than all the rest."""
        found = self._by_key.get(key_id)
        if found is None or found.wants is not wants:
            found = self._by_key[key_id] = self.funds(wants)
            found.wants = wants
            found.keys.add(key_id)
        return found

    def _found(self, wants: tuple[Want, ...]) -> Funds:
        found = self._funds.get(wants)
        if found is None:
            found = self._funds[wants] = Funds(self, wants)
            found.used_ns = perf_counter_ns()
            for want in wants:
                self._users[want.purse_id] = self._users.get(want.purse_id, 0) + 1
            self._draw(found)
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

    async def reserve(self, funds: Funds, nano: int, tokens: int, *, patient: bool = True) -> None:
        """Wait until there is something to hold in each of the purses, if there can be.

        Who is patient also waits for what other requests here hold, and begins with less than it needs only if that does not
        come back: otherwise a request would be let in on the rest of holds that turn out to cost all they hold.

        Raises PenstockError: 402 `insufficient_funds` or `budget_exceeded`, 429 `too_many_requests`, 503 `database_away`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._sizes.wait_s
        while True:
            self._renew(funds)
            if funds.covers(nano, tokens, perf_counter_ns()):
                return
            short, heard = short_of(funds, nano, tokens), True
            if any(self._worth_asking(one) for one in short):
                heard = await self._fill_now(short)
                self._renew(funds)
                short = short_of(funds, nano, tokens)
            empty = empty_of(funds, short, nano)
            if empty:
                await self._wait_for(empty, deadline)
            elif patient and loop.time() < deadline and may_grow(short) and not funds.covers(nano, tokens, perf_counter_ns()):
                await self._sleep()
            elif funds.ready or not heard:
                return

    async def replenish(self, funds: Funds, nano: int) -> None:
        """As `reserve`, for a request that is being served: its hold is to be extended, and limits of rates are none of its business."""
        await self.reserve(self._found(tuple(want for want in funds.wants if want.kind in DURABLE)), nano, 0, patient=False)

    async def _wait_for(self, empty: list[Share], deadline: float) -> None:
        """Until something changes, or the time is over; where nobody has anything that could come back, it is over at once."""
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline or not may_return(empty):
            raise refusal(empty, self._now_ms())
        elsewhere = [share.want.purse_id for share in empty if share.elsewhere > 0]
        if elsewhere:
            self._recaller.ask(elsewhere)
        for share in empty:
            share.asked_ns = 0 if share.elsewhere else share.asked_ns
        await self._sleep()

    async def _sleep(self) -> None:
        """Until something was given back, or it is time to ask again."""
        loop = asyncio.get_running_loop()
        sleeper = loop.create_future()
        timer = loop.call_later(POLL_S, _settle, sleeper)
        self.sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self.sleepers.discard(sleeper)

    @staticmethod
    def _worth_asking(one: Need) -> bool:
        share = one.share
        return share.lease_id is None or share.changed or not share.dry or perf_counter_ns() - share.asked_ns > DRY_NS

    # shares

    def _draw(self, funds: Funds) -> None:
        """Let funds draw on the shares that there are now, new ones where there are none."""
        funds.take([self._shares.setdefault(want.purse_id, Share(want)) for want in funds.wants])

    def _renew(self, funds: Funds) -> None:
        """Replace the shares whose window is over; requests that hold something of the old ones settle with those."""
        now_ns = perf_counter_ns()
        for want in funds.wants:
            share = self._shares.get(want.purse_id)
            if share is not None and share.until_ns <= now_ns:
                fresh = self._shares[want.purse_id] = Share(share.want)
                fresh.previous = share.lease_id
        self._draw(funds)

    # asking the database

    def _ask(self, share: Share, need: int) -> None:
        purse_id = share.want.purse_id
        if self._shares.get(purse_id) is not share:
            share.low = -FOREVER_NS  # another one has taken its place, and nothing more is spent of it but what is held
            return
        share.filling = True
        self._asked[purse_id] = max(need, self._asked.get(purse_id, 0))
        if self._filling is None:
            self._filling = self._spawn(self._fill_all())

    async def _fill_now(self, short: list[Need]) -> bool:
        """Have these asked for and wait for the answer; False when there is none, but something is left.

        Raises PenstockError `database_away` when nothing is.
        """
        for one in short:
            self._ask(*one)
        answer = Answer({one.share.want.purse_id for one in short})
        self._answers.append(answer)
        await answer.told
        if answer.away is not None and any(one.share.lease_id is None or one.share.room <= 0 for one in short if one.units):
            raise PenstockError("database_away", "The balance cannot be read at the moment; try again.", retry_after_s=2) from answer.away
        return answer.away is None

    async def _fill_all(self) -> None:
        """Ask for what is wanted, in batches, until nothing is; one transaction at a time."""
        try:
            await asyncio.sleep(0)  # what else is asked for in this turn comes along
            while self._asked:
                batch = {purse_id: self._asked.pop(purse_id) for purse_id in list(islice(self._asked, BATCH))}
                away: DatabaseAway | None = None
                try:
                    async with self._writing:
                        await self._fill(
                            [Need(self._shares[purse_id], units) for purse_id, units in batch.items() if purse_id in self._shares]
                        )
                except DatabaseAway as failure:
                    away = failure
                    self.failures += 1
                    _log.warning("funds cannot be leased: %s", failure)
                self._answers = [answer for answer in self._answers if not answer.hear(batch, away)]
                self.wake()
        finally:
            self._filling = None
            stopped, self._asked = self._asked, {}
            for purse_id in stopped:
                if purse_id in self._shares:
                    self._shares[purse_id].filling = False
            answers, self._answers = self._answers, []
            for answer in answers:
                answer.hear(answer.left, DatabaseAway("the treasury stops"))

    async def _fill(self, batch: list[Need]) -> None:
        orders = [self._order(one) for one in batch]
        try:
            filled = await fill(self._database, self.worker, orders, self._now_ms())
        finally:
            for one in batch:
                one.share.filling = one.share.want.purse_id in self._asked
                one.share.asked_ns = perf_counter_ns()
                one.share.low = 0
        self.fills += 1
        for one, order, answer in zip(batch, orders, filled, strict=True):
            share = self._shares.get(order.want.purse_id)
            if share is one.share or (share is not None and answer.fresh):
                share.filled(order, answer, self._now_ms())

    def _order(self, one: Need) -> Order:
        share, want = one.share, one.share.want
        now_ns = perf_counter_ns()
        if want.kind in DURABLE:
            elapsed_s = max((now_ns - share.asked_ns) / 1e9, 0.1) if share.asked_ns else RATE_S
            rate = int((share.spent - share.spent_before) / elapsed_s)
            room = min(max(self._sizes.least_nano, 4 * one.units, rate * RATE_S), max(self._sizes.most_nano, one.units))
            held = share.held  # as much again may be held in a moment: that must not look like spending
        else:
            room, held = max(one.units, (want.limit or 0) // (4 * self.workers), 1), 0
        share.spent_before = share.spent
        target, spare = max(0, room + held - share.room), max(0, share.room)
        return Order(want, share.lease_id, target, share.spent, spare, share.next_id, share.previous, room // 2)

    # giving back

    async def tick(self) -> None:
        """Once a second: give back what has lain idle for some seconds, and forget funds that nobody uses."""
        self._forget()
        idle: list[Share] = []
        ended: list[Share] = []
        for place, (purse_id, share) in enumerate(list(self._shares.items())):
            if place % STEP == STEP - 1:
                await asyncio.sleep(0)
            quiet = share.spent == share.spent_seen and not share.held and not share.filling
            share.spent_seen = share.spent
            share.quiet_ticks = share.quiet_ticks + 1 if quiet else 0
            if share.quiet_ticks > IDLE_TICKS:
                if purse_id not in self._users:
                    ended.append(share)
                elif share.room > 0 and share.until_ns > perf_counter_ns():
                    idle.append(share)
            if share.dry and perf_counter_ns() - share.asked_ns > DRY_NS:
                share.dry = False
        for start in range(0, len(idle), BATCH):
            await self._return(idle[start : start + BATCH])
        for start in range(0, len(ended), BATCH):
            await self._return(ended[start : start + BATCH], ends=True)

    async def recalled(self, purse_ids: Iterable[str]) -> None:
        """Somebody is short of these: give back what is not held."""
        await self._return([share for purse_id in purse_ids if (share := self._shares.get(purse_id)) is not None and share.room > 0])

    async def _return(self, shares: list[Share], *, ends: bool = False) -> None:
        async with self._writing:
            parts = []
            for share in shares:
                purse_id = share.want.purse_id
                if share.filling or self._shares.get(purse_id) is not share:
                    continue
                if ends:
                    if share.held or purse_id in self._users:
                        continue
                    del self._shares[purse_id]
                if share.lease_id is None:
                    continue
                units = max(share.room, 0)
                share.amount -= units  # before anything is awaited: it must not be spent meanwhile
                share.low = 0
                parts.append(Part(purse_id, share.lease_id, units, share.spent, ends))
            if not parts:
                return
            try:
                await give_back(self._database, parts, self._now_ms())
            except DatabaseAway as away:
                # It may have been given back all the same, so it is not spent here; the next filling says what there is.
                _log.warning("leases cannot be given back now: %s", away)

    def _forget(self) -> None:
        """Forget the funds that were not used for a minute. What they drew on is ended when nobody else draws on it."""
        before_ns = perf_counter_ns() - FORGET_NS
        for wants, funds in list(self._funds.items()):
            if funds.open or funds.used_ns > before_ns:
                continue
            del self._funds[wants]
            funds.ready = False  # whoever still has it asks anew
            for key_id in funds.keys:
                if self._by_key.get(key_id) is funds:
                    del self._by_key[key_id]
            for want in wants:
                users = self._users[want.purse_id] - 1
                if users:
                    self._users[want.purse_id] = users
                else:
                    del self._users[want.purse_id]

    async def stop(self) -> None:
        """Give everything back. Call when no request is open and the books have been written."""
        await self._recaller.stop()
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
