"""What the relay sees of keys: who is asking, found without the database once the key was seen."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from typing import Generic, TypeVar

import msgspec
from pydantic import SecretStr
from sqlalchemy import or_, select

from penstock.accounts.models import OPERATOR, Account, Tier
from penstock.accounts.standing import Standing, standings_of
from penstock.billing import purses
from penstock.billing.purses import Want
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed, Follower
from penstock.keys.models import Key
from penstock.keys.service import REVISION
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.globs import matches
from penstock.kit.limits import CAPS, RATES, Limits, read_limits
from penstock.kit.tasks import spawn
from penstock.kit.tokens import plausible

LOOK_UP_S = 5
BATCH = 200
_RETRY_AFTER_S = 2
_MESSAGES = {
    "invalid_key": "This key is not known here. Check that it was copied whole, or ask for a new one.",
    "key_disabled": "This key is disabled. Enable it, or ask whoever runs this gateway.",
    "account_disabled": "The account of this key is disabled. Ask whoever runs this gateway.",
    "key_expired": "This key has expired. Ask for a new one.",
    "not_found": "The key is not there any more.",
    "overloaded": "Keys cannot be looked up at the moment. Try again.",
    "shutting_down": "Penstock is stopping. Try again.",
}
_log = logging.getLogger("penstock.keys")
T = TypeVar("T")


class Caller(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who is asking, and what they may do. `key_id` is None for one who was let in without a key of ours."""

    key_id: str | None
    name: str
    account_id: str | None = None
    models: tuple[str, ...] | None = None
    """Globs of the models that may be used; None means all."""
    tier_models: tuple[str, ...] | None = None
    """Globs of the models that the account's membership allows; None means all."""
    wires: frozenset[str] | None = None
    networks: tuple[str, ...] | None = None
    """Where requests may come from, as CIDR; None means anywhere."""
    fallbacks: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    """By a glob of models, longest first: those to ask when none of a model's channels can answer."""
    record: bool = False
    expires_at_ms: int | None = None
    until_ms: int | None = None
    """When something about this caller changes by itself (it expires, a membership ends); None: never."""
    prepaid: bool = False
    """The account spends its balance and nothing more."""
    multiplier_micro: int = 1_000_000
    """The membership's multiplier."""
    wants: tuple[Want, ...] = ()
    """The purses that a request draws on."""
    channel: str | None = None
    """The only channel that may be asked; None: any."""

    def allows(self, model: str) -> bool:
        """Whether this model may be used."""
        return (self.models is None or matches(self.models, model)) and (self.tier_models is None or matches(self.tier_models, model))

    def falls_back_to(self, model: str) -> tuple[str, ...]:
        """The models to ask instead of one that cannot answer."""
        found = next((others for glob, others in self.fallbacks or () if matches((glob,), model)), ())
        return tuple(other for other in found if other != model)


