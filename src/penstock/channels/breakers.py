"""Shared breakers: what one process has found out about a channel, all of them know within a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from sqlalchemy import delete, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.channels.models import BreakerRow
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed, bump
from penstock.kit.tasks import finish, happened, spawn
from penstock.upstream.breaker import FORGET_S, Breakers, State
from penstock.upstream.channel import Channel

REVISION = "breakers"
GATHER_S = 0.1
"""Changes are gathered for so long and written together."""
LOOK_S = 0.5
"""How often it is seen whether there are other channels."""
RETRY_S = 1.0
STOP_S = 2.0
MODEL_LIMIT = 256
REASON_LIMIT = 200
ROWS = 200
"""Of one statement."""
OPEN = "open"
AHEAD_MS = 60_000
"""A row that is further ahead of the clock than this is from before it was set back."""
_log = logging.getLogger("penstock.channels")

Whose = tuple[str, str]
"""The channel's id (its name, for one from settings) and its credential's."""


class SharedBreakers:
    """The breakers of this process's channels, and what others say of theirs. One per process.

    Nobody waits for it, and without the database each process knows what it has seen itself. Which request is let through to see
    how things are is each process's own business. `channels` gives those that there are now.
    """

    def __init__(self, database: Database, feed: Feed, channels: Callable[[], Iterable[Channel]]) -> None:
        self._database = database
        self._feed = feed
        self._channels = channels
        self._seen: Iterable[Channel] | None = None
        self._known: dict[Whose, Breakers] = {}
        self._changes: dict[tuple[str, str, str], int] = {}
        """What has changed here and is not written yet, by channel, credential and model; and when, in milliseconds."""
        self._own: dict[Whose, set[str]] = {}
        """The models whose open breakers were written by this process."""
        self._stale = True
        self._away = False
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to tell others, and to listen to them."""
        self.look()
        self._task = spawn(self._keep_up(), name="breakers")
        self._feed.follow(REVISION, self._others_changed)

    async def stop(self) -> None:
        """Stop; harmless when not started."""
        self._stopping.set()
        self._wake.set()
        await finish(self._task, STOP_S)
        self._task = None

    def look(self) -> None:
        """See which channels there are. Done by itself twice a second; to be called when they have changed, so that it is done at once."""
        channels = self._channels()
        if channels is self._seen:
            return
        self._seen = channels
        known: dict[Whose, Breakers] = {}
        for channel in channels:
            whose = whose_of(channel)
            if whose in known:
                continue
            breakers = known[whose] = channel.breakers
            if self._known.get(whose) is not breakers:
                breakers.changed = partial(self._changed, whose)
                # The channel goes elsewhere now: what this process has written of it may have come too late to be deleted with that.
                for model in {state.model for state in breakers.states()} | self._own.pop(whose, set()):
                    self._changed(whose, model)
                self._stale = True
                self._wake.set()
        self._known = known
        self._own = {whose: models for whose, models in self._own.items() if whose in known and models}

    def _changed(self, whose: Whose, model: str) -> None:
        if len(model) <= MODEL_LIMIT and (not model or model.isprintable()):
            self._changes[*whose, model] = time.time_ns() // 1_000_000
            self._wake.set()

    def _others_changed(self) -> None:
        self._stale = True
        self._wake.set()

    async def _keep_up(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)
            self.look()
            if not self._wake.is_set():
                continue
            if self._changes:
                await happened(self._stopping, GATHER_S)
            self._wake.clear()
            try:
                await self._write()
                if self._stale:
                    self._stale = False
                    await self._read()
                self._away = False
            except DatabaseAway as failure:
                if not self._away:
                    _log.warning("breakers are not shared while the database is away: %s", failure)
                self._away = self._stale = True
                await happened(self._stopping, RETRY_S)
                self._wake.set()

    async def _write(self) -> None:
        """Write what has changed here. Raises DatabaseAway, and keeps it for the next time then."""
        changes, self._changes = self._changes, {}
        opened, closed = [], []
        for (channel_id, credential_id, model), at_ms in changes.items():
            breakers = self._known.get((channel_id, credential_id))
            state = next((state for state in breakers.states() if state.model == model), None) if breakers is not None else None
            self._own.setdefault((channel_id, credential_id), set()).discard(model)
            if state is not None:
                self._own[channel_id, credential_id].add(model)
                opened.append(_row(channel_id, credential_id, state))
            elif breakers is not None:
                closed.append((channel_id, credential_id, model, at_ms))
        if not opened and not closed:
            return
        try:
            async with self._database.session() as session:
                for at in range(0, len(opened), ROWS):
                    await _put(session, opened[at : at + ROWS])
                for at in range(0, len(closed), ROWS):
                    await _remove(session, closed[at : at + ROWS])
                await session.execute(delete(BreakerRow).where(BreakerRow.until_ms < _forgotten_ms()))
                await bump(session, REVISION)
        except BaseException:
            self._changes = changes | self._changes
            raise

    async def _read(self) -> None:
        """Learn what others know. Raises DatabaseAway."""
        async with self._database.session(read_only=True) as session:
            rows = (await session.scalars(select(BreakerRow).where(BreakerRow.until_ms >= _forgotten_ms()))).all()
        found: dict[Whose, list[State]] = {}
        for row in rows:
            state = State(row.model, row.at_ms / 1000, row.until_ms / 1000, row.failures, row.reason)
            found.setdefault((row.channel_id, row.credential_id), []).append(state)
        newer: dict[Whose, set[str]] = {}
        for channel_id, credential_id, model in self._changes:
            newer.setdefault((channel_id, credential_id), set()).add(model)
        for whose, breakers in self._known.items():
            states = found.get(whose, ())
            if states or breakers.troubled:
                breakers.load(states, newer.get(whose, ()))


def whose_of(channel: Channel) -> Whose:
    """Whose breakers they are, in the table."""
    return channel.terms.id or channel.name, channel.terms.credential_id


def _forgotten_ms() -> int:
    return int((time.time() - FORGET_S) * 1000)


def _row(channel_id: str, credential_id: str, state: State) -> dict[str, str | int]:
    return {
        "channel_id": channel_id,
        "credential_id": credential_id,
        "model": state.model,
        "state": OPEN,
        "until_ms": round(state.until_s * 1000),
        "failures": state.failures,
        "reason": state.reason[:REASON_LIMIT],
        "at_ms": round(state.at_s * 1000),
    }


async def _put(session: AsyncSession, rows: list[dict[str, str | int]]) -> None:
    """Write open breakers over older ones."""
    insert = (postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert)(BreakerRow)
    fresh = {name: insert.excluded[name] for name in ("state", "until_ms", "failures", "reason", "at_ms")}
    at_ms = insert.excluded["at_ms"]
    older = or_(BreakerRow.at_ms <= at_ms, BreakerRow.at_ms > at_ms + AHEAD_MS)
    done = insert.values(rows).on_conflict_do_update(index_elements=["channel_id", "credential_id", "model"], set_=fresh, where=older)
    await session.execute(done)


async def _remove(session: AsyncSession, closed: list[tuple[str, str, str, int]]) -> None:
    """Remove breakers that have closed, but for those that others have opened since."""
    keys = tuple_(BreakerRow.channel_id, BreakerRow.credential_id, BreakerRow.model)
    latest_ms = max(at_ms for *_, at_ms in closed)
    older = or_(BreakerRow.at_ms <= latest_ms, BreakerRow.at_ms > latest_ms + AHEAD_MS)
    await session.execute(delete(BreakerRow).where(keys.in_([key[:3] for key in closed]), older))
