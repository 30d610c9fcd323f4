"""The audit: proves the books. Every balance from its entries, every charge from its usage and price, every sum from its charges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Integer, Select, and_, case, func, literal, literal_column, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from penstock.accounts.models import OPERATOR, Account, Event
from penstock.billing.charge import COLUMNS, Charge
from penstock.billing.leases import REVENUE
from penstock.billing.models import ChargeOf, ChargeRow, Entry, Grant, Lease, Purse, UsageDay, UsageHour, Worker
from penstock.billing.purses import MONEY, free, paid
from penstock.billing.receipts import Prices
from penstock.billing.rollup import mark
from penstock.billing.shown import usage_of
from penstock.billing.sums import MOST, constant, of_days
from penstock.catalog.door import Catalog
from penstock.infra.database import Database
from penstock.kit import clock

LISTED = 1000
"""Differences, negative balances and leases that are listed; the others are counted."""
DEAD_MS = 60_000
BATCH_ROWS = 2000
_ROW = [*(getattr(ChargeRow, name) for name in COLUMNS), ChargeRow.number]


class Difference(msgspec.Struct, frozen=True):
    """Two figures that should be the same and are not: nano-dollars, or requests where the text says so."""

    what: str
    id: str
    expected: int | None
    found: int | None
    text: str


class Report(msgspec.Struct):
    """What was looked at and what is wrong. Lists hold the first thousand, `difference_count` all."""

    accounts: int = 0
    purses: int = 0
    entries: int = 0
    leases: int = 0
    charges: int = 0
    unproven: int = 0
    """Charges of accounts that pay nothing whose price is not known any more."""
    difference_count: int = 0
    differences: list[Difference] = msgspec.field(default_factory=list)
    negative: dict[str, int] = msgspec.field(default_factory=dict)
    """Purses that owe, and how much they have: it is below zero."""
    unswept: list[str] = msgspec.field(default_factory=list)
    """Leases that are open although their worker has not been seen for a minute. Their money is accounted for, and returns with a sweep."""

    @property
    def well(self) -> bool:
        """Nothing differs."""
        return not self.difference_count

    def compare(self, what: str, name: str, expected: int | None, found: int | None, text: str) -> None:
        """Note a difference, if these differ."""
        if expected == found:
            return
        self.difference_count += 1
        if len(self.differences) < LISTED:
            self.differences.append(Difference(what, name, expected, found, text))


class _Spent:
    """What the charges of one account come to, and those of them that the roll-up has seen."""

    __slots__ = ("cost_nano", "free_nano", "requests", "summed_nano")

    def __init__(self) -> None:
        self.cost_nano = self.free_nano = self.requests = self.summed_nano = 0


async def audit(database: Database, catalog: Catalog, now_ms: Callable[[], int] = clock.now_ms) -> Report:
    """Look at everything, as it is at one moment. Memory grows with accounts and purses, not with charges. Raises DatabaseAway."""
    report = Report()
    async with database.patient() as patient, patient.session(read_only=True) as session:
        prepaid, turned = await _accounts(session, report)
        leased = await _purses(session, report)
        await _entries(session, report)
        await _grants(session, report)
        spent = await _charges(session, catalog, report, prepaid | turned)
        for account_id in sorted(spent.keys() | prepaid | turned):
            _compare_spending(report, account_id, spent.get(account_id) or _Spent(), leased, (account_id in prepaid, account_id in turned))
        await _sums(session, report, spent)
        await _unswept(session, report, now_ms())
    return report


async def _accounts(session: AsyncSession, report: Report) -> tuple[set[str], set[str]]:
    """The accounts that are prepaid, and those that were so at some times only."""
    report.accounts = await session.scalar(select(func.count()).select_from(Account)) or 0
    prepaid = set(await session.scalars(select(Account.id).where(Account.prepaid)))
    changes = await session.execute(select(Event.account_id, Event.detail).where(Event.action == "account.change"))
    return prepaid, {account_id for account_id, detail in changes if account_id and "prepaid" in detail}


async def _purses(session: AsyncSession, report: Report) -> dict[str, int]:
    """Every balance of money from its entries and leases; what is spent of the leases of each purse."""
    sides = union_all(_movements(Entry.debit, Entry.credit, 1), _movements(Entry.credit, Entry.debit, -1)).subquery().c
    sums = select(sides.purse, *map(func.sum, (sides.high, sides.low, sides.earned_high, sides.earned_low))).group_by(sides.purse)
    moved = {purse: _pairs(halves) for purse, *halves in await session.execute(sums)}
    parts = (*_halves(Lease.amount - Lease.posted), *_halves(Lease.posted), *_halves(Lease.spent))
    leases = select(Lease.purse_id, *map(func.sum, parts)).group_by(Lease.purse_id)
    leased = {purse: _pairs(halves) for purse, *halves in await session.execute(leases)}
    for purse, balance in await session.execute(select(Purse.id, Purse.balance).where(Purse.kind.in_(MONEY)).order_by(Purse.id)):
        report.purses += 1
        entered, earned = moved.get(purse, (0, 0))
        out, posted, _ = leased.get(purse, (0, 0, 0))
        report.compare("balance", purse, entered - out, balance, "The balance is not what entries and leases come to.")
        report.compare("posted", purse, posted, earned, "What the leases have posted is not what the entries say was earned.")
        if balance + out < 0 and len(report.negative) < LISTED:
            report.negative[purse] = balance + out
    return {purse: spent for purse, (_, _, spent) in leased.items()}


def _movements(purse: Any, other: Any, sign: int) -> Select[Any]:
    """One side of all entries: what its purse gains, and what the revenue earns of it."""
    high, low = _halves(Entry.amount_nano)
    earned = (case((other == REVENUE, half * -sign), else_=0) for half in (high, low))
    names = ("high", "low", "earned_high", "earned_low")
    halves = (half.label(name) for half, name in zip((high * sign, low * sign, *earned), names, strict=True))
    return select(purse.label("purse"), *halves)


def _halves(amount: Any) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The high and the low 32 bits: SQLite refuses to add up what passes 64 on the way, although the result would fit."""
    bits: Any = literal_column("32", Integer())
    return amount.bitwise_rshift(bits), amount.bitwise_and(constant(0xFFFFFFFF))


