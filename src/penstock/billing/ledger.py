"""The ledger: money that comes and goes other than by requests. Each movement is an entry, written once and never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import BigInteger, CursorResult, func, select, tuple_
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity, no_account
from penstock.accounts.models import Account
from penstock.accounts.trail import Trail
from penstock.billing.membership import Memberships
from penstock.billing.models import Entry, Lease, Purse
from penstock.billing.purses import Want, add, ensure, free, locked, paid
from penstock.billing.recalls import recall
from penstock.infra.database import Database
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.money import MAX_NANO, dollars
from penstock.kit.pages import Page, Place, cut

AMOUNT_LIMIT_NANO = 10**18
TEXT_LIMIT = 200
CASH, GRANTS, ADJUSTMENTS, EXPIRED = "cash", "grants", "adjustments", "expired"
"""The accounts without a floor that money comes from and goes to; `revenue`, of requests, is the fifth."""
_LOOKS = 40
_LOOK_S = 0.05


class Posting(NamedTuple):
    """A movement that is to be posted: above zero it fills the purse from the other side, below zero it empties it towards there.

    `id` is derived from what the movement is about, or a new one: an id is posted once.
    """

    id: str
    kind: str
    account_id: str
    purse: Literal["paid", "free"]
    amount_nano: int
    other_side: str
    ref: str = ""
    note: str = ""

    @property
    def purse_id(self) -> str:
        """The purse that is filled or emptied."""
        return paid(self.account_id) if self.purse == "paid" else free(self.account_id)

    def entry(self, now_ms: int) -> Entry:
        """The entry that it becomes."""
        debit, credit = (self.purse_id, self.other_side) if self.amount_nano > 0 else (self.other_side, self.purse_id)
        return Entry(
            id=self.id, kind=self.kind, debit=debit, credit=credit, amount_nano=abs(self.amount_nano), ref=self.ref,
            account_id=self.account_id, created_at_ms=now_ms, note=self.note,
        )  # fmt: skip


class Posted(NamedTuple):
    """An entry, and whether it was not there before."""

    entry: Entry
    new: bool


class Movement(NamedTuple):
    """What an administrator asks for. `ref` is a number of their own, such as an order's: it moves money once."""

    account_id: str
    amount_nano: int
    ref: str | None = None
    note: str = ""
    force: bool = False
    """Even if the balance falls below zero."""


class Balance(NamedTuple):
    """What an account has. What workers have on lease and have not spent is part of it; it may be below zero."""

    account_id: str
    paid_nano: int
    free_nano: int
    on_lease_nano: int


async def payee(session: AsyncSession, account_id: str) -> Account:
    """The account, locked, so that its acts come one after the other. Everything that moves its money begins here."""
    account = await session.scalar(select(Account).where(Account.id == account_id).with_for_update(key_share=True))
    if account is None or account.deleted_at_ms is not None:
        raise no_account(account_id)
    return account


async def posted(session: AsyncSession, posting: Posting, now_ms: int) -> Entry | None:
    """The entry that this posting has become already. Raises PenstockError `conflict` where its id stands for something else."""
    found = await session.get(Entry, posting.id)
    if found is None:
        return None
    wanted = posting.entry(now_ms)
    facts = ("kind", "debit", "credit", "amount_nano", "ref", "account_id")
    if any(getattr(found, fact) != getattr(wanted, fact) for fact in facts):
        raise PenstockError("conflict", f"'{posting.id}' is in the books already, with another amount, kind or account.", param="ref")
    return found


async def post(session: AsyncSession, posting: Posting, now_ms: int) -> Posted:
    """Write the entry and move the balance, once: posting the same again changes nothing.

    Rows are locked in the order account (`payee`), purse, entry, then what follows from them, and revisions last.
    Raises PenstockError: `conflict`, or `invalid_request` where the balance would not fit into 64 bits.
    """
    purse = await purse_of(session, posting, now_ms)
    if (found := await posted(session, posting, now_ms)) is not None:
        return Posted(found, new=False)
    if abs(purse.balance + await unspent(session, purse.id) + posting.amount_nano) > MAX_NANO:
        raise PenstockError("invalid_request", "The balance would not fit into 64 bits.", param="amount_nano")
    entry = posting.entry(now_ms)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    facts = {column.key: getattr(entry, column.key) for column in Entry.__table__.columns}
    written = await session.execute(insert(Entry).values(**facts).on_conflict_do_nothing(index_elements=["id"]))
    if cast("CursorResult[Any]", written).rowcount == 0:  # another account's, at this moment
        return Posted(cast("Entry", await posted(session, posting, now_ms)), new=False)
    await add(session, purse.id, posting.amount_nano)
    return Posted(entry, new=True)


