"""The throttle: whoever fails to sign in again and again waits longer and longer, in all processes alike."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.models import Attempt
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError

LONGEST_MS = 15 * 60 * 1000
"""Nobody waits longer than this."""
FORGOTTEN_MS = 60 * 60 * 1000
"""Attempts do not count any more after so long without another."""
_SKEW_MS = 60_000
"""The clocks of two nodes may differ by this. One that was set back by more has nobody wait."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many attempts are free, and how long one waits after the next; twice as long after each that follows."""

    free: int
    first_ms: int

    def wait_ms(self, attempts: int) -> int:
        """How long to wait after so many."""
        over = attempts - self.free
        return 0 if over <= 0 else min(self.first_ms << min(over - 1, 30), LONGEST_MS)


PER_EMAIL = Schedule(free=5, first_ms=1000)
PER_ADDRESS = Schedule(free=20, first_ms=1000)
"""Many people may share an address."""
MAILS_PER_EMAIL = Schedule(free=2, first_ms=60_000)
MAILS_PER_ADDRESS = Schedule(free=10, first_ms=10_000)

Subjects = Mapping[str, Schedule]
"""Whose attempts are counted."""


def signing_in(email: str, address: str, *, known: bool) -> Subjects:
    """Whose attempt it is to sign in.

    Where an account is signed in already (`known`), its owner is counted apart from the strangers who try elsewhere, and so is not
    kept out by them.
    """
    whose = f"{_hidden(email)} {_network(address)}" if known else _hidden(email)
    return {f"sign-in e-mail {whose}": PER_EMAIL, **_of_address("sign-in", address, PER_ADDRESS)}


def asking_for_mail(email: str, address: str) -> Subjects:
    """Whose wish it is that mail be sent to an address which may be somebody else's."""
    return {f"mail e-mail {_hidden(email)}": MAILS_PER_EMAIL, **_of_address("mail", address, MAILS_PER_ADDRESS)}


class Throttle:
    """The attempts counted in one database."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def admit(self, subjects: Subjects) -> None:
        """Count an attempt before it is made, so that many at once are counted too. Raises PenstockError `too_many_requests`."""
        now_ms = self._now_ms()
        async with self._database.session() as session:
            rows = await _locked(session, subjects, now_ms)
            wait_ms = max(_left_ms(row, now_ms) for row in rows)
            if wait_ms > 0:
                wait_s = -(-wait_ms // 1000)
                raise PenstockError("too_many_requests", f"Too many attempts. Try again in {wait_s} seconds.", retry_after_s=wait_s)
            for row in rows:
                quiet = abs(now_ms - row.seen_at_ms) > FORGOTTEN_MS
                row.failures = 1 if quiet else row.failures + 1
                row.blocked_until_ms = now_ms + subjects[row.subject].wait_ms(row.failures)
                row.seen_at_ms = now_ms

    async def forgive(self, session: AsyncSession, subjects: Subjects) -> None:
        """The attempt was good: it does not count, and what was counted for the e-mail address is forgotten."""
        now_ms = self._now_ms()
        for subject in sorted(subjects):
            if " e-mail " in subject:
                await session.execute(delete(Attempt).where(Attempt.subject == subject))
            else:
                row = update(Attempt).where(Attempt.subject == subject, Attempt.failures > 0)
                await session.execute(row.values(failures=Attempt.failures - 1, blocked_until_ms=now_ms))

    async def forget(self, session: AsyncSession, email: str) -> None:
        """Forget what was counted for an e-mail address: its owner has proven to be that."""
        await session.execute(delete(Attempt).where(Attempt.subject == f"sign-in e-mail {_hidden(email)}"))


async def purge(database: Database, now_ms: int) -> int:
    """Delete what does not count any more; returns how much there was."""
    over = Attempt.seen_at_ms < now_ms - FORGOTTEN_MS
    async with database.session() as session:
        return len((await session.scalars(delete(Attempt).where(over).returning(Attempt.subject))).all())


async def _locked(session: AsyncSession, subjects: Subjects, now_ms: int) -> list[Attempt]:
    """The rows of the subjects, made if need be, and nobody else's until the transaction ends; always in the same order."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    rows = [{"subject": subject, "failures": 0, "blocked_until_ms": 0, "seen_at_ms": now_ms} for subject in sorted(subjects)]
    await session.execute(insert(Attempt).values(rows).on_conflict_do_nothing())
    query = select(Attempt).where(Attempt.subject.in_(subjects)).order_by(Attempt.subject).with_for_update()
    return list((await session.scalars(query)).all())


def _left_ms(row: Attempt, now_ms: int) -> int:
    """How long the subject still waits."""
    return row.blocked_until_ms - now_ms if row.seen_at_ms - _SKEW_MS <= now_ms else 0


def _of_address(what: str, address: str, schedule: Schedule) -> Subjects:
    return {f"{what} address {_network(address)}": schedule} if address else {}


def _hidden(email: str) -> str:
    """What is kept of an address that someone typed: it may be their password."""
    return hashlib.sha256(email.strip().lower().encode(errors="surrogatepass")).hexdigest()


def _network(address: str) -> str:
    """The address; of IPv6 the network, all of which one customer has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 6:
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
