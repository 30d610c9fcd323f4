"""Leases over any order of events, a crash between any two of them included: the books always agree, and no money is lost."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from bank import SIZES, Bank, Teller, charge_of
from penstock.billing.leases import square_late
from penstock.billing.models import Worker
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError

NANO = st.integers(1, 5_000)
STEP = st.one_of(
    st.tuples(st.just("top_up"), NANO),
    st.tuples(st.just("grant"), NANO),
    st.tuples(st.just("hold"), NANO),
    st.tuples(st.just("extend"), NANO),
    st.tuples(st.just("settle"), st.integers(0, 8_000)),
    st.tuples(st.just("release"), st.just(0)),
    st.tuples(st.just("write"), st.just(0)),
    st.tuples(st.just("write twice"), st.just(0)),
    st.tuples(st.just("running"), st.integers(1, 3_000)),
    st.tuples(st.just("crash"), st.just(0)),
    st.tuples(st.just("thought dead"), st.just(0)),
    st.tuples(st.just("sweep"), st.just(0)),
    st.tuples(st.just("tick"), st.just(0)),
    st.tuples(st.just("recall"), st.just(0)),
    st.tuples(st.just("square"), st.just(0)),
)


class Story:
    """Two workers, one account, and what has happened to them so far."""

    def __init__(self, bank: Bank, account: str, wants) -> None:
        self.bank, self.account, self.wants = bank, account, wants
        self.open: list[tuple[Teller, object]] = []
        self.unwritten: list[tuple[Teller, object]] = []
        self.deposits = self.written = 0
        self.ids: set[str] = set()
        self.refusals: set[str] = set()

    async def step(self, what: str, who: int, nano: int) -> None:
        teller = self.bank.tellers[who % 2 - 2]
        await getattr(self, what.replace(" ", "_"))(teller, nano)

    async def top_up(self, _: Teller, nano: int) -> None:
        await self.bank.fill(self.account, "paid", nano)
        self.deposits += nano

    async def grant(self, _: Teller, nano: int) -> None:
        await self.bank.fill(self.account, "free", nano)
        self.deposits += nano

    async def hold(self, teller: Teller, nano: int) -> None:
        try:
            hold = await teller.reserve(self.wants, nano)
        except PenstockError as error:
            self.refusals.add(error.code)
            return
        self.open.append((teller, hold.__enter__()))

    async def extend(self, _: Teller, nano: int) -> None:
        if self.open:
            self.open[-1][1].extend(nano)

    async def settle(self, teller: Teller, nano: int) -> None:
        if not self.open:
            await self.hold(teller, nano + 1)
        if self.open:
            teller, hold = self.open.pop(0)
            self.unwritten.append((teller, teller.settle(hold, self.account, nano)))
            hold.__exit__(None, None, None)

    async def release(self, _: Teller, nano: int) -> None:
        if self.open:
            self.open.pop()[1].__exit__(None, None, None)

    async def write(self, _: Teller, nano: int) -> None:
        if self.unwritten:
            teller, charge = self.unwritten.pop(0)
            await teller.write(charge)
            self.written += 0 if charge.id in self.ids else charge.cost_nano
            self.ids.add(charge.id)

    async def write_twice(self, teller: Teller, nano: int) -> None:
        """The first attempt was committed, but nobody heard of it."""
        if not self.unwritten:
            await self.settle(teller, nano + 77)
        if self.unwritten:
            writer, charge = self.unwritten[0]
            await writer.write(charge)
            self.written += charge.cost_nano
            self.ids.add(charge.id)
            await self.write(teller, 0)

    async def running(self, teller: Teller, nano: int) -> None:
        """A long request tells what it has come to."""
        if not any(owner is teller for owner, _ in self.open):
            await self.hold(teller, nano)
        for owner, hold in self.open:
            if owner is teller:
                draws, free = hold.would_draw(nano)
                teller.running = [charge_of(self.account, nano, free, draws)]
        await teller.presence._be_seen()

    async def crash(self, teller: Teller, nano: int) -> None:
        """It is gone with all it had in memory: holds, and charges that nobody was told of."""
        self.open = [one for one in self.open if one[0] is not teller]
        self.unwritten = [one for one in self.unwritten if one[0] is not teller]
        await vanish(teller)
        self.bank.tellers.remove(teller)
        await teller.store.close()
        await self.bank.teller(SIZES._replace(wait_s=0.0))

    async def thought_dead(self, teller: Teller, nano: int) -> None:
        """It was only asleep, and goes on after it was swept."""
        teller.running = []
        await teller.presence._be_seen()
        await age(teller)
        other = next(one for one in self.bank.tellers if one is not teller)
        await other.presence.sweep()
        await teller.presence._be_seen()

    async def sweep(self, teller: Teller, nano: int) -> None:
        await teller.presence.sweep()

    async def tick(self, teller: Teller, nano: int) -> None:
        for _ in range(7):
            await teller.treasury.tick()

    async def recall(self, teller: Teller, nano: int) -> None:
        await teller.treasury.recalled([want.purse_id for want in self.wants])

    async def square(self, _: Teller, nano: int) -> None:
        await square_late(self.bank.database, clock.now_ms())


async def age(teller: Teller) -> None:
    async with teller.presence._database.session() as session:
        await session.execute(update(Worker).where(Worker.id == teller.presence.worker).values(seen_at_ms=0))


async def vanish(teller: Teller) -> None:
    teller.presence._stopping.set()
    await teller.presence._task
    await age(teller)


async def play(url: str, steps) -> None:
    database = Database(url)
    bank = Bank(database, url)
    try:
        await tell(bank, steps)
    finally:
        for teller in bank.tellers:
            await vanish(teller)
            await teller.store.close()
        await database.close()


async def tell(bank: Bank, steps) -> None:
    account, wants = await bank.account()
    for _ in range(2):
        await bank.teller(SIZES._replace(wait_s=0.0))
    story = Story(bank, account, wants)
    await story.top_up(bank.tellers[0], 4_000)
    for (what, nano), who in steps:
        await story.step(what, who, nano)
    while story.unwritten:
        await story.write(story.unwritten[0][0], 0)
    while story.open:
        await story.release(bank.tellers[0], 0)
    for teller in bank.tellers:
        await teller.presence.stop()
    sweeper = await bank.teller()
    await sweeper.presence.sweep()
    await square_late(bank.database, clock.now_ms())
    await sweeper.presence.stop()
    assert story.refusals <= {"insufficient_funds"}
    assert await bank.open_leases() == []
    await bank.check()
    spent = await bank.spent(account)
    assert spent >= story.written  # and what was posted for those that were interrupted
    assert await bank.left(f"{account}/paid") + await bank.left(f"{account}/free") == story.deposits - spent


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(STEP, st.integers(0, 1)), min_size=6, max_size=25))
def test_the_books_agree_whatever_happens_in_whatever_order(database_url, steps):
    asyncio.run(play(database_url, steps))
