"""What can be done with channels: make, list, change, switch on and off, delete, and their credentials. All processes see each change."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from penstock.accounts.identity import Identity
from penstock.accounts.trail import Trail
from penstock.channels.breakers import REVISION as BREAKERS
from penstock.channels.drafts import (
    Draft,
    allows_private,
    check_draft,
    check_secret,
    discovers,
    provider_of,
    settled_url,
    wrong,
)  # fmt: skip
from penstock.channels.models import BreakerRow, ChannelRow, CredentialRow, DiscoveryRow
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.infra.secrets import Secrets
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.pages import Page, Place, cut

REVISION = "channels"
CHANNELS_LIMIT = 10_000
CREDENTIALS_LIMIT = 200
"""Of one channel."""
LABEL_LIMIT = 100
HINT_LENGTH = 4
HINTED_LENGTH = 16
"""Secrets shorter than this have no hint: it would be too much of them."""
_TOLD = ("name", "base_url", "priority", "weight", "enabled", "cost_micro")
"""What the audit trail tells the new values of."""
_FRESH = frozenset(("base_url", "proxy", "allow_private", "headers", "options"))
"""When one of these has changed, what has failed before says nothing."""
_PLAIN = (
    "name", "base_url", "wires", "priority", "weight", "timeouts", "on_disconnect", "tags", "options", "cost_micro", "allow_private",
    "enabled", "discover",
)  # fmt: skip


class Told(NamedTuple):
    """What a provider has said of its models: how many there are, when it was last asked, and why it did not answer then."""

    models: int
    at_ms: int
    failure: str | None


class Whole(NamedTuple):
    """A channel with its credentials, oldest first, what its provider has said (None: it was not asked), and what has failed of late."""

    row: ChannelRow
    credentials: Sequence[CredentialRow]
    told: Told | None = None
    breakers: Sequence[BreakerRow] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """A credential that is given: its secret, and a label to know it by."""

    secret: str
    label: str = ""
    enabled: bool = True


def about_credential(credential_id: str) -> str:
    """What a credential's secret is sealed with."""
    return f"channel_credential/{credential_id}"


def about_proxy(channel_id: str) -> str:
    """What a channel's proxy is sealed with."""
    return f"channel.proxy/{channel_id}"


def about_headers(channel_id: str) -> str:
    """What a channel's headers are sealed with."""
    return f"channel.headers/{channel_id}"


