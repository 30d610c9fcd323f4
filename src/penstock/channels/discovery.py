"""Discovery: asking providers which models they have. What they said last is kept, and stays while they do not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from sqlalchemy import Text, select
from sqlalchemy import cast as as_type
from sqlalchemy.dialects import postgresql, sqlite

from penstock.channels.configured import channels_from, configured
from penstock.channels.models import ChannelRow, DiscoveryRow
from penstock.channels.service import REVISION, Channels
from penstock.channels.trial import LIST_LIMIT, opened
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.settings import Settings
from penstock.upstream.channel import Channel
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.client.fetch import Fetcher
from penstock.upstream.names import EVERY
from penstock.upstream.offers import Offer

WAIT_S = 60.0
LOOK_S = 60.0
"""How often is looked whether a provider is to be asked."""
AGAIN_S = 300.0
"""How long after a failure a provider is asked again, at the latest."""
OFFERS_LIMIT = 20_000
FAILURE_LIMIT = 500
_log = logging.getLogger("penstock.channels")


class Found(NamedTuple):
    """What has come of asking: how many models there are now, and why the provider did not answer, if it did not."""

    channel_id: str
    models: int
    failure: str | None = None


class Discovery:
    """Asks providers for their models and writes down what they say. One process of all does so now and then; `pulse` must beat."""

    def __init__(
        self, settings: Settings, database: Database, channels: Channels, pulse: Pulse, now_ms: Callable[[], int] = clock.now_ms
    ) -> None:
        self._settings = settings
        self._database = database
        self._channels = channels
        self._pulse = pulse
        self._now_ms = now_ms

    async def run(self) -> None:
        """Ask those whose turn it is."""
        if not self._settings.discover_s:
            return
        async with self._database.session(read_only=True) as session:
            rows = select(ChannelRow.id).where(ChannelRow.enabled, ChannelRow.discover)
            wanted: list[str] = list(await session.scalars(rows))
            told = {row.channel_id: row for row in await session.scalars(select(DiscoveryRow))}
        named = [found.provider.name for found in configured(self._settings) if found.secret is not None]
        for channel_id in [*named, *wanted]:
            last = told.get(channel_id)
            every_s = self._settings.discover_s if last is None or last.failure is None else min(AGAIN_S, self._settings.discover_s)
            if last is None or self._now_ms() - last.at_ms >= every_s * 1000:
                try:
                    await self.ask(channel_id)
                except PenstockError as gone:
                    _log.debug("the models of %s are not asked for: %s", channel_id, gone.message)

    async def ask(self, ref: str) -> Found:
        """Ask a channel's provider now, by the channel's id or name; one from settings by its name. Raises PenstockError `not_found`."""
        with opened(self._settings, self._channels.secrets, self._pulse) as maker:
            try:
                whole = await self._channels.get(ref)
            except PenstockError:
                named = (one for one in channels_from(self._settings, maker.pools, None) if one.name == ref)
                channel = next((one for one in named if not one.transparent), None)
                if channel is None:
                    raise
                return await self._note(ref, *await _ask(channel))
            channel_id = whole.row.id
            credentials = [each for each in whole.credentials if each.enabled]
            try:
                channel = maker.make(whole.row, credentials, EVERY)[0]
            except (PenstockError, ValueError) as unusable:
                return await self._note(channel_id, None, str(unusable))
            return await self._note(channel_id, *await _ask(channel))

    async def _note(self, channel_id: str, offers: list[Offer] | None, failure: str | None) -> Found:
        """Write down what was said; all processes are told if that is something new."""
        said = None if offers is None else _in_order(offers)
        async with self._database.session() as session:
            mine = select(as_type(DiscoveryRow.offers, Text)).where(DiscoveryRow.channel_id == channel_id)
            raw = await session.scalar(mine)
            before = [] if raw is None else msgspec.json.decode(raw, type=list[Offer])
            if failure is None and said is None:
                return Found(channel_id, 0, None)
            kept = before if said is None else said
            values = {"offers": msgspec.to_builtins(kept), "at_ms": self._now_ms(), "failure": failure}
            insert = postgresql.insert if self._database.path is None else sqlite.insert
            put = insert(DiscoveryRow).values(channel_id=channel_id, **values)
            await session.execute(put.on_conflict_do_update(index_elements=["channel_id"], set_=values))
            if kept != before:
                await bump(session, REVISION)
        if failure is not None:
            _log.warning("the models of channel %s could not be asked for: %s", channel_id, failure)
        return Found(channel_id, len(kept), failure)


def _in_order(offers: list[Offer]) -> list[Offer]:
    """Each model once, by name."""
    return sorted({offer.name: offer for offer in offers}.values(), key=lambda offer: offer.name)[:OFFERS_LIMIT]


async def _ask(channel: Channel) -> tuple[list[Offer] | None, str | None]:
    """What the provider offers, and why it does not say. Both None: it has no list."""
    try:
        async with asyncio.timeout(WAIT_S):
            return await channel.provider.discover(Fetcher(channel, None, LIST_LIMIT), channel.terms.options), None
    except TimeoutError:
        return None, f"no answer within {WAIT_S:g} seconds"
    except (UpstreamError, PenstockError, ValueError) as failure:
        return None, str(failure)[:FAILURE_LIMIT]
