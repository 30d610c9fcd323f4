"""What the relay sees of rules: those of an account and those for everybody, found without the database once they are known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import islice

from penstock.infra.catching_up import CatchUp
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import finish, spawn
from penstock.rules.changes import EVERYBODY, REVISION, changed_since
from penstock.rules.compile import NO_RULES
from penstock.rules.counts import EVERY_S, Counts
from penstock.rules.facts import Facts
from penstock.rules.loading import Loader
from penstock.rules.ruleset import CompiledRule, RuleSet
from penstock.rules.stages import apply_late, two_stages
from penstock.rules.verdict import Refusal, Verdict

__all__ = ("NO_RULES", "CompiledRule", "Facts", "Refusal", "RuleBook", "RuleSet", "Verdict", "apply_late", "two_stages")

LOOK_UP_S = 5
BATCH = 200
STOP_S = 2.0
KNOWN = 200_000
"""How much is remembered: an account counts as one, each of its rules as RULE_WEIGHT, and so many bytes of them as one more."""
RULE_WEIGHT = 10
BYTES_WEIGHED = 100
_RETRY_AFTER_S = 2
_log = logging.getLogger("penstock.rules")


class Shelf:
    """The sets of accounts that were used lately: two generations, the elder of which is dropped whole when there is too much."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._weight = 0
        self._young: dict[str, RuleSet] = {}
        self._old: dict[str, RuleSet] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def __contains__(self, account_id: str) -> bool:
        return account_id in self._young or account_id in self._old

    def accounts(self) -> set[str]:
        """Whose sets are here."""
        return self._young.keys() | self._old.keys()

    def get(self, account_id: str) -> RuleSet | None:
        """The set, which counts as used; None if it is not here."""
        found = self._young.get(account_id)
        if found is None and (found := self._old.pop(account_id, None)) is not None:
            self.put(account_id, found)
        return found

    def put(self, account_id: str, rules: RuleSet) -> None:
        """Keep the set."""
        if self._weight >= self._half:
            self._young, self._old, self._weight = {}, self._young, 0
        self._old.pop(account_id, None)
        self._young[account_id] = rules
        self._weight += 1 + RULE_WEIGHT * len(rules.rules) + rules.size // BYTES_WEIGHED


class RuleBook:
    """The rules of the accounts that have asked lately, and those for everybody.

    Between `start` and `stop` it follows what is changed, by whichever process: the sets of those whose rules have changed are read
    again within a second, and until then, also while the database is away, those that were known serve.
    """

    def __init__(
        self,
        database: Database,
        feed: Feed,
        *,
        known_limit: int = KNOWN,
        count_every_s: float = EVERY_S,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:  # fmt: skip
        self.operators: RuleSet = NO_RULES
        self.counts = Counts(database, every_s=count_every_s)
        self._database = database
        self._now_ms = now_ms
        self._loader = Loader()
        self._shelf = Shelf(known_limit)
        self.find: Callable[[str], RuleSet | None] = self._shelf.get
        """The set of an account; None when it has to be loaded first."""
        self._asked: dict[str, asyncio.Future[RuleSet]] = {}
        self._stale: set[str] = set()
        """Whose rules have changed while they were being read."""
        self._reader: asyncio.Task[None] | None = None
        self._number = 0
        self._changes = CatchUp(feed, REVISION, self._catch_up)

    async def start(self) -> None:
        """Read the rules for everybody, and follow changes. Raises DatabaseAway: nothing may be served without those rules."""
        async with self._database.session(read_only=True) as session:
            self._number, _ = await changed_since(session, 0)
            self.operators = (await self._loader.load(session, (EVERYBODY,)))[EVERYBODY]
        self._changes.start()
        await self.counts.start()

    async def stop(self) -> None:
        """Stop following, after the look-ups under way, and write down what was counted; harmless when not started."""
        await self._changes.stop()
        await finish(self._reader, STOP_S)
        self._reader = None
        await self.counts.stop()

    async def load(self, account_id: str) -> RuleSet:
        """The set of an account, read from the database unless it is known. Those who ask at the same time wait for one another.

        Raises PenstockError `database_away`.
        """
        found = self._shelf.get(account_id)
        if found is not None:
            return found
        asked = self._asked.get(account_id)
        if asked is None:
            asked = self._asked[account_id] = asyncio.get_running_loop().create_future()
            asked.add_done_callback(_seen)
            if self._reader is None:
                self._reader = spawn(self._read_asked(), name="rules of accounts")
        return await asyncio.shield(asked)

    def count(self, verdict: Verdict, now_ms: int | None = None) -> None:
        """Count what rules have done; it is in their statistics a few seconds later."""
        self.counts.add(verdict.fired, verdict.shadowed, verdict.skipped, self._now_ms() if now_ms is None else now_ms)

    async def _read_asked(self) -> None:
        try:
            while self._asked:
                batch = list(islice(self._asked, BATCH))
                self._stale.difference_update(batch)
                found: dict[str, RuleSet] = {}
                failure: BaseException | None = None
                try:
                    async with asyncio.timeout(LOOK_UP_S), self._database.session(read_only=True) as session:
                        found = await self._loader.load(session, batch)
                except (DatabaseAway, TimeoutError) as away:
                    _log.warning("rules cannot be read while the database is away: %s", str(away) or "it took too long")
                    failure = PenstockError("database_away", "Rules cannot be read at the moment. Try again.", retry_after_s=_RETRY_AFTER_S)
                for account_id in batch:
                    if failure is not None:
                        self._asked.pop(account_id).set_exception(failure)
                    elif account_id not in self._stale:  # else it is read once more
                        self._shelf.put(account_id, found[account_id])
                        self._asked.pop(account_id).set_result(found[account_id])
        finally:
            self._reader = None
            for asked in self._asked.values():
                asked.set_exception(PenstockError("shutting_down", "Penstock is stopping. Try again.", retry_after_s=_RETRY_AFTER_S))
            self._asked.clear()

    async def _catch_up(self) -> None:
        """Read again what has changed. What cannot be read now is read the next time."""
        async with asyncio.timeout(LOOK_UP_S), self._database.session(read_only=True) as session:
            number, owners = await changed_since(session, self._number)
        known = self._shelf.accounts()
        if owners is None:
            owners = {*known, *self._asked, EVERYBODY}
        self._stale.update(owners & self._asked.keys())
        again = sorted(owners & {*known, EVERYBODY})
        for at in range(0, len(again), BATCH):
            async with asyncio.timeout(LOOK_UP_S), self._database.session(read_only=True) as session:
                found = await self._loader.load(session, again[at : at + BATCH])
            for owner, rules in found.items():
                if owner == EVERYBODY:
                    self.operators = rules
                elif owner in self._shelf:
                    self._shelf.put(owner, rules)
        self._number = number


def _seen(asked: asyncio.Future[RuleSet]) -> None:
    """Its failure is seen, although whoever asked may be gone."""
    if not asked.cancelled():
        asked.exception()
