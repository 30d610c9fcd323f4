"""The books: take charges as they come, and say of each when it is durable. A charge is never dropped."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from penstock.billing.charge import Charge, mended
from penstock.billing.journal import Journal
from penstock.billing.store import Durability, Store
from penstock.billing.store_postgresql import PostgresqlStore
from penstock.billing.store_sqlite import SqliteStore
from penstock.infra.database import sqlite_path
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import failure_of, spawn

T = TypeVar("T")
Done = Callable[[BaseException | None], None]
Withdraw = Callable[[list[str]], Awaitable[Any]]
"""Takes back the interrupted charges with these ids; see `presence.withdraw_interrupted`."""

GROUP_ROWS = 256
QUEUE_LIMIT = 100_000
JOURNAL_LIMIT_BYTES = 256 * 1024 * 1024
GRACE_S = 0.2
"""How long a charge waits for the database before the journal gets it as well."""
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 2.0
KEEP_AGAIN_S = 0.25
LAST_S = 2.0
"""How long `stop` goes on after its time is over: to write the journal, and to close."""
_log = logging.getLogger("penstock.billing")


class _Group:
    """Charges that are committed together, and who waits for them."""

    __slots__ = ("charges", "dones", "overdue")

    def __init__(self, charges: list[Charge], dones: list[Done]) -> None:
        self.charges = charges
        self.dones = dones
        self.overdue = False


class Books:
    """The writer of charges, one per process, used on the loop's thread.

    Charges that are posted in one pass of the loop, or while a group is being committed, are the next group; nobody
    lingers for more. A group that the database does not take within `grace_s` goes to a journal under `data`, and so do
    all later ones until the database takes one again; then the journal is replayed. Writing twice is harmless, so
    whenever it is not known whether something was committed, it is written again.
    """

    def __init__(  # noqa: PLR0913  bounds that tests make small
        self,
        database_url: str,
        durability: Durability,
        data: Path,
        *,
        grace_s: float = GRACE_S,
        queue_limit: int = QUEUE_LIMIT,
        journal_limit_bytes: int = JOURNAL_LIMIT_BYTES,
        withdraw: Withdraw | None = None,
    ) -> None:
        self.committed = 0
        """Charges that the database has taken, replayed ones included."""
        self.commits = 0
        self.last_commit_ms = 0.0
        self.failures = 0
        """Attempts that the database or the journal refused."""
        path = sqlite_path(database_url)
        self._store: Store = PostgresqlStore(database_url, durability) if path is None else SqliteStore(path, durability)
        self._folder = data / "journal"
        self._withdraw_interrupted = withdraw
        self._syncs = durability == "power"
        self._grace_s = grace_s
        self._queue_limit = queue_limit
        self._journal_limit_bytes = journal_limit_bytes
        self._charges: list[Charge] = []
        self._dones: list[Done] = []
        self._idle = False
        """The next post has to call for `_hand`; otherwise that is scheduled, or whoever works on a group calls it."""
        self._groups: set[_Group] = set()
        """The groups that someone waits for and that were not committed at once: two at most."""
        self._writing = asyncio.Lock()
        self._journals: list[Journal] = []
        """Ours, then those of dead processes."""
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False
        self._stopped = False
        self._failing = False
        """The last attempt to commit was refused."""
        self._away = False
        """A group has waited for the database for longer than the grace."""
        self._keeps = True
        """The journal took what it was last given."""
        self._replaying = False

    def post(self, charge: Charge, done: Done) -> None:
        """Have the charge made durable; `done(None)` is called on the loop when it is, with an error only if `stop` gave up."""
        self._charges.append(charge)
        self._dones.append(done)
        if self._idle:
            self._idle = False
            self._call_soon(self._hand)

    @property
    def available(self) -> bool:
        """New billable requests can be made durable somewhere; while they cannot, they must be refused.

        That is: the queue is below its bound, and either the database takes charges (or has failed to for less than
        `grace_s`), or the journal does and has room. False before `start` and from `stop` on.
        """
        return self._open and len(self._charges) < self._queue_limit and (not self._away or (self._keeps and self._journals[0].room))

    @property
    def depth(self) -> int:
        """Charges that were posted and are not durable yet."""
        return len(self._charges) + sum(len(group.dones) for group in self._groups)

    @property
    def journalled(self) -> int:
        """Charges that are in journals and wait for the database."""
        return sum(journal.depth for journal in self._journals)

    async def start(self) -> None:
        """Begin a journal, take over those of dead processes, connect. Without a database it starts all the same.

        Raises OSError when the journal cannot be written.
        """
        self._call_soon = asyncio.get_running_loop().call_soon
        self._journals = await self._on_thread(self._open_journals)
        self._open = True
        if await self._attempt([]) is None:
            self._hand()
        else:
            self._spawn(self._commit(_Group([], [])))

    async def stop(self, within_s: float = 10.0) -> int:
        """Make everything durable and close; returns how many charges are not, which is 0 if the journal can be written.

        Charges that only the journal has stay there for the next start; `journalled` counts them.
        """
        self._open = False
        await self._drain(within_s)
        if not self._away:
            for group in list(self._groups):
                self._overdue(group)
        await self._drain(LAST_S)
        if left := self.depth:
            _log.error("%d charges could not be made durable anywhere", left)
        closing = self._spawn(self._close())
        await asyncio.wait([closing], timeout=LAST_S)
        return left

    def _open_journals(self) -> list[Journal]:
        ours = Journal.begin(self._folder, limit_bytes=self._journal_limit_bytes, syncs=self._syncs)
        return [ours, *Journal.adopt(self._folder)]

    def _hand(self) -> None:
        """Give the next group to the database, or to the journal while the database is away."""
        if not self._charges:
            self._idle = True
            return
        if self._stopped:
            self._refuse()
            return
        charges, self._charges = self._charges[:GROUP_ROWS], self._charges[GROUP_ROWS:]
        dones, self._dones = self._dones[:GROUP_ROWS], self._dones[GROUP_ROWS:]
        if not self._away and not self._writing.locked():
            started = time.perf_counter()
            if self._store.quick(charges):
                self._count(charges, started)
                self._idle = not self._charges
                if not self._idle:
                    self._call_soon(self._hand)
                _tell(iter(dones), None)
                return
        group = _Group(charges, dones)
        self._groups.add(group)
        self._spawn(self._keep(group) if self._away else self._commit(group))

    async def _commit(self, group: _Group) -> None:
        """Write a group until the database has it; what comes after it waits, or goes to the journal when it is overdue."""
        overdue = asyncio.get_running_loop().call_later(self._grace_s, self._overdue, group)
        try:
            async with self._writing:
                await self._persist(group.charges)
        finally:
            overdue.cancel()
        self._durable(group)
        if not group.overdue:
            self._hand()

    def _overdue(self, group: _Group) -> None:
        group.overdue = True
        if not self._away:
            self._away = True
            _log.warning("the database has not taken charges for %.1f s: they go to the journal", self._grace_s)
        self._spawn(self._keep(group))

    async def _keep(self, group: _Group) -> None:
        """Put a group into the journal while the database is away, and try again while the journal cannot take it."""
        while self._away and group.dones:
            failure = await failure_of(self._on_thread(self._journals[0].append, group.charges))
            if failure is None:
                self._durable(group)
            else:
                self.failures += 1
                if self._keeps:
                    _log.error("the journal does not take charges: %s; new requests are refused", failure)
            self._keeps = failure is None
            if failure is not None:
                await asyncio.sleep(KEEP_AGAIN_S)
        if group.dones and not group.overdue:
            self._spawn(self._commit(group))
        else:
            self._hand()
        self._look_back()

    async def _persist(self, charges: list[Charge]) -> None:
        """Write charges until the database has them."""
        wait_s = RETRY_FIRST_S
        while await self._attempt(charges) is not None:
            sound = [mended(charge) for charge in charges]
            if sound != charges:
                charges = sound
                continue
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_LAST_S)

    async def _attempt(self, charges: list[Charge]) -> BaseException | None:
        started = time.perf_counter()
        failure = await failure_of(self._store.write(charges))
        if failure is not None:
            self.failures += 1
            if not self._failing:
                _log.warning("the database does not take charges, trying again: %s: %s", type(failure).__name__, failure)
            self._failing = True
            return failure
        self._count(charges, started)
        if self._failing or self._away:
            _log.warning("the database takes charges again; %d are in the journal", self.journalled)
        self._failing = self._away = False
        self._keeps = True
        self._look_back()
        return None

    def _look_back(self) -> None:
        """Replay if a journal has something and the database takes it."""
        if not self._away and not self._replaying and (len(self._journals) > 1 or self._journals[0].size_bytes):
            self._replaying = True
            self._spawn(self._replay())

    async def _replay(self) -> None:
        """Bring what the journals have to the database, some hundreds at a time, between the groups of the day."""
        try:
            for journal in list(self._journals):
                while charges := await self._on_thread(journal.read):
                    await self._withdraw(charges)
                    async with self._writing:
                        # a line may be there twice, after an append that failed half-way
                        await self._persist(list({charge.id: charge for charge in charges}.values()))
                    await self._on_thread(journal.forget, charges)
                if journal is self._journals[0]:
                    await self._on_thread(journal.empty)
                else:
                    self._journals.remove(journal)
                    await self._on_thread(journal.close)
        finally:
            self._replaying = False
        self._look_back()  # something may have been appended since the last read

    async def _withdraw(self, charges: list[Charge]) -> None:
        """Take back what a sweep has posted in the place of these."""
        wait_s = RETRY_FIRST_S
        withdraw = self._withdraw_interrupted
        while withdraw is not None and await failure_of(withdraw([charge.id for charge in charges])) is not None:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_LAST_S)

    def _count(self, charges: list[Charge], started_s: float) -> None:
        self.last_commit_ms = (time.perf_counter() - started_s) * 1000
        if charges:
            self.commits += 1
            self.committed += len(charges)

    def _durable(self, group: _Group) -> None:
        self._groups.discard(group)
        dones, group.dones = group.dones, []
        self._call_soon(_tell, iter(dones), None)

    async def _drain(self, within_s: float) -> None:
        until_s = time.monotonic() + within_s
        while self.depth and time.monotonic() < until_s:  # noqa: ASYNC110  once in its life: an event would cost at every commit
            await asyncio.sleep(0.005)

    async def _close(self) -> None:
        """Tell those that still wait, and will ever post, that they do so in vain, and let go of everything."""
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self._stopped = True
        self._refuse()
        await failure_of(self._store.close())
        for journal in self._journals:
            await self._on_thread(journal.close)
        self._beside.shutdown(wait=False)

    def _refuse(self) -> None:
        dones = [*(done for group in self._groups for done in group.dones), *self._dones]
        self._groups, self._charges, self._dones = set(), [], []
        self._idle = True
        failure = PenstockError("books_unavailable", "Penstock stopped before the charge for this request was durable.")
        asyncio.get_running_loop().call_soon(_tell, iter(dones), failure)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = spawn(work, name="books")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _on_thread(self, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._beside, work, *given)


def _tell(dones: Iterator[Done], failure: BaseException | None) -> None:
    """Call them all: one that raises is reported by the loop and does not keep the others waiting."""
    try:
        for done in dones:
            done(failure)
    finally:
        if rest := list(dones):
            asyncio.get_running_loop().call_soon(_tell, iter(rest), failure)
