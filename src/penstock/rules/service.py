"""What can be done with rules: make, list, change, copy, switch on and off, delete. All processes see each change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Text, and_, false, func, or_, select
from sqlalchemy import cast as as_type
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity, no_account
from penstock.accounts.models import OPERATOR, Account
from penstock.accounts.trail import Trail
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.pages import Page, Place, cut
from penstock.rules.changes import changed, owner_of
from penstock.rules.grammar import NAME_LIMIT, read_rule
from penstock.rules.models import RuleRow

Scope = Literal["own", "all"]
ID_PREFIX = "rul_"
RULES_LIMIT, OPERATOR_RULES_LIMIT = 500, 5000
OWN_BYTES_LIMIT = 2 * 1024 * 1024
"""Of all rules of one account together, as JSON: made ready they take up to thirty times as much in every process."""
BATCH_LIMIT = 500
"""Rules that are switched or deleted at once."""
FLUSHED = 25
"""So many rows are written at once: others have their turn in between."""
FIELDS = ("name", "description", "priority", "enabled", "shadow", "stop", "when", "then")
"""What can be changed of a rule."""
_COLUMNS = ("scope", "name", "description", "priority", "enabled", "shadow", "stop")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many rules there may be: of one account for itself, and for everybody."""

    own: int = RULES_LIMIT
    everybody: int = OPERATOR_RULES_LIMIT
    own_bytes: int = OWN_BYTES_LIMIT

    def of(self, scope: str) -> int:
        """How many of this scope."""
        return self.everybody if scope == "all" else self.own


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rules are asked for; None means all. `search` is part of a name or a description, or an id."""

    account_id: str | None = None
    scope: Scope | None = None
    enabled: bool | None = None
    shadow: bool | None = None
    search: str | None = None


class Rules:
    """The rules of one database.

    `ref` is the id of a rule, or its name. `account_id` is whose it must be; None means that an id may be anybody's, and that a name
    is one of the operator's. Rules for everybody are the operator's. Methods raise PenstockError (`not_found`, `invalid_request`,
    `conflict`, `forbidden`) and DatabaseAway.
    """

    def __init__(self, database: Database, limits: Limits = Limits(), now_ms: Callable[[], int] = clock.now_ms) -> None:
        self.database = database
        self.limits = limits
        self._now_ms = now_ms
        self._trail = Trail(database, now_ms)

    async def create(self, who: Identity, given: Mapping[str, Any], account_id: str = OPERATOR) -> RuleRow:
        """A new rule of an account. One whose scope is `all` is the operator's, and made by administrators alone."""
        async with self.writing() as session:
            owner = await self.room(session, account_id, _scope(given), 1)
            return await self.add(session, who, given, owner)

    async def room(self, session: AsyncSession, account_id: str, scope: Scope, rules: int) -> str:
        """The account that rules of this scope belong to, which may have so many more. It waits for others that are making some."""
        account_id = OPERATOR if scope == "all" else account_id
        query = select(Account.id).where(_is(Account.id, account_id), Account.deleted_at_ms.is_(None))
        if await session.scalar(query.with_for_update(key_share=True)) is None:
            raise no_account(account_id)
        limit = self.limits.of(scope)
        if await _count(session, account_id, scope) + rules > limit:
            whose = "The operator has" if scope == "all" else "An account has"
            raise PenstockError("conflict", f"{whose} at most {limit} rules. Delete some that are not used.")
        return account_id

    async def add(self, session: AsyncSession, who: Identity, given: Mapping[str, Any], owner: str) -> RuleRow:
        """The same in a transaction that is made with `writing`, when there is room."""
        columns = _columns(given, is_operator=_may_make(who, given))
        now_ms = self._now_ms()
        row = RuleRow(id=new_id("rul", now_ms), account_id=owner, created_at_ms=now_ms, changed_at_ms=now_ms, **columns)
        session.add(row)
        detail = {name: columns[name] for name in ("scope", "priority", "enabled", "shadow", "stop")}
        await self._done(session, who, "create", row, detail)
        return row

    async def page(self, wanted: Wanted, place: Place = Place()) -> Page[RuleRow]:  # noqa: B008  it is frozen
        """Some of the rules that are asked for, in the order in which they are applied."""
        query = _ordered(_wanted(wanted)).limit(place.limit + 1)
        if place.after is not None:
            priority, rule_id = _position(place.after)
            query = query.where(or_(RuleRow.priority > priority, and_(RuleRow.priority == priority, RuleRow.id > rule_id)))
        async with self.database.session(read_only=True) as session:
            return cut((await session.scalars(query)).all(), place.limit, lambda row: f"{row.priority}/{row.id}")

    async def all(self, wanted: Wanted) -> Sequence[RuleRow]:
        """All rules that are asked for, in the order in which they are applied."""
        async with self.database.session(read_only=True) as session:
            return (await session.scalars(_ordered(_wanted(wanted)))).all()

    async def get(self, ref: str, account_id: str | None = None) -> RuleRow:
        """One rule."""
        async with self.database.session(read_only=True) as session:
            return await _find(session, ref, account_id)

    async def change(self, who: Identity, ref: str, changes: Mapping[str, Any], account_id: str | None = None) -> RuleRow:
        """Change what is given, by the names of FIELDS."""
        async with self.writing() as session:
            row = await _find(session, ref, account_id, lock=True)
            return await self.apply(session, who, row, changes)

    async def apply(self, session: AsyncSession, who: Identity, row: RuleRow, changes: Mapping[str, Any]) -> RuleRow:
        """The same in a transaction that is made with `writing`, of a row that was read to be changed in it."""
        unknown = changes.keys() - set(FIELDS)
        if unknown:
            raise refusal("This cannot be changed of a rule: make another one.", min(unknown))
        whole = {**whole_of(row), **changes}
        for name, value in _columns(whole, is_operator=_may_make(who, whole)).items():
            setattr(row, name, value)
        row.changed_at_ms = self._now_ms()
        switches = {name: changes[name] for name in ("priority", "enabled", "shadow", "stop") if name in changes}
        await self._done(session, who, "change", row, {"fields": sorted(changes), **switches})
        return row

    async def copy(self, who: Identity, ref: str, name: str | None = None, account_id: str | None = None) -> RuleRow:
        """A rule like another, with another name, which is switched off until it is wanted."""
        async with self.writing() as session:
            row = await _find(session, ref, account_id)
            _may_make(who, whole_of(row))
            owner = await self.room(session, row.account_id, _scope(whole_of(row)), 1)
            if name is None:
                taken = set(await session.scalars(select(RuleRow.name).where(RuleRow.account_id == owner)))
                name = free_name(f"{row.name[: NAME_LIMIT - 5]} copy", taken)
            return await self.add(session, who, {**whole_of(row), "name": name, "enabled": False}, owner)

    async def switch(self, who: Identity, refs: Collection[str], *, enabled: bool, account_id: str | None = None) -> Sequence[RuleRow]:
        """Switch rules on or off, all of them or, where one is missing, none."""
        async with self.writing() as session:
            rows = await _find_all(session, refs, account_id)
            now_ms = self._now_ms()
            for number, row in enumerate(rows, 1):
                _may_make(who, whole_of(row))
                if row.enabled != enabled:
                    row.enabled, row.changed_at_ms = enabled, now_ms
                    await self._done(session, who, "enable" if enabled else "disable", row)
                if number % FLUSHED == 0:
                    await session.flush()
            return rows

    async def delete(self, who: Identity, refs: Collection[str], account_id: str | None = None) -> Sequence[RuleRow]:
        """Delete rules with their statistics, all of them or, where one is missing, none."""
        async with self.writing() as session:
            rows = await _find_all(session, refs, account_id)
            for number, row in enumerate(rows, 1):
                _may_make(who, whole_of(row))
                await self._done(session, who, "delete", row)
                await session.delete(row)
                if number % FLUSHED == 0:
                    await session.flush()
            return rows

    async def is_free(self, name: str, account_id: str, but: str | None = None) -> bool:
        """Whether no rule of the account has this name; `but` is the id of one that does not count."""
        query = select(RuleRow.id).where(RuleRow.account_id == account_id, _is(RuleRow.name, name)).limit(2)
        async with self.database.session(read_only=True) as session:
            return not set(await session.scalars(query)) - {but}

    async def used(self, account_id: str, scope: Scope) -> int:
        """How many rules of this scope there are."""
        async with self.database.session(read_only=True) as session:
            return await _count(session, OPERATOR if scope == "all" else account_id, scope)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that changes rules: all processes are told whose. Raises PenstockError `conflict` for a name that is taken."""
        try:
            async with self.database.session() as session:
                yield session
                await session.flush()
                owners = session.info.pop("owners", set())
                await self._check_size(session, session.info.pop("grown", set()))
                await changed(session, owners)
        except IntegrityError as broken:
            raise PenstockError("conflict", "There is a rule of that name already.", param="name") from broken

    async def _check_size(self, session: AsyncSession, account_ids: Collection[str]) -> None:
        """See that no account's own rules have become too large together."""
        limit, length = self.limits.own_bytes, func.sum(func.length(as_type(RuleRow.terms, Text)))
        for account_id in account_ids:
            size = await session.scalar(select(length).where(RuleRow.account_id == account_id, RuleRow.scope == "own"))
            if (size or 0) > limit:
                raise PenstockError("conflict", f"All rules of an account have at most {limit // 1024} KiB together, without their names.")

    async def _done(self, session: AsyncSession, who: Identity, action: str, row: RuleRow, detail: Mapping[str, Any] | None = None) -> None:
        session.info.setdefault("owners", set()).add(owner_of(row))
        if action in {"create", "change"} and row.scope == "own":
            session.info.setdefault("grown", set()).add(row.account_id)
        detail = {"scope": row.scope, **(detail or {})}  # not its name or its texts, which may be a person's
        await self._trail.note(session, who, f"rule.{action}", row.id, account_id=row.account_id, detail=detail)