class Recent(Generic[T]):
    """At most `limit` values, those used lately: two generations, the elder of which is dropped whole."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, digest: bytes) -> T | None:
        """The value, which counts as used; None if it is not here."""
        value = self._young.get(digest)
        if value is None and (value := self._old.pop(digest, None)) is not None:
            self.put(digest, value)
        return value

    def put(self, digest: bytes, value: T) -> None:
        """Keep the value."""
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[digest] = value

    def clear(self) -> None:
        """Drop everything."""
        self._young.clear()
        self._old.clear()


_Verdict = Caller | str
"""Who has the key, or the code of the refusal."""


class KeyRing:
    """Keys that were seen lately, by digest: those that open and those that do not, each bounded.

    Every change of keys, by any process, empties it within a second. When the database is away, keys that were
    seen go on working.
    """

    def __init__(
        self,
        database: Database,
        feed: Feed | None = None,
        *,
        given: SecretStr | None = None,
        now_ms: Callable[[], int] = clock.now_ms,
        known_limit: int = 100_000,
        unknown_limit: int = 10_000,
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._given: dict[bytes, Caller] = {}
        """The key that the settings give, if they do: the operator's own, without limits. And what is lent at the moment."""
        self._own = Caller(key_id=None, name="PROXY_API_KEY", account_id=OPERATOR) if given else None
        if given and self._own:
            self._given[sha256(given.get_secret_value().encode()).digest()] = self._own
        self._callers: Recent[Caller] = Recent(known_limit)
        self._refused: Recent[str] = Recent(unknown_limit)
        self._asked: dict[bytes, asyncio.Future[_Verdict]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._away = False
        """The last look-up failed: that is told once."""
        self.epoch = 0
        """How often keys have changed: whoever remembers a caller asks again when this has."""
        self._follower: Follower | None = None
        if feed is None:
            self._follower = Follower(database, REVISION, self._forget)
        else:
            feed.follow(REVISION, self._forget)

    async def start(self) -> None:
        """Begin to follow changes."""
        if self._follower is not None:
            await self._follower.start()

    async def stop(self) -> None:
        """Stop following, after the look-ups under way."""
        if self._follower is not None:
            await self._follower.stop()
        if (reader := self._reader) is not None:
            await asyncio.wait({reader}, timeout=LOOK_UP_S)
            reader.cancel()

    def find(self, token: bytes) -> Caller | None:
        """Who has this key; None when it must be looked up.

        Raises PenstockError `invalid_key`, `key_disabled` or `key_expired` when it is known not to open.
        """
        digest = sha256(token).digest()
        caller = self._callers.get(digest) or self._given.get(digest)
        if caller is None:
            refused = self._refused.get(digest)
            if refused is None and plausible(token):
                return None
            raise _refusal(refused or "invalid_key")
        if caller.until_ms is not None and (now_ms := self._now_ms()) >= caller.until_ms:
            if caller.expires_at_ms is not None and now_ms >= caller.expires_at_ms:
                raise _refusal("key_expired")
            return None  # a membership has ended: what it allowed is looked up anew
        return caller

    async def look_up(self, token: bytes) -> Caller:
        """Who has this key, asking the database if need be, once however many wait for the same key.

        Raises as `find` does, and `overloaded` when the database cannot tell.
        """
        caller = self.find(token)
        if caller is not None:
            return caller
        digest = sha256(token).digest()
        asked = self._asked.get(digest)
        if asked is None:
            asked = self._asked[digest] = asyncio.get_running_loop().create_future()
            if self._reader is None:
                self._reader = spawn(self._answer_all(), name="key look-ups")
        verdict = await asyncio.shield(asked)  # one who gives up must not take the answer from the others
        if isinstance(verdict, str):
            raise _refusal(verdict)
        if verdict.expires_at_ms is not None and self._now_ms() >= verdict.expires_at_ms:
            raise _refusal("key_expired")
        return verdict

    async def caller_of(self, key_id: str | None) -> Caller:
        """Who has the key with this id; None is the key that the settings give.

        Raises PenstockError `not_found` when it was deleted, as `find` does when it does not open, and DatabaseAway.
        """
        if key_id is None:
            if self._own is None:
                raise _refusal("not_found")
            return self._own
        now_ms = self._now_ms()
        async with asyncio.timeout(LOOK_UP_S), self._database.session(read_only=True) as session:
            found = select(Key, Account).join(Account, Account.id == Key.account_id).where(Key.id == key_id, Key.deleted_at_ms.is_(None))
            row = (await session.execute(found)).one_or_none()
            if row is None:
                raise _refusal("not_found")
            standings = await standings_of(session, {row.Account.id}, now_ms)
            verdict = _verdict(row.Key, row.Account, standings[row.Account.id], None)
        if isinstance(verdict, str):
            raise _refusal(verdict)
        if verdict.expires_at_ms is not None and now_ms >= verdict.expires_at_ms:
            raise _refusal("key_expired")
        return verdict

    @contextmanager
    def lent(self, caller: Caller) -> Iterator[str]:
        """A token that is this caller's while it is lent, for a request that the gateway makes of itself. It opens nothing elsewhere."""
        token = secrets.token_urlsafe(32)
        digest = sha256(token.encode()).digest()
        # What changes by itself was looked at a moment ago: this one does not live long enough to see it change.
        self._given[digest] = msgspec.structs.replace(caller, until_ms=None, expires_at_ms=None)
        try:
            yield token
        finally:
            del self._given[digest]

    async def _answer_all(self) -> None:
        """Answer what is asked, in batches: a flood of unknown keys costs one query at a time, not one each."""
        try:
            while self._asked:
                batch, epoch = list(islice(self._asked, BATCH)), self.epoch
                try:
                    verdicts = await self._read(batch)
                    self._away = False
                except (DatabaseAway, TimeoutError) as failure:
                    if not self._away:
                        _log.warning("keys cannot be looked up: %s", str(failure) or "the database took too long")
                    self._away = True
                    verdicts = dict.fromkeys(batch, "overloaded")
                for digest in batch:
                    verdict = verdicts.get(digest, "invalid_key")
                    if epoch == self.epoch:  # else it may have been read before the change
                        self._remember(digest, verdict)
                    self._asked.pop(digest).set_result(verdict)
        finally:
            self._reader = None
            for asked in self._asked.values():
                asked.set_result("shutting_down")
            self._asked.clear()

    async def _read(self, digests: list[bytes]) -> dict[bytes, _Verdict]:
        verdicts: dict[bytes, _Verdict] = {}
        async with asyncio.timeout(LOOK_UP_S), self._database.session(read_only=True) as session:
            found = select(Key, Account).join(Account, Account.id == Key.account_id)
            rows = (await session.execute(found.where(or_(Key.digest.in_(digests), Key.old_digest.in_(digests))))).all()
            standings = await standings_of(session, {account.id for _, account in rows}, self._now_ms())
            for key, account in rows:
                for digest, until_ms in ((key.digest, None), (key.old_digest, key.old_until_ms)):
                    if digest is not None:
                        verdicts[digest] = _verdict(key, account, standings[account.id], until_ms)
        return verdicts

    def _remember(self, digest: bytes, verdict: _Verdict) -> None:
        if isinstance(verdict, Caller):
            self._callers.put(digest, verdict)
        elif verdict != "overloaded":
            self._refused.put(digest, verdict)

    def _forget(self) -> None:
        self.epoch += 1
        self._callers.clear()
        self._refused.clear()


def _verdict(key: Key, account: Account, standing: Standing, until_ms: int | None) -> _Verdict:
    if key.disabled_at_ms is not None:
        return "key_disabled"
    if account.disabled_at_ms is not None or account.deleted_at_ms is not None:
        return "account_disabled"
    tier = standing.tier
    ends_ms = [moment_ms for moment_ms in (key.expires_at_ms, until_ms) if moment_ms is not None]
    changes_ms = ends_ms if standing.until_ms is None else [*ends_ms, standing.until_ms]
    return Caller(
        key_id=key.id,
        name=key.name,
        account_id=account.id,
        models=_tuple(key.models),
        tier_models=_tuple(tier.models) if account.prepaid else None,
        wires=None if key.wires is None else frozenset(key.wires),
        networks=_tuple(key.networks),
        fallbacks=_fallbacks(key.fallbacks),
        record=key.record,
        expires_at_ms=min(ends_ms, default=None),
        until_ms=min(changes_ms, default=None),
        prepaid=account.prepaid,
        multiplier_micro=tier.multiplier_micro if account.prepaid else 1_000_000,
        wants=_wants(key, account, tier),
    )


def _wants(key: Key, account: Account, tier: Tier) -> tuple[Want, ...]:
    """Money where a balance is kept, then the account's limits (its own before its membership's), then the key's."""
    own = read_limits(account.limits)
    granted = read_limits(tier.limits) if account.prepaid else Limits()
    merged = {name: getattr(granted, name) if getattr(own, name) is None else getattr(own, name) for name in (*CAPS, *RATES)}
    limits = Limits(**merged, window=own.window if own.any else granted.window)
    money = (
        (Want(purses.free(account.id), account.id, "free"), Want(purses.paid(account.id), account.id, "paid")) if account.prepaid else ()
    )
    return (
        *money,
        *purses.wants_of(account.id, account.id, limits),
        *purses.wants_of(key.id, account.id, read_limits(key.limits)),
    )


def _fallbacks(given: dict[str, list[str]] | None) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    if not given:
        return None
    return tuple((glob, tuple(given[glob])) for glob in sorted(given, key=lambda glob: (-len(glob), glob)))


def _tuple(globs: list[str] | None) -> tuple[str, ...] | None:
    return None if globs is None else tuple(globs)


def _refusal(code: str) -> PenstockError:
    return PenstockError(code, _MESSAGES[code], retry_after_s=_RETRY_AFTER_S if code in ("overloaded", "shutting_down") else None)
