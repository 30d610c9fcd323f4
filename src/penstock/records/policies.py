"""Policies: what accounts want of their records, in memory, so that nobody waits to know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.models import OPERATOR
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed, bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.records.cover import PATHS, PATTERNS, Cover, make_cover
from penstock.records.models import PolicyRow

__all__ = ["DAYS_MAX", "DEFAULT", "PATHS", "PATTERNS", "REVISION", "Policies", "Policy", "forget_policy"]

REVISION = "record_policies"
DAYS_MAX = 3650
_log = logging.getLogger("penstock.records")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What an account wants: whether everything of it is recorded, for how many days it stays on its shelf, what is covered.

    `redact_paths` are paths in JSON bodies, such as `messages.*.content`; `redact_patterns` RE2 patterns. `retention_days` None: as
    long as the operator keeps records, which is the most in any case.
    """

    record: bool = False
    retention_days: int | None = None
    redact_paths: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    updated_at_ms: int = 0


DEFAULT = Policy()


class Policies:
    """All policies that differ from the default, as the database had them a moment ago. Followed by the feed once it is started."""

    def __init__(self, database: Database, feed: Feed | None = None, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self.covering: dict[str | None, Cover] = {}
        """What is covered, for the accounts that want something covered; the operator is there as None, too."""
        self._database = database
        self._now_ms = now_ms
        self._known: dict[str, Policy] | None = None
        self._covers: dict[str, tuple[int, Cover]] = {}
        self._loading = asyncio.Lock()
        if feed is not None:
            feed.follow(REVISION, self._changed)

    def records(self, account_id: str | None) -> bool | None:
        """Whether everything of an account is recorded; None while that is not known, just after the start."""
        if self._known is None:
            return None
        policy = self._known.get(account_id or OPERATOR)
        return policy is not None and policy.record

    async def load(self) -> None:
        """Read them all: most accounts have none. Raises DatabaseAway."""
        async with self._loading:  # what was read earlier must not take the place of what was read later
            await self._load()

    async def _load(self) -> None:
        async with self._database.session(read_only=True) as session:
            found = (await session.scalars(select(PolicyRow))).all()
        known = {row.account_id: _policy(row) for row in found}
        covers = {name: self._cover(name, policy) for name, policy in known.items() if policy.redact_paths or policy.redact_patterns}
        self._covers = {name: (known[name].updated_at_ms, cover) for name, cover in covers.items()}
        covering: dict[str | None, Cover] = dict(covers.items())
        if OPERATOR in covers:
            covering[None] = covers[OPERATOR]
        self._known, self.covering = known, covering

    async def of(self, account_id: str) -> Policy:
        """What an account wants, as the database has it. Raises DatabaseAway."""
        async with self._database.session(read_only=True) as session:
            row = await session.get(PolicyRow, account_id)
        return _policy(row) if row is not None else DEFAULT

    async def put(self, account_id: str, policy: Policy) -> Policy:
        """Change what an account wants. Raises PenstockError `invalid_request`, and DatabaseAway."""
        make_cover(policy.redact_paths, policy.redact_patterns)
        if policy.retention_days is not None and not 1 <= policy.retention_days <= DAYS_MAX:
            raise PenstockError("invalid_request", f"Records can be kept for 1 to {DAYS_MAX} days.", param="retention_days")
        async with self._database.session() as session:
            row = await session.get(PolicyRow, account_id, with_for_update=True)
            # Two changes within a millisecond must differ: what is compiled is kept by it.
            policy = msgspec.structs.replace(policy, updated_at_ms=max(self._now_ms(), row.updated_at_ms + 1 if row else 0))
            await session.merge(_row(account_id, policy))
            await bump(session, REVISION)
        await self.load()
        return policy

    def _cover(self, account_id: str, policy: Policy) -> Cover:
        at_ms, cover = self._covers.get(account_id, (-1, None))
        return cover if cover is not None and at_ms == policy.updated_at_ms else make_cover(policy.redact_paths, policy.redact_patterns)

    def _changed(self) -> None:
        spawn(self._reload(), name="record policies")

    async def _reload(self) -> None:
        try:
            await self.load()
        except DatabaseAway as away:
            _log.warning("what accounts want of their records cannot be read now: %s", away)


async def forget_policy(session: AsyncSession, account_id: str) -> None:
    """Delete what an account wants, in this transaction."""
    await session.execute(delete(PolicyRow).where(PolicyRow.account_id == account_id))
    await bump(session, REVISION)


def _row(account_id: str, policy: Policy) -> PolicyRow:
    return PolicyRow(
        account_id=account_id,
        record=policy.record,
        retention_days=policy.retention_days,
        redact_paths=list(policy.redact_paths),
        redact_patterns=list(policy.redact_patterns),
        updated_at_ms=policy.updated_at_ms,
    )


def _policy(row: PolicyRow) -> Policy:
    return Policy(
        record=row.record,
        retention_days=row.retention_days,
        redact_paths=tuple(row.redact_paths),
        redact_patterns=tuple(row.redact_patterns),
        updated_at_ms=row.updated_at_ms,
    )
