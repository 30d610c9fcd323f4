"""Loading: rows of channels made into channels that can be written to; only what has changed is read again, a little at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from sqlalchemy import Text, select
from sqlalchemy import cast as as_type

from penstock.channels.configured import SHARES
from penstock.channels.models import ChannelRow, CredentialRow, DiscoveryRow
from penstock.channels.pools import Pools, Way, limits_of
from penstock.channels.service import about_credential, about_headers, about_proxy
from penstock.infra.database import Database
from penstock.infra.secrets import Secrets
from penstock.kit.errors import PenstockError
from penstock.settings import Settings
from penstock.upstream.channel import Channel, Terms
from penstock.upstream.names import Names
from penstock.upstream.offers import Offer
from penstock.upstream.providers import PROVIDERS

ROWS = 4
"""Channels that are read at a time: each may have thousands of models."""
SLICE_S = 0.002
"""How long the loop is kept at most before others have their turn."""
_log = logging.getLogger("penstock.channels")
_PAIRS = msgspec.json.Decoder(list[tuple[str, str | None]])
_OFFERS = msgspec.json.Decoder(list[Offer])


class Known(NamedTuple):
    """What is to be had of the rows now: channels in order, and why some cannot be used, by id."""

    channels: tuple[Channel, ...]
    problems: Mapping[str, str]
    offers: Mapping[str, Mapping[str, Offer]]
    """By the id of the channel: what its provider offers, by name."""


@dataclass
class _Kept:
    """A row as it was read."""

    revision: int
    order: tuple[int, str]
    channels: list[Channel] = field(default_factory=list)
    problem: str = ""
    ways: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """Where each credential is sent, how and with what: when that changes, what has failed before says nothing."""


class Turn:
    """Gives others their turn when a slice of the loop's time is over."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()

    async def over(self) -> None:
        """Wait for the others if it is."""
        if time.perf_counter() - self._began_s > SLICE_S:
            await asyncio.sleep(0)
            self._began_s = time.perf_counter()