async def purse_of(session: AsyncSession, posting: Posting, now_ms: int) -> Purse:
    """The purse of a posting, locked; it is made where there is none yet."""
    want = Want(posting.purse_id, posting.account_id, posting.purse)
    await ensure(session, [want], now_ms)
    return (await locked(session, [want.purse_id]))[want.purse_id]


async def unspent(session: AsyncSession, purse_id: str) -> int:
    """What workers have on lease of a purse and have not spent."""
    found = await session.scalar(select(func.sum(Lease.amount - Lease.spent)).where(Lease.purse_id == purse_id))
    return int(found or 0)


def check_amount(amount_nano: int, *, signed: bool = False) -> None:
    """Refuse what is no amount of nano-dollars, or one beyond all reason."""
    fits = type(amount_nano) is int and amount_nano != 0 and abs(amount_nano) <= AMOUNT_LIMIT_NANO and (signed or amount_nano > 0)
    if not fits:
        least = f"-{AMOUNT_LIMIT_NANO}" if signed else "1"
        raise PenstockError(
            "invalid_request",
            f"An amount is a whole number of nano-dollars from {least} to {AMOUNT_LIMIT_NANO}, not 0.",
            param="amount_nano",
        )


def check_text(text: str, param: str, limit: int = TEXT_LIMIT) -> None:
    """Refuse a reference or note that is too long, or that is not for people."""
    if len(text) > limit or not text.isprintable() or text != text.strip():
        raise PenstockError("invalid_request", f"It has up to {limit} printable characters, without blanks around them.", param=param)