def whole_of(row: RuleRow) -> dict[str, Any]:
    """A rule as the grammar reads it."""
    return {**{name: getattr(row, name) for name in _COLUMNS}, "when": row.terms["when"], "then": row.terms["then"]}


def free_name(wanted: str, taken: Collection[str]) -> str:
    """This name, or the first of it with a number behind it that is not taken."""
    name, number = wanted[:NAME_LIMIT], 1
    while name in taken:
        number += 1
        name = f"{wanted[: NAME_LIMIT - 6]} {number}"
    return name


def check_name(name: str) -> str | None:
    """Why this cannot be the name of a rule; None: it can."""
    if name.startswith(ID_PREFIX):
        return f"A rule's name does not begin with '{ID_PREFIX}', as ids do."
    try:
        read_rule({"name": name, "then": [{"do": "record", "value": True}]}, is_operator=False)
    except PenstockError as refused:
        return refused.message
    return None


def refusal(words: str, param: str) -> PenstockError:
    """That a part of a request cannot be used."""
    return PenstockError("invalid_request", words, param=param)


def _scope(given: Mapping[str, Any]) -> Scope:
    return "all" if given.get("scope") == "all" else "own"


def _may_make(who: Identity, given: Mapping[str, Any]) -> bool:
    """Whether they make rules for everybody. Raises PenstockError `forbidden` when they do so and may not."""
    if _scope(given) == "all" and not who.is_admin:
        raise PenstockError("forbidden", "Only administrators make rules for everybody.", param="scope")
    return who.is_admin


