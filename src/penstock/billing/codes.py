"""Redemption codes: made in batches, shown once, kept as digests; whoever shows one gets what it is worth, once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple, cast, get_args
from zlib import crc32

from sqlalchemy import ColumnElement, CursorResult, Select, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.throttle import Schedule, Throttle
from penstock.accounts.trail import Trail
from penstock.billing.grants import Gift, give
from penstock.billing.ledger import CASH, Posting, check_amount, payee, post
from penstock.billing.membership import Memberships
from penstock.billing.models import Code
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.pages import Page, Place, cut

COUNT_LIMIT = 10_000
DAYS_LIMIT = 3650
CODE_LIMIT = 200
"""Characters of a code, as it may be typed."""
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LIKE = str.maketrans("ILOU", "110V")
"""Letters that are in no code, and what they were meant to be."""
_RANDOM_SIZE = 26  # 130 bits
_CHECK_SIZE = 4
_GROUP_SIZE = 6
_PREFIX = re.compile(r"[A-Z0-9]{0,12}")
_WRONG = Schedule(free=10, first_ms=1000)
_DAY_MS = 86_400_000

Kind = Literal["top_up", "grant"]
State = Literal["open", "redeemed", "disabled", "expired"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a batch is to be. A `top_up` code is money that somebody has paid; a `grant` is free."""

    count: int
    kind: str
    amount_nano: int
    prefix: str = ""
    grant_days: int | None = None
    """How long a grant lasts once its code is redeemed; None: it does not end."""
    expires_at_ms: int | None = None
    """When codes end that were not redeemed."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and how many of its codes are redeemed or disabled. What is neither can be redeemed until it expires."""

    id: str
    kind: str
    amount_nano: int
    prefix: str
    grant_days: int | None
    created_at_ms: int
    created_by: str
    expires_at_ms: int | None
    count: int
    redeemed: int
    disabled: int


class Issued(NamedTuple):
    """A new batch with its codes, which are shown this once: each with its id."""

    batch: Batch
    codes: list[tuple[str, str]]


class Redeemed(NamedTuple):
    """What a code was worth. `expires_at_ms` is the end of a grant."""

    code_id: str
    kind: str
    amount_nano: int
    expires_at_ms: int | None


