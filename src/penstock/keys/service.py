"""What can be done with keys: make, list, change, disable, enable, rotate, delete; each change is seen by all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Unpack

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity, no_account
from penstock.accounts.models import OPERATOR, Account
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.keys.models import Key
from penstock.keys.terms import ID_PREFIX, Changes, Kind, Terms, checked, refusal
from penstock.kit import clock, tokens
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.pages import Page, Place, cut

REVISION = "keys"
KEYS_LIMIT = 5000
"""Keys of one account."""
GRACE_LIMIT_S = 365 * 86_400


class Made(NamedTuple):
    """A key and its token, which is shown this once and kept nowhere."""

    key: Key
    token: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which keys are asked for; None means all. `search` is part of a name, an id, or the last four characters of a token."""

    account_id: str | None = None
    search: str | None = None


class Keys:
    """The keys of one database.

    `ref` is the id of a key that is not deleted, or its name. `account_id` is whose it must be; None means that an id may be
    anybody's, and that a name is one of the operator's. What is done is noted in the audit trail when it is said who does it.
    Methods raise PenstockError (`not_found`, `invalid_request`, `conflict`, `forbidden`) and DatabaseAway.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._now_ms = now_ms
        self._trail = Trail(database, now_ms)

    async def create(
        self,
        name: str,
        *,
        account_id: str = OPERATOR,
        kind: Kind = "key",
        token: str | None = None,
        who: Identity | None = None,
        **terms: Unpack[Terms],
    ) -> Made:
        """A new key. `token` is one made elsewhere, None makes one of that kind."""
        now_ms = self._now_ms()
        _check_privilege(who, kind)
        columns = checked({"name": name, "kind": kind, **terms}, None, now_ms)
        token = _token(kind) if token is None else token
        if not tokens.plausible(token.encode()):
            raise refusal("The token has neither of the forms that tokens have here.", "token")
        prefix, last_four = tokens.shown(token)
        digest = tokens.digest(token.encode())
        columns = {"record": False, **columns, "account_id": account_id, "created_at_ms": now_ms}
        key = Key(id=new_id("key", now_ms), digest=digest, prefix=prefix, last_four=last_four, **columns)
        try:
            async with self._database.session() as session:
                await _check_room(session, account_id)
                session.add(key)
                await self._note(session, who, "create", key, columns)
                await bump(session, REVISION)
        except IntegrityError as broken:
            raise _taken(broken) from broken
        return Made(key, token)

    async def list(self, account_id: str | None = None) -> Sequence[Key]:
        """All keys, of one account or of all, oldest first."""
        query = _wanted(Wanted(account_id)).order_by(Key.created_at_ms, Key.id)
        async with self._database.session(read_only=True) as session:
            return (await session.scalars(query)).all()

    async def page(self, wanted: Wanted, place: Place) -> Page[Key]:
        """Some of the keys that are asked for, newest first."""
        query = _wanted(wanted).order_by(Key.id.desc()).limit(place.limit + 1)
        if place.after is not None:
            query = query.where(Key.id < place.after)
        async with self._database.session(read_only=True) as session:
            return cut((await session.scalars(query)).all(), place.limit, lambda key: key.id)

    async def get(self, ref: str, account_id: str | None = None) -> Key:
        """One key."""
        async with self._database.session(read_only=True) as session:
            return await _find(session, ref, account_id)

    async def of_token(self, token: str, account_id: str | None = None) -> Key:
        """The key that a token opens, or opened before its last rotation. It may be disabled or have expired."""
        digest = tokens.digest(token.encode(errors="replace"))
        query = _wanted(Wanted(account_id)).where(or_(Key.digest == digest, Key.old_digest == digest))
        async with self._database.session(read_only=True) as session:
            key: Key | None = await session.scalar(query)
        if key is None:
            raise _no_such_key()
        return key

    async def of_mask(self, mask: str, account_id: str) -> Key:
        """The key that is shown as this, such as `sk-...wxyz`. Raises PenstockError `conflict` where an account has several."""
        prefix, _, last_four = mask.partition("...")
        query = _wanted(Wanted(account_id)).where(_is(Key.prefix, prefix), _is(Key.last_four, last_four)).limit(2)
        async with self._database.session(read_only=True) as session:
            found: Sequence[Key] = (await session.scalars(query)).all()
        if len(found) > 1:
            raise PenstockError("conflict", "Several keys are shown like this. Name it by its id or by the whole key.", param="key")
        if not found:
            raise _no_such_key()
        return found[0]

    async def meant(self, text: str, account_id: str) -> Key:
        """The key that someone means by its id, by the whole of it, or by what is shown of it."""
        if text.startswith(ID_PREFIX):
            return await self.get(text, account_id)
        if "..." in text:
            return await self.of_mask(text, account_id)
        return await self.of_token(text, account_id)

    async def change(self, ref: str, *, account_id: str | None = None, who: Identity | None = None, **changes: Unpack[Changes]) -> Key:
        """Change what is given."""

        def change(key: Key) -> dict[str, Any]:
            kind = changes.get("kind", key.kind)
            _check_privilege(who, kind)
            if kind != key.kind and "team" in (kind, key.kind):
                raise refusal("A member's key stays one, and no other becomes one.", "kind")
            detail = checked(changes, key.limits, self._now_ms())
            columns = dict(detail)
            if "disabled" in columns:
                self._switch(key, disabled=columns.pop("disabled"))
            for name, value in columns.items():
                setattr(key, name, value)
            return detail

        return await self._change("change", ref, account_id, who, change)

    async def disable(self, ref: str, *, account_id: str | None = None, who: Identity | None = None) -> Key:
        """Refuse the key until it is enabled again."""
        return await self._change("disable", ref, account_id, who, lambda key: self._switch(key, disabled=True))

    async def enable(self, ref: str, *, account_id: str | None = None, who: Identity | None = None) -> Key:
        """Accept a disabled key again."""
        return await self._change("enable", ref, account_id, who, lambda key: self._switch(key, disabled=False))

    async def rotate(
        self,
        ref: str,
        *,
        grace_s: int = 0,
        expires_at_ms: int | None = None,
        account_id: str | None = None,
        who: Identity | None = None,
    ) -> Made:
        """Give the key a new token. The one it had works for `grace_s` more; one from an earlier rotation dies at once.

        `expires_at_ms`, where given, becomes the key's expiry.
        """
        if not 0 <= grace_s <= GRACE_LIMIT_S:
            raise refusal(f"The grace is 0 to {GRACE_LIMIT_S} seconds, a year.", "grace_s")
        columns = {} if expires_at_ms is None else checked({"expires_at_ms": expires_at_ms}, None, self._now_ms())
        made: list[str] = []

        def change(key: Key) -> dict[str, Any]:
            made.append(self._renew(key, grace_s))
            key.expires_at_ms = columns.get("expires_at_ms", key.expires_at_ms)
            return {"grace_s": grace_s, **columns}

        return Made(await self._change("rotate", ref, account_id, who, change), made[0])

    async def member(self, token: str) -> Key:
        """The team's key that has this token. Raises PenstockError `invalid_key`, `key_disabled` and `key_expired` as the relay does."""
        async with self._database.session(read_only=True) as session:
            return self._opened(await session.scalar(_team(token)))

    async def reset(self, token: str) -> Made:
        """Give the team's key that has this token a new one, and have this one die. Of several who try at once one succeeds.

        Raises as `member` does.
        """
        async with self._database.session() as session:
            key = self._opened(await session.scalar(_team(token).with_for_update()))
            made = self._renew(key, 0)
            await bump(session, REVISION)
        return Made(key, made)

    async def delete(self, ref: str, *, account_id: str | None = None, who: Identity | None = None) -> Key:
        """Forget the key's tokens and free its name. The row stays, so that its charges still have a name."""

        def change(key: Key) -> None:
            key.deleted_at_ms = self._now_ms()
            key.digest = key.old_digest = key.old_until_ms = None

        return await self._change("delete", ref, account_id, who, change)

    def _opened(self, key: Key | None) -> Key:
        if key is None:
            raise PenstockError("invalid_key", "This key is no team member's.")
        if key.disabled_at_ms is not None:
            raise PenstockError("key_disabled", "This key is disabled.")
        if key.expires_at_ms is not None and key.expires_at_ms <= self._now_ms():
            raise PenstockError("key_expired", "This key has expired.")
        return key

    def _switch(self, key: Key, *, disabled: bool) -> None:
        key.disabled_at_ms = (key.disabled_at_ms or self._now_ms()) if disabled else None

    def _renew(self, key: Key, grace_s: int) -> str:
        token = _token(key.kind)
        key.old_digest, key.old_until_ms = (key.digest, self._now_ms() + grace_s * 1000) if grace_s else (None, None)
        key.digest = tokens.digest(token.encode())
        key.prefix, key.last_four = tokens.shown(token)
        return token

    async def _change(
        self, action: str, ref: str, account_id: str | None, who: Identity | None, change: Callable[[Key], dict[str, Any] | None]
    ) -> Key:
        """Change one key. `change` returns what is to be noted of it."""
        try:
            async with self._database.session() as session:
                key = await _find(session, ref, account_id, for_update=True)
                _check_privilege(who, key.kind)
                detail = change(key)
                await self._note(session, who, action, key, detail or {})
                await bump(session, REVISION)
        except IntegrityError as broken:
            raise _taken(broken) from broken
        return key

    async def _note(self, session: AsyncSession, who: Identity | None, action: str, key: Key, columns: dict[str, Any]) -> None:
        if who is not None:  # a name may be a person's, and stays with the key
            detail = {name: value for name, value in columns.items() if name not in ("name", "account_id", "created_at_ms")}
            await self._trail.note(session, who, f"key.{action}", key.id, account_id=key.account_id, detail=detail)


