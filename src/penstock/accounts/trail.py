"""The audit trail: what someone did that others must be able to find out, written in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.models import Event
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.ids import new_id
from penstock.kit.pages import Page, Place, cut


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for; None means all."""

    account_id: str | None = None
    actor: str | None = None
    action: str | None = None


class Trail:
    """The audit trail of one database."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def note(
        self,
        session: AsyncSession,
        who: Identity,
        action: str,
        subject: str,
        *,
        account_id: str | None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Note what `who` does in this transaction: with it, or not at all.

        `action` is as in `key.create`; `subject` the id of what it is done to, `account_id` whose thing that is. `detail` is JSON,
        and holds neither secrets nor what identifies a person: it stays when an account is deleted.
        """
        now_ms = self._now_ms()
        session.add(
            Event(
                id=new_id("evt", now_ms),
                at_ms=now_ms,
                actor="cli" if who.via == "cli" else who.account_id,
                via=who.via,
                address=who.address,
                action=action,
                account_id=account_id,
                subject=subject,
                detail=dict(detail or {}),
            )
        )

    async def list(self, wanted: Wanted = Wanted(), place: Place = Place()) -> Page[Event]:  # noqa: B008  both are frozen
        """A page of events, newest first."""
        query = select(Event).order_by(Event.id.desc()).limit(place.limit + 1)
        if place.after is not None:
            query = query.where(Event.id < place.after)
        for name in ("account_id", "actor", "action"):
            value = getattr(wanted, name)
            if value is not None:
                query = query.where(getattr(Event, name) == value)
        async with self._database.session(read_only=True) as session:
            found = (await session.scalars(query)).all()
        return cut(found, place.limit, lambda event: event.id)