class Ledger:
    """The acts of administrators on accounts' money, each within the caller's transaction, and what is read of it.

    Methods raise PenstockError and DatabaseAway. An act that has the `ref` of an earlier one is that one again, or a `conflict`.
    """

    def __init__(self, database: Database, trail: Trail, memberships: Memberships, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._database = database
        self._trail = trail
        self._memberships = memberships
        self._now_ms = now_ms

    async def top_up(self, session: AsyncSession, who: Identity, movement: Movement) -> Entry:
        """Money that was paid. It may earn membership."""
        now_ms = self._now_ms()
        check_amount(movement.amount_nano)
        await payee(session, movement.account_id)
        done = await post(session, _posting("top_up", movement, movement.amount_nano, CASH), now_ms)
        if done.new:
            earned = await self._memberships.earned(session, movement.account_id, movement.amount_nano, now_ms)
            await self._note(session, who, done.entry, {"earned": {tier: clock.iso(until_ms) for tier, until_ms in earned.items()}})
        return done.entry

    async def adjust(self, session: AsyncSession, who: Identity, movement: Movement) -> Entry:
        """A correction of what was paid, up or down, with a note that says why. Down to nothing, or by `force` below that."""
        now_ms = self._now_ms()
        check_amount(movement.amount_nano, signed=True)
        if not movement.note:
            raise PenstockError("invalid_request", "Say in the note why the balance is corrected.", param="note")
        await payee(session, movement.account_id)
        posting = _posting("adjust", movement, movement.amount_nano, ADJUSTMENTS)
        if await posted(session, posting, now_ms) is None:
            await self._check_held(session, posting, movement, now_ms)
        done = await post(session, posting, now_ms)
        if done.new:
            await self._note(session, who, done.entry, {"force": movement.force})
        return done.entry

    async def refund(self, session: AsyncSession, who: Identity, top_up_id: str, movement: Movement) -> Entry:
        """Money of a top-up that is paid back: no more than it was, nor than the balance has, unless by `force`.

        Membership that it earned is kept, but the amount no longer counts towards more.
        """
        now_ms = self._now_ms()
        check_amount(movement.amount_nano)
        check_text(top_up_id, "top_up_id", 2 * TEXT_LIMIT)
        await payee(session, movement.account_id)
        top_up = await session.get(Entry, top_up_id)
        if top_up is None or top_up.kind != "top_up" or top_up.account_id != movement.account_id:
            raise PenstockError("not_found", f"The account has no top-up '{top_up_id}'.", param="top_up_id")
        posting = _posting("refund", movement, -movement.amount_nano, CASH)._replace(ref=top_up_id)
        if await posted(session, posting, now_ms) is None:
            back = await session.scalar(select(func.sum(Entry.amount_nano)).where(*_refunds(top_up)))
            left = top_up.amount_nano - int(back or 0)
            if movement.amount_nano > left:
                raise PenstockError("conflict", f"Of this top-up {dollars(left)} dollars are left to be refunded.", param="amount_nano")
            await self._check_held(session, posting, movement, now_ms)
        done = await post(session, posting, now_ms)
        if done.new:
            await self._memberships.refunded(session, movement.account_id, movement.amount_nano, top_up.created_at_ms)
            await self._note(session, who, done.entry, {"top_up": top_up_id, "force": movement.force})
        return done.entry

    async def gather(self, account_id: str, amount_nano: int) -> None:
        """Before money is taken away: have workers give back what is on lease, if the balance is too small without it.

        It waits for a second or two at most. Whether there is enough then is for the act itself to see.
        """
        purse_id = paid(account_id)
        for turn in range(_LOOKS):
            async with self._database.session(read_only=True) as session:
                balance = await session.scalar(select(Purse.balance).where(Purse.id == purse_id)) or 0
                on_lease = await unspent(session, purse_id)
            if balance >= amount_nano or balance + on_lease < amount_nano:
                return
            if turn == 0:
                await recall(self._database, [purse_id], self._now_ms())
            await asyncio.sleep(_LOOK_S)

    async def balance(self, account_id: str) -> Balance:
        """What an account has at this moment."""
        on_lease = func.coalesce(func.sum(Lease.amount - Lease.spent), 0)
        sums = (
            select(Purse.kind, Purse.balance, sql_cast(on_lease, BigInteger))
            .outerjoin(Lease, Lease.purse_id == Purse.id)
            .where(Purse.id.in_((paid(account_id), free(account_id))))
            .group_by(Purse.kind, Purse.balance)
        )
        async with self._database.session(read_only=True) as session:
            await existing(session, account_id)
            found = {kind: (balance, leased) for kind, balance, leased in await session.execute(sums)}
        (paid_nano, paid_leased), (free_nano, free_leased) = found.get("paid", (0, 0)), found.get("free", (0, 0))
        return Balance(account_id, paid_nano + paid_leased, free_nano + free_leased, paid_leased + free_leased)

    async def entries(self, account_id: str, place: Place = Place(), *, kind: str | None = None) -> Page[Entry]:  # noqa: B008  it is frozen
        """Entries of an account, newest first."""
        order = (Entry.created_at_ms, Entry.id)
        query = select(Entry).where(Entry.account_id == account_id).order_by(*(column.desc() for column in order)).limit(place.limit + 1)
        if kind is not None:
            query = query.where(Entry.kind == kind)
        if place.after is not None:
            at_ms, entry_id = _position(place.after)
            query = query.where(Entry.created_at_ms <= at_ms, tuple_(*order) < tuple_(at_ms, entry_id))
        async with self._database.session(read_only=True) as session:
            await existing(session, account_id)
            found = (await session.scalars(query)).all()
        return cut(found, place.limit, lambda entry: f"{entry.created_at_ms}:{entry.id}")

    async def _check_held(self, session: AsyncSession, posting: Posting, movement: Movement, now_ms: int) -> None:
        """Only what is in the purse can be taken away: what is on lease may be spent at this moment."""
        if movement.force or posting.amount_nano > 0:
            return
        purse = await purse_of(session, posting, now_ms)
        if purse.balance + posting.amount_nano < 0:
            held = dollars(max(purse.balance, 0))
            raise PenstockError(
                "conflict", f"The balance holds {held} dollars that can be taken; force it to go below zero.", param="amount_nano"
            )

    async def _note(self, session: AsyncSession, who: Identity, entry: Entry, more: dict[str, Any]) -> None:
        detail = {name: value for name, value in {"amount_nano": signed_nano(entry), **more}.items() if value}
        await self._trail.note(session, who, f"{entry.kind}.create", entry.id, account_id=entry.account_id, detail=detail)


def signed_nano(entry: Entry) -> int:
    """The amount as the account sees it: above zero when it fills one of its purses."""
    return entry.amount_nano if entry.debit in (paid(entry.account_id), free(entry.account_id)) else -entry.amount_nano


async def existing(session: AsyncSession, account_id: str) -> None:
    """Refuse an account that never was. The money of deleted ones can still be looked at."""
    if await session.scalar(select(Account.id).where(Account.id == account_id)) is None:
        raise no_account(account_id)


def _posting(kind: str, movement: Movement, amount_nano: int, other_side: str) -> Posting:
    """A posting on the paid purse. With a reference, its id is made of that; else it is one of its own."""
    ref = movement.ref or ""
    check_text(ref, "ref")
    check_text(movement.note, "note")
    entry_id = f"{kind}/{ref}" if ref else new_id("ent")
    return Posting(entry_id, kind, movement.account_id, "paid", amount_nano, other_side, ref, movement.note)


def _position(text: str) -> tuple[int, str]:
    at_ms, _, entry_id = text.partition(":")
    if not (at_ms.isascii() and at_ms.isdigit() and len(at_ms) <= 15):
        raise PenstockError("invalid_request", "The cursor is not one of this list. Begin again without one.", param="cursor")
    return int(at_ms), entry_id


def _refunds(top_up: Entry) -> tuple[Any, ...]:
    return (Entry.account_id == top_up.account_id, Entry.kind == "refund", Entry.ref == top_up.id)