def _team(token: str) -> Select[Key]:
    return select(Key).where(Key.digest == tokens.digest(token.encode(errors="replace")), Key.kind == "team")


def _wanted(wanted: Wanted) -> Select[Key]:
    query = select(Key).where(Key.deleted_at_ms.is_(None))
    if wanted.account_id is not None:
        query = query.where(_is(Key.account_id, wanted.account_id))
    if wanted.search is not None:
        named = Key.name.icontains(wanted.search, autoescape=True) if wanted.search.isprintable() else false()
        query = query.where(or_(named, _is(Key.id, wanted.search), _is(Key.last_four, wanted.search)))
    return query


def _is(column: Any, text: str) -> ColumnElement[bool]:
    """The column is this text; what a database could not even be asked for, such as a NUL, is nowhere."""
    same: ColumnElement[bool] = column == text if text.isprintable() else false()
    return same


async def _find(session: AsyncSession, ref: str, account_id: str | None, *, for_update: bool = False) -> Key:
    meant = _is(Key.id, ref) if ref.startswith(ID_PREFIX) else and_(_is(Key.name, ref), Key.account_id == (account_id or OPERATOR))
    query = _wanted(Wanted(account_id)).where(meant)
    key: Key | None = await session.scalar(query.with_for_update() if for_update else query)
    if key is None:
        raise PenstockError("not_found", f"There is no key '{ref}'.")
    return key