def _pairs(halves: Sequence[Any]) -> tuple[int, ...]:
    """Numbers from the sums of their halves."""
    return tuple((int(high) << 32) + int(low) for high, low in zip(halves[::2], halves[1::2], strict=True))


async def _entries(session: AsyncSession, report: Report) -> None:
    """Every entry moves something between one purse of its account and one of the accounts without a floor."""
    report.entries = await session.scalar(select(func.count()).select_from(Entry)) or 0
    debit, credit = aliased(Purse), aliased(Purse)
    query = (
        select(Entry.id, Entry.amount_nano, debit.account_id, credit.account_id, Entry.account_id)
        .outerjoin(debit, and_(debit.id == Entry.debit, debit.kind.in_(MONEY)))
        .outerjoin(credit, and_(credit.id == Entry.credit, credit.kind.in_(MONEY)))
    )
    wrong = or_(
        Entry.amount_nano <= 0,
        func.coalesce(debit.account_id, credit.account_id, "") != Entry.account_id,
        debit.id.is_not(None) & credit.id.is_not(None),
    )
    for entry, amount, *_ in await session.execute(query.where(wrong).order_by(Entry.id).limit(LISTED)):
        report.compare(
            "entry", entry, None, amount, "The entry is not above zero, or not between one purse of its account and the outside."
        )


async def _grants(session: AsyncSession, report: Report) -> None:
    """Every grant has an entry of its amount."""
    entered = aliased(Entry)
    query = select(Grant.id, Grant.amount_nano, entered.amount_nano).outerjoin(entered, entered.id == literal("grant/") + Grant.id)
    wrong = or_(entered.amount_nano.is_(None), entered.amount_nano != Grant.amount_nano)
    for grant, amount, found in await session.execute(query.where(wrong).order_by(Grant.id).limit(LISTED)):
        report.compare("grant", grant, amount, found, "The grant has no entry, or one of another amount.")


