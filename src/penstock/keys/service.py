"""What can be done with keys: make, list, disable, enable, rotate, delete; each change is seen by all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.keys.models import Key
from penstock.kit import clock, globs, tokens
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id

REVISION = "keys"
NAME_LIMIT = 200
_ID_PREFIX = "key_"

Kind = Literal["key", "team"]


class Made(NamedTuple):
    """A key and its token, which is shown this once and kept nowhere."""

    key: Key
    token: str


class Keys:
    """The keys of one database.

    `ref` is the id or the name of a key that is not deleted. Methods raise PenstockError (`not_found`,
    `invalid_request`) and DatabaseAway.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def create(
        self,
        name: str,
        *,
        models: Sequence[str] | None = None,
        expires_at_ms: int | None = None,
        record: bool = False,
        kind: Kind = "key",
        token: str | None = None,
    ) -> Made:
        """A new key. `models` are globs, None meaning all; `token` is one made elsewhere, None makes one of that kind."""
        now_ms = self._now_ms()
        _check_name(name)
        _check_models(models)
        self._check_expiry(expires_at_ms)
        token = _token(kind) if token is None else token
        if not tokens.plausible(token.encode()):
            raise PenstockError("invalid_request", "The token has neither of the forms that tokens have here.", param="token")
        prefix, last_four = tokens.shown(token)
        key = Key(
            id=new_id("key", now_ms),
            name=name,
            kind=kind,
            digest=tokens.digest(token.encode()),
            prefix=prefix,
            last_four=last_four,
            models=None if models is None else list(models),
            record=record,
            created_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
        )
        try:
            async with self._database.session() as session:
                session.add(key)
                await bump(session, REVISION)
        except IntegrityError as broken:
            param = "token" if "digest" in str(broken.orig) else "name"
            raise PenstockError("invalid_request", f"There is a key with this {param} already.", param=param) from broken
        return Made(key, token)

    async def list(self) -> Sequence[Key]:
        """All keys that are not deleted, oldest first."""
        async with self._database.session(read_only=True) as session:
            found = await session.scalars(select(Key).where(Key.deleted_at_ms.is_(None)).order_by(Key.created_at_ms, Key.id))
            return found.all()

    async def get(self, ref: str) -> Key:
        """One key."""
        async with self._database.session(read_only=True) as session:
            return await _find(session, ref)

    async def disable(self, ref: str) -> Key:
        """Refuse the key until it is enabled again."""

        def change(key: Key) -> None:
            key.disabled_at_ms = key.disabled_at_ms or self._now_ms()

        return await self._change(ref, change)

    async def enable(self, ref: str) -> Key:
        """Accept a disabled key again."""

        def change(key: Key) -> None:
            key.disabled_at_ms = None

        return await self._change(ref, change)

    async def rotate(self, ref: str, *, grace_s: int = 0, expires_at_ms: int | None = None) -> Made:
        """Give the key a new token. The one it had works for `grace_s` more; one from an earlier rotation dies at once.

        `expires_at_ms`, where given, becomes the key's expiry.
        """
        self._check_expiry(expires_at_ms)
        made: list[str] = []

        def change(key: Key) -> None:
            token = _token(key.kind)
            key.old_digest, key.old_until_ms = (key.digest, self._now_ms() + grace_s * 1000) if grace_s else (None, None)
            key.digest = tokens.digest(token.encode())
            key.prefix, key.last_four = tokens.shown(token)
            if expires_at_ms is not None:
                key.expires_at_ms = expires_at_ms
            made.append(token)

        return Made(await self._change(ref, change), made[0])

    async def delete(self, ref: str) -> Key:
        """Forget the key's tokens and free its name. The row stays, so that its charges still have a name."""

        def change(key: Key) -> None:
            key.deleted_at_ms = self._now_ms()
            key.digest = key.old_digest = key.old_until_ms = None

        return await self._change(ref, change)

    def _check_expiry(self, expires_at_ms: int | None) -> None:
        if expires_at_ms is not None and expires_at_ms <= self._now_ms():
            raise PenstockError("invalid_request", "The expiry has already passed.", param="expires_at_ms")

    async def _change(self, ref: str, change: Callable[[Key], None]) -> Key:
        async with self._database.session() as session:
            key = await _find(session, ref, for_update=True)
            change(key)
            await bump(session, REVISION)
        return key


async def _find(session: AsyncSession, ref: str, *, for_update: bool = False) -> Key:
    query = select(Key).where(Key.deleted_at_ms.is_(None), or_(Key.id == ref, Key.name == ref))
    key = await session.scalar(query.with_for_update() if for_update else query)
    if key is None:
        raise PenstockError("not_found", f"There is no key '{ref}'.")
    return key


def _token(kind: str) -> str:
    return tokens.make_team_token() if kind == "team" else tokens.make_token()


def _check_name(name: str) -> None:
    if not name or len(name) > NAME_LIMIT or not name.isprintable() or name != name.strip() or name.startswith(_ID_PREFIX):
        raise PenstockError(
            "invalid_request",
            f"A key's name is 1 to {NAME_LIMIT} printable characters, without blanks around it, and does not begin with '{_ID_PREFIX}'.",
            param="name",
        )


def _check_models(models: Sequence[str] | None) -> None:
    if models is not None and (not models or not all(model.strip() and len(model) <= globs.NAME_LIMIT for model in models)):
        raise PenstockError("invalid_request", "Name at least one model, none of them empty, or leave them out for all.", param="models")