def _columns(given: Mapping[str, Any], *, is_operator: bool) -> dict[str, Any]:
    found = read_rule(given, is_operator=is_operator).to_dict()
    if found["name"].startswith(ID_PREFIX):
        raise refusal(check_name(found["name"]) or "", "name")
    return {**{name: found[name] for name in _COLUMNS}, "terms": {"when": found["when"], "then": found["then"]}}


def _wanted(wanted: Wanted) -> Select[RuleRow]:
    query = select(RuleRow)
    if wanted.account_id is not None:
        query = query.where(_is(RuleRow.account_id, wanted.account_id))
    for column, value in ((RuleRow.scope, wanted.scope), (RuleRow.enabled, wanted.enabled), (RuleRow.shadow, wanted.shadow)):
        if value is not None:
            query = query.where(column == value)
    if wanted.search is not None:
        found = [part.icontains(wanted.search, autoescape=True) for part in (RuleRow.name, RuleRow.description)]
        query = query.where(or_(*found, RuleRow.id == wanted.search) if wanted.search.isprintable() else false())
    return query


def _ordered(query: Select[RuleRow]) -> Select[RuleRow]:
    return query.order_by(RuleRow.priority, RuleRow.id)


def _position(text: str) -> tuple[int, str]:
    priority, slash, rule_id = text.partition("/")
    if not slash or not priority.removeprefix("-").isdecimal() or len(priority) > len("-1000000"):
        raise refusal("The cursor is not one of this list. Begin again without one.", "cursor")
    return int(priority), rule_id


def _is(column: Any, text: str) -> ColumnElement[bool]:
    """The column is this text; what a database could not even be asked for, such as a NUL, is nowhere."""
    same: ColumnElement[bool] = column == text if text.isprintable() else false()
    return same


async def _count(session: AsyncSession, account_id: str, scope: str) -> int:
    kept = select(func.count()).select_from(RuleRow).where(RuleRow.account_id == account_id, RuleRow.scope == scope)
    return await session.scalar(kept) or 0


async def _find(session: AsyncSession, ref: str, account_id: str | None, *, lock: bool = False) -> RuleRow:
    meant = (
        _is(RuleRow.id, ref) if ref.startswith(ID_PREFIX) else and_(_is(RuleRow.name, ref), RuleRow.account_id == (account_id or OPERATOR))
    )
    query = _wanted(Wanted(account_id)).where(meant)
    row: RuleRow | None = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise _no_rule(ref)
    return row


async def _find_all(session: AsyncSession, refs: Collection[str], account_id: str | None) -> Sequence[RuleRow]:
    """Several rules, to be changed, in the order of their ids. Raises PenstockError `not_found` for the first that is missing."""
    refs = dict.fromkeys(refs)
    if not 1 <= len(refs) <= BATCH_LIMIT:
        raise refusal(f"Name 1 to {BATCH_LIMIT} rules.", "ids")
    printable = [ref for ref in refs if ref.isprintable()]
    named = and_(RuleRow.name.in_(printable), RuleRow.account_id == (account_id or OPERATOR))
    query = _wanted(Wanted(account_id)).where(or_(RuleRow.id.in_(printable), named))
    rows = (await session.scalars(query.order_by(RuleRow.id).with_for_update())).all()
    there = {row.id for row in rows} | {row.name for row in rows if row.account_id == (account_id or OPERATOR)}
    for ref in refs:
        if ref not in there:
            raise _no_rule(ref)
    return rows


def _no_rule(ref: str) -> PenstockError:
    return PenstockError("not_found", f"There is no rule '{ref[:200]}'.")