async def _charges(session: AsyncSession, catalog: Catalog, report: Report, paying: set[str]) -> dict[str, _Spent]:
    """Every charge from its usage and its price; what the charges of each account come to."""
    prices = Prices(session, catalog)
    rolled = await mark(session)
    spent: dict[str, _Spent] = {}
    number = 0
    while rows := (
        await session.execute(select(*_ROW).where(ChargeRow.number > number).order_by(ChargeRow.number).limit(BATCH_ROWS))
    ).all():
        for *fields, number in rows:
            charge = Charge(*fields)
            account_id = charge.account_id or OPERATOR
            await _check_charge(report, charge, prices, account_id in paying)
            one = spent.get(account_id)
            if one is None:
                one = spent[account_id] = _Spent()
            one.cost_nano += charge.cost_nano
            one.free_nano += charge.free_nano
            if number <= rolled:
                one.requests += 1
                one.summed_nano += min(max(charge.cost_nano, 0), MOST)
        report.charges += len(rows)
    return spent


async def _check_charge(report: Report, charge: Charge, prices: Prices, pays: bool) -> None:
    if not 0 <= charge.free_nano <= charge.cost_nano:
        report.compare(
            "free", charge.id, None, charge.free_nano, f"More of the cost is free than the cost of {charge.cost_nano}, or less than none."
        )
    price = await prices.of(charge)
    if price is not None:
        report.compare("charge", charge.id, price.cost(usage_of(charge)), charge.cost_nano, "The cost is not what usage and price come to.")
    elif charge.price_version is None:
        report.compare("charge", charge.id, 0, charge.cost_nano, "The charge has a cost and no price.")
    elif pays:
        report.compare("price", charge.id, None, charge.cost_nano, f"The price '{charge.price_version}' is not known any more.")
    else:
        report.unproven += 1


def _compare_spending(report: Report, account_id: str, spent: _Spent, leased: dict[str, int], kind: tuple[bool, bool]) -> None:
    """What the charges of an account drew of its purses is what was spent of their leases."""
    prepaid, turned = kind
    for purse, charged in ((paid(account_id), spent.cost_nano - spent.free_nano), (free(account_id), spent.free_nano)):
        drawn = leased.get(purse, 0)
        if turned and drawn <= charged:
            continue  # while it was not prepaid, charges drew on nothing
        expected = charged if prepaid or turned else 0
        report.compare("spent", purse, expected, drawn, "What was spent of the leases is not what the charges come to.")


async def _sums(session: AsyncSession, report: Report, spent: dict[str, _Spent]) -> None:
    """The sums by hour and day, and the index, are those of the charges that the roll-up has seen."""
    indexed = select(ChargeOf.account_id, func.count(), literal(0))
    sums = {
        "usage_hour": _sum_of(UsageHour),
        "usage_day": _sum_of(UsageDay).where(of_days(None, by_key=True)),
        "usage_day of all keys": _sum_of(UsageDay).where(of_days(None)),
        "charge_of": indexed.group_by(ChargeOf.account_id),
    }
    for table, query in sums.items():
        found = {account_id: (int(requests), int(cost)) for account_id, requests, cost in await session.execute(query)}
        for account_id in sorted(found.keys() | spent.keys()):
            one = spent.get(account_id) or _Spent()
            requests, cost_nano = found.get(account_id, (0, 0))
            report.compare(table, account_id, one.requests, requests, "So many requests are not those of the charges.")
            if table != "charge_of":
                report.compare(table, account_id, one.summed_nano, cost_nano, "The sum of costs is not that of the charges.")


def _sum_of(usage: type[UsageHour | UsageDay]) -> Select[Any]:
    columns: tuple[Any, ...] = (usage.account_id, func.sum(usage.requests), func.sum(usage.cost_nano))
    return select(*columns).group_by(usage.account_id)


async def _unswept(session: AsyncSession, report: Report, now_ms: int) -> None:
    report.leases = await session.scalar(select(func.count()).select_from(Lease)) or 0
    query = select(Lease.id).outerjoin(Worker, Worker.id == Lease.worker).where(Lease.closed_at_ms.is_(None))
    dead = or_(Worker.id.is_(None), Worker.seen_at_ms < now_ms - DEAD_MS)
    report.unswept = list(await session.scalars(query.where(dead).order_by(Lease.id).limit(LISTED)))
