"""Counts: how often each rule was used, kept in memory and added to the database every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.infra.database import Database, DatabaseAway
from penstock.kit.tasks import finish, happened, spawn
from penstock.rules.models import RuleDay, RuleRow

DAY_MS = 86_400_000
EVERY_S = 2.0
STOP_S = 5.0
COUNTED = 20_000
"""Rules and days that are counted at once; while the database is away, more are not."""
KEPT_DAYS = 400
ERROR_LIMIT = 300
_ROWS = 500
_log = logging.getLogger("penstock.rules")


@dataclass(slots=True)
class Count:
    """How often a rule was used on a day."""

    hits: int = 0
    shadow_hits: int = 0
    errors: int = 0
    last_at_ms: int = 0
    last_error: str | None = None

    def add(self, other: Count) -> None:
        """Add what was counted later."""
        self.hits += other.hits
        self.shadow_hits += other.shadow_hits
        self.errors += other.errors
        self.last_at_ms = max(self.last_at_ms, other.last_at_ms)
        self.last_error = other.last_error or self.last_error


class Counts:
    """The counts of one process. What is counted between `start` and `stop` is in the database a few seconds later."""

    def __init__(self, database: Database, *, every_s: float = EVERY_S, limit: int = COUNTED) -> None:
        self._database = database
        self._every_s = every_s
        self._limit = limit
        self._counts: dict[tuple[str, int], Count] = {}
        self.dropped = 0
        """Uses that were not counted, because there was no room."""
        self._away = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to add to the database."""
        self._task = spawn(self._keep_on(), name="rule counts")

    async def stop(self) -> None:
        """Add what is left, and end; harmless when not started."""
        self._stopping.set()
        await finish(self._task, STOP_S)
        self._task = None
        with contextlib.suppress(DatabaseAway, TimeoutError):
            await asyncio.wait_for(self.flush(), STOP_S)
        if self._counts:
            _log.warning("the uses of %d rules were not written down: the database is away", len(self._counts))

    def add(self, fired: Iterable[str], shadowed: Iterable[str], skipped: Iterable[tuple[str, str]], now_ms: int) -> None:
        """Count rules that have acted, those that would have but for their shadow mode, and actions that could not be applied."""
        day = now_ms // DAY_MS
        for rule_id in fired:
            if (count := self._count(rule_id, day)) is not None:
                count.hits += 1
                count.last_at_ms = now_ms
        for rule_id in shadowed:
            if (count := self._count(rule_id, day)) is not None:
                count.shadow_hits += 1
                count.last_at_ms = now_ms
        for rule_id, reason in skipped:
            if (count := self._count(rule_id, day)) is not None:
                count.errors += 1
                count.last_at_ms = now_ms
                count.last_error = reason

    async def flush(self) -> None:
        """Add everything to the database. Raises DatabaseAway, and keeps what could not be added."""
        counts, self._counts = self._counts, {}
        keys = sorted(counts)  # two processes take the same rows in the same order
        try:
            for at in range(0, len(keys), _ROWS):
                batch = keys[at : at + _ROWS]
                async with self._database.session() as session:
                    await _add(session, {key: counts[key] for key in batch})
                for key in batch:
                    del counts[key]
        except BaseException:
            for key, later in self._counts.items():
                counts.setdefault(key, Count()).add(later)
            self._counts = counts
            raise

    def _count(self, rule_id: str, day: int) -> Count | None:
        count = self._counts.get((rule_id, day))
        if count is None:
            if len(self._counts) >= self._limit:
                self.dropped += 1
                return None
            count = self._counts[rule_id, day] = Count()
        return count

    async def _keep_on(self) -> None:
        while not self._stopping.is_set():
            await happened(self._stopping, self._every_s)
            try:
                await self.flush()
                self._away = False
            except DatabaseAway as failure:
                if not self._away:
                    _log.warning("uses of rules cannot be written down while the database is away: %s", failure)
                self._away = True


async def forget_days(database: Database, now_ms: int) -> None:
    """Delete counts that are older than KEPT_DAYS."""
    async with database.session() as session:
        await session.execute(delete(RuleDay).where(RuleDay.day < now_ms // DAY_MS - KEPT_DAYS))


async def _add(session: AsyncSession, counts: dict[tuple[str, int], Count]) -> None:
    """Add to the rows of rules that are there still. They are held until then, so that none is deleted in between."""
    ids = {rule_id for rule_id, _ in counts}
    held = select(RuleRow.id).where(RuleRow.id.in_(ids)).order_by(RuleRow.id).with_for_update(read=True, key_share=True)
    there = set(await session.scalars(held))
    rows = [
        {
            "rule_id": rule_id, "day": day, "hits": count.hits, "shadow_hits": count.shadow_hits, "errors": count.errors,
            "last_at_ms": count.last_at_ms, "last_error": _shown(count.last_error),
        }
        for (rule_id, day), count in counts.items()
        if rule_id in there
    ]  # fmt: skip
    if not rows:
        return
    put = (postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert)(RuleDay)
    new = put.excluded
    grown = {name: getattr(RuleDay, name) + new[name] for name in ("hits", "shadow_hits", "errors")}
    last = case((new.last_at_ms > RuleDay.last_at_ms, new.last_at_ms), else_=RuleDay.last_at_ms)
    set_ = {**grown, "last_at_ms": last, "last_error": func.coalesce(new.last_error, RuleDay.last_error)}
    await session.execute(put.on_conflict_do_update(index_elements=["rule_id", "day"], set_=set_), rows)


def _shown(reason: str | None) -> str | None:
    """A reason as a database takes it."""
    return None if reason is None else "".join(letter if letter.isprintable() else " " for letter in reason[:ERROR_LIMIT])
