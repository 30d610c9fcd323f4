"""What the relay sees of channels: those that there are now, one after the other, for it to choose from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from penstock.catalog.door import official_models
from penstock.channels.configured import channels_from
from penstock.channels.loading import Loader, Maker, Turn
from penstock.channels.pools import Pools
from penstock.channels.roster import Listed, Roster
from penstock.channels.service import REVISION
from penstock.infra.catching_up import CatchUp
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed
from penstock.infra.secrets import Secrets
from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.channel import Channel

__all__ = ("ChannelDoor", "Listed", "Roster")

_log = logging.getLogger("penstock.channels")


class ChannelDoor:
    """The channels of this process: those from settings, then those of the rows by priority and name.

    Between `start` and `stop` it follows what is changed, by whichever process. Each change puts another tuple into `channels`,
    whole; `on_change` is called after that. Exchanges that run keep the channel they have. `problems` says of channels that cannot
    be used why, by id. Where clients come with the providers' own credentials there are none of the rows.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        secrets: Secrets,
        pulse: Pulse,
        feed: Feed,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.channels: tuple[Channel, ...] = ()
        self.problems: Mapping[str, str] = {}
        self.secrets = secrets
        self.pulse = pulse
        self.pools = Pools(settings, pulse)
        self.on_change = on_change
        self._settings = settings
        self._loader = Loader(database, Maker(settings, secrets, self.pools))
        self._configured: tuple[Channel, ...] = ()
        self._roster: tuple[tuple[Channel, ...], Roster] | None = None
        self._changes = CatchUp(feed, REVISION, self._load)

    async def start(self, demo_port: int | None = None) -> None:
        """Make the channels of the settings, read the rows, and follow them. While the database is away there are none of the rows.

        Raises ValueError for settings that cannot be used.
        """
        self._configured = self.channels = channels_from(self._settings, self.pools, demo_port)
        behind = False
        try:
            await self._load()
        except DatabaseAway as away:
            _log.warning("channels cannot be read while the database is away: %s", away)
            behind = True
        self._changes.start(behind=behind)

    async def stop(self) -> None:
        """Stop following, and close all connections to providers; harmless when not started."""
        await self._changes.stop()
        self.pools.close()

    @property
    def known_roster(self) -> Roster | None:
        """The roster, if it is made already."""
        return self._roster[1] if self._roster is not None and self._roster[0] is self.channels else None

    async def roster(self) -> Roster:
        """Every model that the channels serve by name; made when it is first asked for after a change."""
        known = self.known_roster
        if known is None:
            channels = self.channels
            known = await asyncio.to_thread(Roster, channels, self._settings.rewrites, official_models)
            self._roster = channels, known
        return known

    async def _load(self) -> None:
        if self._settings.transparent:
            return  # nobody shows a key of ours here, and the operator's credentials are not for everybody
        known = await self._loader.load()
        for channel in self._configured:
            channel.offers = known.offers.get(channel.name) or None
        self.problems = known.problems
        left = list(self.channels)
        self.channels = (*self._configured, *known.channels)
        self.pools.keep(channel.pool for channel in self.channels)
        self.on_change()
        turn = Turn()
        while left:  # to let go of thousands of models takes a while, too
            left.pop()
            await turn.over()