def make_code(prefix: str = "") -> str:
    """A new code: 130 random bits and a checksum, in groups, after a prefix that says what it is for and is no part of it."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_SIZE))
    secret += _check(secret)
    groups = [secret[place : place + _GROUP_SIZE] for place in range(0, len(secret), _GROUP_SIZE)]
    return "-".join([prefix, *groups] if prefix else groups)


def digest_of(code: str) -> bytes | None:
    """What is kept of a code, however it is written; None for one that was mistyped or is none of ours."""
    if len(code) > CODE_LIMIT:
        return None
    secret = re.sub(r"[^0-9A-Za-z]", "", code).upper().translate(_LIKE)[-_RANDOM_SIZE - _CHECK_SIZE :]
    if secret[_RANDOM_SIZE:] != _check(secret[:_RANDOM_SIZE]):
        return None
    return sha256(secret.encode()).digest()


def state_of(code: Code, now_ms: int) -> State:
    """What has become of a code."""
    if code.redeemed_at_ms is not None:
        return "redeemed"
    if code.disabled_at_ms is not None:
        return "disabled"
    return "expired" if code.expires_at_ms is not None and code.expires_at_ms <= now_ms else "open"


class Codes:
    """The redemption codes of one database. Methods with a session are part of its transaction."""

    def __init__(
        self,
        database: Database,
        trail: Trail,
        memberships: Memberships,
        throttle: Throttle,
        now_ms: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._database = database
        self._trail = trail
        self._memberships = memberships
        self._throttle = throttle
        self._now_ms = now_ms

    async def create(self, session: AsyncSession, who: Identity, plan: Plan) -> Issued:
        """A new batch."""
        now_ms = self._now_ms()
        _check_plan(plan, now_ms)
        batch_id = new_id("bat", now_ms)
        made: dict[bytes, tuple[str, str]] = {}
        while len(made) < plan.count:
            code = make_code(plan.prefix)
            made[digest_of(code) or b""] = (new_id("cod", now_ms), code)
        same = {
            "batch": batch_id, "kind": plan.kind, "amount_nano": plan.amount_nano, "prefix": plan.prefix, "grant_days": plan.grant_days,
            "created_at_ms": now_ms, "created_by": who.account_id, "expires_at_ms": plan.expires_at_ms,
        }  # fmt: skip
        await session.execute(insert(Code), [{"digest": digest, "id": code_id, **same} for digest, (code_id, _) in made.items()])
        detail = {"count": plan.count, "kind": plan.kind, "amount_nano": plan.amount_nano}
        await self._trail.note(session, who, "codes.create", batch_id, account_id=None, detail=detail)
        batch = Batch(
            batch_id,
            plan.kind,
            plan.amount_nano,
            plan.prefix,
            plan.grant_days,
            now_ms,
            who.account_id,
            plan.expires_at_ms,
            plan.count,
            0,
            0,
        )
        return Issued(batch, list(made.values()))

    async def batches(self, place: Place = Place()) -> Page[Batch]:  # noqa: B008  it is frozen
        """The batches, newest first."""
        query = _batches().order_by(Code.batch.desc()).limit(place.limit + 1)
        if place.after is not None:
            query = query.where(Code.batch < place.after)
        async with self._database.session(read_only=True) as session:
            found = [Batch(*row) for row in await session.execute(query)]
        return cut(found, place.limit, lambda batch: batch.id)

    async def batch(self, batch_id: str) -> Batch:
        """One batch."""
        async with self._database.session(read_only=True) as session:
            return await _find_batch(session, batch_id)

    async def list(self, batch_id: str, place: Place = Place()) -> Page[Code]:  # noqa: B008  it is frozen
        """The codes of a batch, in the order they were made in."""
        query = select(Code).where(Code.batch == batch_id).order_by(Code.id).limit(place.limit + 1)
        if place.after is not None:
            query = query.where(Code.id > place.after)
        async with self._database.session(read_only=True) as session:
            await _find_batch(session, batch_id)
            found = (await session.scalars(query)).all()
        return cut(found, place.limit, lambda code: code.id)

    async def disable_batch(self, session: AsyncSession, who: Identity, batch_id: str) -> int:
        """Let the codes of a batch that were not redeemed be worth nothing from now on; how many they are."""
        await _find_batch(session, batch_id)
        return await self._disable(session, who, batch_id, Code.batch == batch_id)

    async def disable_code(self, session: AsyncSession, who: Identity, code_id: str) -> int:
        """Let one code be worth nothing, if it was not redeemed; how many they are: 1 or 0."""
        if await session.scalar(select(Code.id).where(Code.id == code_id)) is None:
            raise PenstockError("not_found", f"There is no code '{code_id}'.")
        return await self._disable(session, who, code_id, Code.id == code_id)

    async def _disable(self, session: AsyncSession, who: Identity, subject: str, which: ColumnElement[bool]) -> int:
        live = (which, Code.redeemed_at_ms.is_(None), Code.disabled_at_ms.is_(None))
        ended = await session.execute(update(Code).where(*live).values(disabled_at_ms=self._now_ms()))
        count = cast("CursorResult[Any]", ended).rowcount
        if count:
            await self._trail.note(session, who, "codes.disable", subject, account_id=None, detail={"count": count})
        return count

    async def admit(self, who: Identity) -> None:
        """Count an attempt to redeem, before it is made. Raises PenstockError `too_many_requests` after many wrong ones."""
        await self._throttle.admit(_attempts(who))

    async def redeem(self, session: AsyncSession, who: Identity, text: str) -> Redeemed:
        """Give the account of `who` what the code is worth. Of several at once, one gets it."""
        now_ms = self._now_ms()
        account = await payee(session, who.account_id)
        if account.disabled_at_ms is not None:
            raise PenstockError("account_disabled", "The account is disabled. Ask whoever runs this gateway.")
        digest = digest_of(text)
        if digest is None:
            raise PenstockError("invalid_request", "This is not a code: a letter or digit is missing or wrong.", param="code")
        used = update(Code).where(Code.digest == digest, *_is_open(now_ms)).values(account_id=account.id, redeemed_at_ms=now_ms)
        code = await session.scalar(used.returning(Code))
        if code is None:
            raise await _why_not(session, digest, account.id, now_ms)
        expires_at_ms = None
        detail: dict[str, Any] = {"amount_nano": code.amount_nano, "kind": code.kind}
        if code.kind == "grant":
            expires_at_ms = None if code.grant_days is None else now_ms + code.grant_days * _DAY_MS
            await give(session, f"grt_{code.id}", Gift(account.id, code.amount_nano, expires_at_ms), now_ms)
        else:
            await post(session, Posting(f"code/{code.id}", "top_up", account.id, "paid", code.amount_nano, CASH, code.id), now_ms)
            earned = await self._memberships.earned(session, account.id, code.amount_nano, now_ms)
            detail |= {"earned": {tier: clock.iso(until_ms) for tier, until_ms in earned.items()}} if earned else {}
        await self._trail.note(session, who, "code.redeem", code.id, account_id=account.id, detail=detail)
        await self._throttle.forgive(session, _attempts(who))
        return Redeemed(code.id, code.kind, code.amount_nano, expires_at_ms)


def _attempts(who: Identity) -> dict[str, Schedule]:
    return {f"redeem account {who.account_id}": _WRONG}


def _check(secret: str) -> str:
    number = crc32(secret.encode())
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(0, 5 * _CHECK_SIZE, 5))


def _check_plan(plan: Plan, now_ms: int) -> None:
    check_amount(plan.amount_nano)
    days = plan.grant_days
    for fits, param, words in (
        (type(plan.count) is int and 1 <= plan.count <= COUNT_LIMIT, "count", f"A batch has 1 to {COUNT_LIMIT} codes."),
        (plan.kind in get_args(Kind), "kind", "A code is a 'top_up' or a 'grant'."),
        (_PREFIX.fullmatch(plan.prefix), "prefix", "A prefix has up to 12 capital letters and digits."),
        (
            days is None or (plan.kind == "grant" and 1 <= days <= DAYS_LIMIT),
            "grant_days",
            f"Only grants end, after 1 to {DAYS_LIMIT} days.",
        ),
        (plan.expires_at_ms is None or plan.expires_at_ms > now_ms, "expires_at", "The expiry has already passed."),
    ):
        if not fits:
            raise PenstockError("invalid_request", words, param=param)


def _is_open(now_ms: int) -> tuple[ColumnElement[bool], ...]:
    lasts = or_(Code.expires_at_ms.is_(None), Code.expires_at_ms > now_ms)
    return Code.redeemed_at_ms.is_(None), Code.disabled_at_ms.is_(None), lasts


async def _why_not(session: AsyncSession, digest: bytes, account_id: str, now_ms: int) -> PenstockError:
    code = await session.get(Code, digest)
    if code is None:
        return PenstockError("not_found", "There is no such code. Check it letter by letter.", param="code")
    words = {
        "redeemed": "You have redeemed this code already." if code.account_id == account_id else "This code has been redeemed already.",
        "disabled": "This code was disabled. Ask whoever gave it to you.",
    }
    return PenstockError("conflict", words.get(state_of(code, now_ms), "This code has expired."), param="code")


def _batches() -> Select[*tuple[Any, ...]]:
    """Batches, made of their codes: what these have in common, and how many they are."""
    alike = (Code.kind, Code.amount_nano, Code.prefix, Code.grant_days, Code.created_at_ms, Code.created_by, Code.expires_at_ms)
    counts = (func.count(), func.count(Code.redeemed_at_ms), func.count(Code.disabled_at_ms))
    return select(Code.batch, *map(func.min, alike), *counts).group_by(Code.batch)


async def _find_batch(session: AsyncSession, batch_id: str) -> Batch:
    row = (await session.execute(_batches().where(Code.batch == batch_id))).one_or_none()
    if row is None:
        raise PenstockError("not_found", f"There is no batch '{batch_id}'.")
    return Batch(*row)
