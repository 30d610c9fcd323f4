"""Repeats: a request with an `Idempotency-Key` is carried out once, however often it is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts import models
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError

KEPT_MS = 24 * 3600 * 1000
"""How long an answer is kept for repeats."""
KEY_LIMIT = 255
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Repeat:
    """What tells a request from others: who sent it, its key (None: it has none), and a digest of all it asks for."""

    account_id: str
    key: str | None
    digest: bytes


UNREPEATED = Repeat("", None, b"")
"""A request without a key, as from the command line."""


class Repeats:
    """The answers that are kept in one database."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def once(self, repeat: Repeat, act: Callable[[AsyncSession], Awaitable[T]], kind: type[T]) -> T:
        """What `act` returns; what it returned the first time, without another act, when the request was sent before.

        The act and its answer are committed in one transaction: after a crash there are both or neither, and of
        requests sent at once the others wait for the first. An act that raises leaves nothing behind, and may be repeated.
        `kind` is the type of the answer: one that msgspec writes and reads as JSON (a Struct, a dataclass, a dict).
        Raises PenstockError `idempotency_conflict` when the key was used for another request.
        """
        async with self._database.session() as session:
            if repeat.key is None:
                return await act(session)
            if not await self._claim(session, repeat):
                return await _recall(session, repeat, kind)
            answer = await act(session)
            row = await session.get_one(models.Repeat, (repeat.account_id, repeat.key))
            row.answer = msgspec.json.encode(answer).decode()
        return answer

    async def _claim(self, session: AsyncSession, repeat: Repeat) -> bool:
        """Whether this is the first with its key. Waits for one that is under way."""
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        row: dict[str, Any] = {"account_id": repeat.account_id, "key": repeat.key, "request_digest": repeat.digest, "answer": ""}
        row["created_at_ms"] = self._now_ms()
        claim = insert(models.Repeat).values(row).on_conflict_do_nothing().returning(models.Repeat.key)
        return await session.scalar(claim) is not None


async def _recall(session: AsyncSession, repeat: Repeat, kind: type[T]) -> T:
    query = select(models.Repeat).where(models.Repeat.account_id == repeat.account_id, models.Repeat.key == repeat.key)
    row = (await session.scalars(query)).one()
    if row.request_digest != repeat.digest:
        message = "This idempotency key was used for another request. Use a fresh one for every new request."
        raise PenstockError("idempotency_conflict", message, param="idempotency-key")
    return msgspec.json.decode(row.answer, type=kind)


async def purge(database: Database, now_ms: int) -> int:
    """Delete the answers that are not kept any longer; returns how many there were."""
    over = models.Repeat.created_at_ms < now_ms - KEPT_MS
    async with database.session() as session:
        return len((await session.scalars(delete(models.Repeat).where(over).returning(models.Repeat.key))).all())