class Maker:
    """Makes channels of a row and its credentials."""

    def __init__(self, settings: Settings, secrets: Secrets, pools: Pools) -> None:
        self._settings = settings
        self._secrets = secrets
        self.pools = pools

    def make(self, row: ChannelRow, credentials: Sequence[CredentialRow], names: Names) -> list[Channel]:
        """One channel for each of the credentials, or one where the provider needs none. Raises PenstockError and ValueError."""
        provider = PROVIDERS.get(row.provider)
        if provider is None:
            raise ValueError(f"there is no provider '{row.provider}' in this version of Penstock")
        if not credentials and provider.needs_secret:
            raise ValueError("it has no credential that is enabled")
        pool = self.pools.get(
            Way(
                Channel.origin(row.base_url),
                limits_of(self._settings, row.timeouts),
                None if row.proxy_sealed is None else self._secrets.open(row.proxy_sealed, about_proxy(row.id)),
                row.allow_private,
            )
        )
        headers = self._headers(row)
        share = row.weight and max(1, row.weight * SHARES // max(1, len(credentials)))
        found = []
        for credential in credentials or (None,):
            terms = Terms(
                id=row.id,
                credential_id="" if credential is None else credential.id,
                hint="" if credential is None else credential.hint,
                priority=row.priority,
                weight=share,
                wires=None if row.wires is None else tuple(row.wires),
                headers=headers,
                options=row.options,
                cost_micro=row.cost_micro,
                tags=tuple(row.tags),
                on_disconnect="drain" if (row.on_disconnect or self._settings.on_disconnect) == "drain" else "cancel",
            )
            secret = None if credential is None else self._secrets.open(credential.secret_sealed, about_credential(credential.id))
            found.append(Channel(row.name, provider, row.base_url, pool, secret=secret, names=names, terms=terms))
        return found

    def _headers(self, row: ChannelRow) -> tuple[tuple[bytes, bytes], ...]:
        if row.headers_sealed is None:
            return ()
        headers: dict[str, str] = json.loads(self._secrets.open(row.headers_sealed, about_headers(row.id)))
        return tuple((name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items())


class Loader:
    """The channels of the rows, as they were when they were last read. One per process; `load` is called by one task at a time."""

    def __init__(self, database: Database, maker: Maker) -> None:
        self._database = database
        self._maker = maker
        self._kept: dict[str, _Kept] = {}
        self._offers: dict[str, tuple[int, Mapping[str, Offer]]] = {}

    async def load(self) -> Known:
        """Read what has changed. Raises DatabaseAway, and has changed nothing then."""
        turn = Turn()
        async with self._database.session(read_only=True) as session:
            revisions = {row.id: row for row in await session.execute(select(ChannelRow.id, ChannelRow.revision, ChannelRow.enabled))}
            told = {row.channel_id: row.at_ms for row in await session.execute(select(DiscoveryRow.channel_id, DiscoveryRow.at_ms))}
        kept = {each: old for each, old in self._kept.items() if each in revisions and revisions[each].enabled}
        changed = [each for each, row in revisions.items() if row.enabled and (each not in kept or kept[each].revision != row.revision)]
        names: dict[str, Names] = {}
        for at in range(0, len(changed), ROWS):
            kept.update(await self._read(changed[at : at + ROWS], names, turn))
        offers = {each: old for each, old in self._offers.items() if told.get(each) == old[0]}
        for channel_id in [each for each in told if each not in offers]:
            offers[channel_id] = (told[channel_id], await self._read_offers(channel_id))
            await turn.over()
        self._kept, self._offers = kept, offers
        return await self._known(turn)

    async def _read(self, ids: Sequence[str], names: dict[str, Names], turn: Turn) -> dict[str, _Kept]:
        async with self._database.session(read_only=True) as session:
            rows = (await session.execute(select(ChannelRow, as_type(ChannelRow.models, Text)).where(ChannelRow.id.in_(ids)))).all()
            mine = select(CredentialRow).where(CredentialRow.channel_id.in_(ids), CredentialRow.enabled)
            credentials = (await session.scalars(mine.order_by(CredentialRow.created_at_ms, CredentialRow.id))).all()
        found = {}
        for row, models in rows:
            if models not in names:  # many channels of one list share it
                names[models] = Names(_PAIRS.decode(models))
            made = _Kept(row.revision, (-row.priority, row.name))
            try:
                made.channels = self._maker.make(row, [each for each in credentials if each.channel_id == row.id], names[models])
            except PenstockError as refused:
                made.problem = refused.message
            except ValueError as wrong:
                made.problem = str(wrong)
            if made.problem:
                _log.error("the channel %s cannot be used: %s", row.name, made.problem)
            way = (row.base_url, row.proxy_sealed, row.allow_private, row.headers_sealed, row.options)
            made.ways = {each.id: (*way, each.secret_sealed) for each in credentials if each.channel_id == row.id} or {"": way}
            if (old := self._kept.get(row.id)) is not None:
                _carry_over(old, made)
            found[str(row.id)] = made
            await turn.over()
        return found

    async def _read_offers(self, channel_id: str) -> Mapping[str, Offer]:
        async with self._database.session(read_only=True) as session:
            raw = await session.scalar(select(as_type(DiscoveryRow.offers, Text)).where(DiscoveryRow.channel_id == channel_id))
        return {offer.name: offer for offer in _OFFERS.decode(raw or "[]")}

    async def _known(self, turn: Turn) -> Known:
        channels: list[Channel] = []
        for channel_id, made in sorted(self._kept.items(), key=lambda pair: pair[1].order):
            found = self._offers.get(channel_id)
            offers = found[1] if found is not None and found[1] else None
            for channel in made.channels:
                channel.offers = offers
            channels += made.channels
            await turn.over()
        problems = {channel_id: made.problem for channel_id, made in self._kept.items() if made.problem}
        return Known(tuple(channels), problems, {channel_id: found[1] for channel_id, found in self._offers.items()})


def _carry_over(old: _Kept, made: _Kept) -> None:
    """What has failed of late stays known, where it is still the same that is called."""
    breakers = {channel.terms.credential_id: channel.breakers for channel in old.channels}
    for channel in made.channels:
        credential_id = channel.terms.credential_id
        if credential_id in breakers and old.ways.get(credential_id) == made.ways.get(credential_id):
            channel.breakers = breakers[credential_id]