async def _check_room(session: AsyncSession, account_id: str) -> None:
    """Make sure that the account exists and may have another key; it waits for others that are making one."""
    query = select(Account.id).where(_is(Account.id, account_id), Account.deleted_at_ms.is_(None))
    if await session.scalar(query.with_for_update(key_share=True)) is None:
        raise no_account(account_id)
    kept = select(func.count()).select_from(Key).where(Key.account_id == account_id, Key.deleted_at_ms.is_(None))
    if (await session.scalar(kept) or 0) >= KEYS_LIMIT:
        raise PenstockError("conflict", f"An account has at most {KEYS_LIMIT} keys. Delete some that are not used.")


def _check_privilege(who: Identity | None, kind: str) -> None:
    """Management keys are made and changed by people: a key that leaks must not make itself at home."""
    if kind == "management" and who is not None and who.via not in ("session", "cli"):
        message = "A management key is made and changed only by someone who has signed in, or on the command line."
        raise PenstockError("forbidden", message)


def _no_such_key() -> PenstockError:
    return PenstockError("not_found", "There is no such key.", param="key")


def _taken(broken: IntegrityError) -> PenstockError:
    param = "token" if "digest" in str(broken.orig) else "name"
    return PenstockError("conflict", f"There is a key with this {param} already.", param=param)


def _token(kind: str) -> str:
    return tokens.make_team_token() if kind == "team" else tokens.make_token()