class Channels:
    """The channels of one database. `ref` is the id of a channel or its name. Methods raise PenstockError and DatabaseAway."""

    def __init__(self, database: Database, secrets: Secrets, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._secrets = secrets
        self._now_ms = now_ms
        self._trail = Trail(database, now_ms)

    @property
    def secrets(self) -> Secrets:
        """What its secrets are sealed with."""
        return self._secrets

    async def create(self, who: Identity, draft: Draft, credentials: Sequence[Given] = ()) -> Whole:
        """A new channel with its credentials."""
        async with self.writing() as session:
            return await self.add(session, who, draft, credentials)

    async def add(self, session: AsyncSession, who: Identity, draft: Draft, credentials: Sequence[Given]) -> Whole:
        """The same in a transaction of the caller's that is made with `writing`."""
        provider = check_draft(draft)
        if len(credentials) > CREDENTIALS_LIMIT:
            raise wrong(f"A channel has at most {CREDENTIALS_LIMIT} credentials.", "credentials")
        now_ms = self._now_ms()
        row = ChannelRow(id=new_id("chn", now_ms), provider=provider.name, created_at_ms=now_ms, changed_at_ms=now_ms, revision=1)
        self._write(row, draft)
        session.add(row)
        rows = [self._credential(row, given) for given in credentials]
        await session.flush()
        session.add_all(rows)
        detail = {"name": row.name, "provider": row.provider, "base_url": row.base_url, "credentials": len(rows)}
        await self._trail.note(session, who, "channel.create", row.id, account_id=None, detail=detail)
        await session.flush()
        return Whole(row, rows)

    async def page(self, place: Place = Place()) -> Page[Whole]:  # noqa: B008  it is frozen
        """Some channels, by name."""
        query = _all().order_by(ChannelRow.name).limit(place.limit + 1)
        if place.after is not None:
            query = query.where(ChannelRow.name > place.after)
        async with self._database.session(read_only=True) as session:
            page = cut((await session.scalars(query)).all(), place.limit, lambda row: row.name)
            return Page(await _wholes(session, page.data), page.next)

    async def all(self) -> Sequence[Whole]:
        """All channels, by name."""
        async with self._database.session(read_only=True) as session:
            return await _wholes(session, (await session.scalars(_all().order_by(ChannelRow.name))).all())

    async def get(self, ref: str) -> Whole:
        """One channel."""
        async with self._database.session(read_only=True) as session:
            return (await _wholes(session, [await _find(session, ref)]))[0]

    def proxy_of(self, row: ChannelRow) -> str | None:
        """A channel's proxy, with its password; None if it has none, or one that cannot be opened."""
        try:
            return None if row.proxy_sealed is None else self._secrets.open(row.proxy_sealed, about_proxy(row.id))
        except PenstockError:
            return None

    def headers_of(self, row: ChannelRow) -> list[str]:
        """The names of a channel's headers; none where they cannot be opened."""
        try:
            return [] if row.headers_sealed is None else list(json.loads(self._secrets.open(row.headers_sealed, about_headers(row.id))))
        except PenstockError:
            return []

    async def change(self, who: Identity, ref: str, changes: Mapping[str, Any]) -> Whole:
        """Change what is given, by the names that a Draft has; the provider stays."""
        async with self.writing() as session:
            row = await self.apply(session, who, ref, changes)
            return (await _wholes(session, [row]))[0]

    async def apply(self, session: AsyncSession, who: Identity, ref: str, changes: Mapping[str, Any]) -> ChannelRow:
        """The same in a transaction of the caller's that is made with `writing`."""
        unknown = changes.keys() - {each.name for each in fields(Draft)} | changes.keys() & {"provider"}
        if unknown:
            raise wrong("The provider of a channel cannot be changed: make another channel.", next(iter(unknown)))
        row = await _find(session, ref, lock=True)
        # What is sealed is not opened, so that a channel can be mended whose key was lost.
        kept = Draft(provider=row.provider, models=pairs_of(row), **{name: getattr(row, name) for name in _PLAIN})
        draft = replace(kept, **changes)
        check_draft(draft)
        self._write(row, draft, only=changes.keys())
        if changes.keys() & _FRESH:
            await session.execute(delete(BreakerRow).where(BreakerRow.channel_id == row.id))
        shown = {name: changes[name] for name in _TOLD if name in changes}
        await self._changed(session, who, "channel.change", row, {"fields": sorted(changes), **shown})
        return row

    async def enable(self, who: Identity, ref: str) -> None:
        """Have it serve."""
        await self._switch(who, ref, enabled=True)

    async def disable(self, who: Identity, ref: str) -> None:
        """Have it serve nothing more; what runs goes on."""
        await self._switch(who, ref, enabled=False)

    async def _switch(self, who: Identity, ref: str, *, enabled: bool) -> None:
        async with self.writing() as session:
            row = await _find(session, ref, lock=True)
            if row.enabled != enabled:
                row.enabled = enabled
                await self._changed(session, who, "channel.enable" if enabled else "channel.disable", row)

    async def reset(self, who: Identity, ref: str, configured: Collection[str] = ()) -> None:
        """Have all that failed of late be asked again at once, by every process. `configured` are the names of channels from settings."""
        async with self._database.session() as session:
            if ref in configured and await session.scalar(select(ChannelRow.id).where(ChannelRow.name == ref)) is None:
                target = ref
            else:
                target = (await _find(session, ref)).id
            await session.execute(delete(BreakerRow).where(BreakerRow.channel_id == target))
            await self._trail.note(session, who, "channel.reset", target, account_id=None)
            await bump(session, BREAKERS)

    async def delete(self, who: Identity, ref: str) -> None:
        """Delete it, with its credentials."""
        async with self.writing() as session:
            row = await _find(session, ref, lock=True)
            for table in (CredentialRow, BreakerRow, DiscoveryRow):
                await session.execute(delete(table).where(table.channel_id == row.id))
            await self._changed(session, who, "channel.delete", row, {"name": row.name, "provider": row.provider})
            await session.delete(row)

    async def add_credential(self, who: Identity, ref: str, given: Given) -> CredentialRow:
        """Give a channel one more credential."""
        async with self.writing() as session:
            return await self.give(session, who, ref, given)

    async def give(self, session: AsyncSession, who: Identity, ref: str, given: Given) -> CredentialRow:
        """The same in a transaction that is made with `writing`."""
        row = await _find(session, ref, lock=True)
        count = len((await session.scalars(select(CredentialRow.id).where(CredentialRow.channel_id == row.id))).all())
        if count >= CREDENTIALS_LIMIT:
            raise PenstockError("conflict", f"A channel has at most {CREDENTIALS_LIMIT} credentials. Remove one first.")
        credential = self._credential(row, given)
        session.add(credential)
        await self._changed(session, who, "channel.credential.add", row, {"credential": credential.id})
        return credential

    async def change_credential(self, who: Identity, ref: str, credential_id: str, changes: Mapping[str, Any]) -> CredentialRow:
        """Replace its `secret`, its `label`, or switch it by `enabled`."""
        async with self.writing() as session:
            return await self.renew(session, who, ref, credential_id, changes)

    async def renew(self, session: AsyncSession, who: Identity, ref: str, credential_id: str, changes: Mapping[str, Any]) -> CredentialRow:
        """The same in a transaction that is made with `writing`."""
        row = await _find(session, ref, lock=True)
        credential = await _find_credential(session, row, credential_id)
        if "secret" in changes:
            self._seal(row, credential, changes["secret"])
            await _forget_breakers(session, row, credential)
        if "label" in changes:
            credential.label = check_label(changes["label"])
        if "enabled" in changes:
            credential.enabled = changes["enabled"]
        await self._changed(session, who, "channel.credential.change", row, {"credential": credential.id, "fields": sorted(changes)})
        return credential

    async def remove_credential(self, who: Identity, ref: str, credential_id: str) -> None:
        """Remove a credential."""
        async with self.writing() as session:
            row = await _find(session, ref, lock=True)
            credential = await _find_credential(session, row, credential_id)
            await _forget_breakers(session, row, credential)
            await session.delete(credential)
            await self._changed(session, who, "channel.credential.remove", row, {"credential": credential_id})

    def _write(self, row: ChannelRow, draft: Draft, only: Collection[str] | None = None) -> None:
        """Write a checked draft, or those fields `only`, into a row."""
        provider = provider_of(draft.provider)
        values = {
            **{name: getattr(draft, name) for name in _PLAIN},
            "base_url": settled_url(draft, provider),
            "wires": None if draft.wires is None else list(draft.wires),
            "models": [list(pair) for pair in draft.models],
            "timeouts": dict(draft.timeouts),
            "tags": list(draft.tags),
            "options": dict(draft.options),
            "allow_private": allows_private(draft, provider),
            "discover": discovers(draft),
        }
        for name, value in values.items():
            if only is None or name in only:
                setattr(row, name, value)
        if only is None or "proxy" in only:
            row.proxy_sealed = None if draft.proxy is None else self._secrets.seal(draft.proxy, about_proxy(row.id))
        if only is None or "headers" in only:
            row.headers_sealed = self._secrets.seal(json.dumps(dict(draft.headers)), about_headers(row.id)) if draft.headers else None

    def _credential(self, row: ChannelRow, given: Given) -> CredentialRow:
        now_ms = self._now_ms()
        label = check_label(given.label)
        credential = CredentialRow(id=new_id("crd", now_ms), channel_id=row.id, label=label, enabled=given.enabled, created_at_ms=now_ms)
        self._seal(row, credential, given.secret)
        return credential

    def _seal(self, row: ChannelRow, credential: CredentialRow, secret: str) -> None:
        secret = check_secret(provider_of(row.provider), secret)
        credential.secret_sealed = self._secrets.seal(secret, about_credential(credential.id))
        credential.hint = secret[-HINT_LENGTH:] if len(secret) >= HINTED_LENGTH else ""

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that changes channels: all processes are told. Raises PenstockError `conflict` for a name that is taken."""
        try:
            async with self._database.session() as session:
                yield session
                await bump(session, REVISION)
        except IntegrityError as broken:
            raise PenstockError("conflict", "There is a channel of that name already.", param="name") from broken

    async def _changed(
        self, session: AsyncSession, who: Identity, action: str, row: ChannelRow, detail: Mapping[str, Any] | None = None
    ) -> None:
        row.revision += 1
        row.changed_at_ms = self._now_ms()
        await self._trail.note(session, who, action, row.id, account_id=None, detail=detail)
        await session.flush()


async def has_channels(database: Database) -> bool:
    """Whether there is any channel in the database."""
    async with database.session(read_only=True) as session:
        return (await session.scalar(select(ChannelRow.id).limit(1))) is not None


def pairs_of(row: ChannelRow) -> list[tuple[str, str | None]]:
    """The models of a channel, whose row was read with them."""
    return [(str(public), served) for public, served in row.models]


def check_label(label: str) -> str:
    """A credential's label. Raises PenstockError for one that cannot be."""
    if len(label) > LABEL_LIMIT or not (label.isprintable() or not label):
        raise wrong(f"A label has at most {LABEL_LIMIT} printable characters.", "label")
    return label


def _all() -> Select[ChannelRow]:
    return select(ChannelRow).options(undefer(ChannelRow.models))


async def _wholes(session: AsyncSession, rows: Sequence[ChannelRow]) -> list[Whole]:
    ids = [row.id for row in rows]
    credentials: dict[str, list[CredentialRow]] = {each: [] for each in ids}
    found = select(CredentialRow).where(CredentialRow.channel_id.in_(ids)).order_by(CredentialRow.created_at_ms, CredentialRow.id)
    for credential in await session.scalars(found):
        credentials[credential.channel_id].append(credential)
    count = func.json_array_length(DiscoveryRow.offers)  # there may be thousands
    said = select(DiscoveryRow.channel_id, count, DiscoveryRow.at_ms, DiscoveryRow.failure).where(DiscoveryRow.channel_id.in_(ids))
    told = {channel_id: Told(*rest) for channel_id, *rest in (await session.execute(said)).all()}
    failed: dict[str, list[BreakerRow]] = {each: [] for each in ids}
    for breaker in await session.scalars(select(BreakerRow).where(BreakerRow.channel_id.in_(ids)).order_by(BreakerRow.at_ms)):
        failed[breaker.channel_id].append(breaker)
    return [Whole(row, credentials[row.id], told.get(row.id), failed[row.id]) for row in rows]


async def _find(session: AsyncSession, ref: str, *, lock: bool = False) -> ChannelRow:
    query = _all().where(or_(ChannelRow.id == ref, ChannelRow.name == ref)).order_by((ChannelRow.id == ref).desc())
    row = (await session.scalars(query.with_for_update() if lock else query)).first()
    if row is None:
        raise PenstockError("not_found", f"There is no channel '{ref[:200]}'.")
    return row


async def _find_credential(session: AsyncSession, row: ChannelRow, credential_id: str) -> CredentialRow:
    credential = await session.get(CredentialRow, credential_id)
    if credential is None or credential.channel_id != row.id:
        raise PenstockError("not_found", f"The channel '{row.name}' has no credential '{credential_id[:200]}'.")
    return credential


async def _forget_breakers(session: AsyncSession, row: ChannelRow, credential: CredentialRow) -> None:
    await session.execute(delete(BreakerRow).where(BreakerRow.channel_id == row.id, BreakerRow.credential_id == credential.id))
