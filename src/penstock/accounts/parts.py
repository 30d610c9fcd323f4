"""Parts: everything that accounts consist of in one process, made from the settings, and what has to be purged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock.accounts import repeats, sessions, throttle, tickets
from penstock.accounts.export import Exporter, Exports
from penstock.accounts.joining import Joining
from penstock.accounts.letters import Letters
from penstock.accounts.passwords import Passwords
from penstock.accounts.post import Post
from penstock.accounts.recovery import Recovery
from penstock.accounts.repeats import Repeats
from penstock.accounts.service import Accounts, Ending
from penstock.accounts.sessions import Sessions
from penstock.accounts.signing import Signing
from penstock.accounts.tickets import Tickets
from penstock.accounts.tiers import Tiers
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.infra.mail import Mail
from penstock.kit import clock
from penstock.settings import Settings


@dataclass(frozen=True, slots=True)
class Others:
    """What the domains above have to do with accounts: what they know of one, and what ends with one."""

    exporters: Sequence[Exporter] = ()
    endings: Sequence[Ending] = ()


class Parts:
    """The services of accounts, by the names that `app.state` has them under."""

    def __init__(
        self,
        database: Database,
        mail: Mail,
        settings: Settings,
        others: Others = Others(),
        now_ms: Callable[[], int] = clock.now_ms,
        passwords: Passwords | None = None,
    ) -> None:
        passwords = passwords or Passwords()
        self.post = Post(mail, letters_of(settings))
        self.accounts = Accounts(database, now_ms, passwords=passwords, endings=others.endings)
        self.sessions = Sessions(database, now_ms)
        self.signing = Signing(database, passwords, now_ms)
        self.joining = Joining(database, passwords, self.post, settings.registration, now_ms)
        self.recovery = Recovery(database, passwords, self.post, now_ms)
        self.tickets = Tickets(database, now_ms)
        self.tiers = Tiers(database, now_ms)
        self.trail = Trail(database, now_ms)
        self.repeats = Repeats(database, now_ms)
        self.exports = Exports(database, others.exporters)

    async def stop(self) -> None:
        """Send the letters that wait."""
        await self.post.finished()


def letters_of(settings: Settings) -> Letters:
    """Who writes letters, with links to where people find the gateway."""
    return Letters(settings.public_url or f"http://{settings.host}:{settings.port}")


async def purge(database: Database, now_ms: int) -> int:
    """Delete what is over: sessions, tickets, attempts to sign in, answers for repeats. Returns how many rows that were."""
    return sum([await part.purge(database, now_ms) for part in (sessions, tickets, throttle, repeats)])
