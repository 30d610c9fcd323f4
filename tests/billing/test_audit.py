"""The audit: sound books pass, and one nano-dollar too many or too few is found wherever it is."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import delete, text, update

from made_charges import NOON_MS, priced, random_charges, write
from money_desk import Desk
from penstock.accounts.identity import CLI
from penstock.accounts.models import Account
from penstock.accounts.trail import Trail
from penstock.billing import audit as audit_module
from penstock.billing.audit import Difference, audit
from penstock.billing.models import Lease, Purse, Worker
from penstock.billing.purses import free, paid
from penstock.billing.rollup import roll_up
from penstock.catalog.door import Catalog
from penstock.infra.revisions import Feed
from penstock.settings import Settings


@pytest.fixture
def desk(database):
    return Desk(database)


@pytest.fixture
def look(database, desk):
    """Audits the books."""

    async def looked():
        return await audit(database, Catalog(Settings(), database, Feed(database)), desk.clock)

    return looked


async def charge(desk, account_id, number, **given):
    """A request of an account, drawn of new leases: free money first."""
    made = priced(NOON_MS + number, number, account_id=account_id, **given)
    for purse, part in ((free(account_id), made.free_nano), (paid(account_id), made.cost_nano - made.free_nano)):
        if part:
            await desk.spend(await desk.lease(purse, part + 1000), part)
    await write(desk.database, [made])
    return made


@pytest.fixture
async def books(desk):
    """An account that has paid, was granted, adjusted and refunded, and has spent; another that owes; and the operator's requests."""
    anna, otto = await desk.account(), await desk.account()
    top_up = await desk.top_up(anna, 5 * 10**9)
    await desk.refund(top_up, 10**9)
    await desk.adjust(anna, -7)
    await desk.grant(anna, 10**6, note="welcome")
    await charge(desk, anna, 1, free_nano=3, input_tokens=1000)
    await charge(desk, anna, 2, multiplier_micro=1_234_567, output_tokens=777)
    await desk.close()
    await charge(desk, anna, 3, extra_usage='{"images": 2, "service_tier": "flex"}')
    await desk.top_up(otto, 5)
    await desk.spend(await desk.lease(paid(otto), 5), priced(NOON_MS).cost_nano)
    await write(desk.database, [priced(NOON_MS, 10, account_id=otto)])
    await desk.close()
    await write(desk.database, [priced(NOON_MS + number, 20 + number) for number in range(5)])
    await roll_up(desk.database)
    await write(desk.database, [priced(NOON_MS, 40)])
    return anna, otto


async def test_sound_books(desk, books, look):
    report = await look()
    assert report.differences == []
    assert report.well
    assert (report.accounts, report.purses, report.charges, report.unproven) == (3, 3, 10, 0)
    assert report.entries > 5
    assert report.leases > 3
    assert report.negative == {paid(books[1]): 5 - priced(NOON_MS).cost_nano}


async def test_books_without_anything(look):
    report = await look()
    assert report.well
    assert (report.accounts, report.purses, report.entries, report.leases, report.charges) == (1, 0, 0, 0, 0)


PLANTED = {
    "a balance": ("UPDATE purse SET balance = balance + 1 WHERE kind = 'paid'", "balance"),
    "a balance of free money": ("UPDATE purse SET balance = balance - 1 WHERE kind = 'free'", "balance"),
    "an entry": ("UPDATE entry SET amount_nano = amount_nano + 1 WHERE kind = 'adjust'", "balance"),
    "an entry of requests": ("UPDATE entry SET amount_nano = amount_nano + 1 WHERE kind = 'charge'", "posted"),
    "a grant": ("UPDATE free_grant SET amount_nano = amount_nano + 1", "grant"),
    "what a lease has": ("UPDATE lease SET amount = amount + 1", "balance"),
    "what is spent of a lease": ("UPDATE lease SET spent = spent + 1", "spent"),
    "what is posted of a lease": ("UPDATE lease SET posted = posted - 1", "posted"),
    "a cost": ("UPDATE charge SET cost_nano = cost_nano + 1 WHERE account_id IS NOT NULL", "charge"),
    "a cost of the operator's": ("UPDATE charge SET cost_nano = cost_nano - 1 WHERE account_id IS NULL", "charge"),
    "free money": ("UPDATE charge SET free_nano = free_nano + 1 WHERE account_id IS NOT NULL", "spent"),
    "usage": ("UPDATE charge SET output_tokens = output_tokens + 1", "charge"),
    "a multiplier": ("UPDATE charge SET multiplier_micro = 1300000 WHERE output_tokens = 777", "charge"),
    "a price": ("UPDATE charge SET price_version = NULL WHERE account_id IS NOT NULL", "charge"),
    "an unknown price": ("UPDATE charge SET price_version = 'own nobody 123' WHERE account_id IS NOT NULL", "price"),
    "a sum of an hour": ("UPDATE usage_hour SET cost_nano = cost_nano + 1", "usage_hour"),
    "a sum of a day": ("UPDATE usage_day SET requests = requests - 1 WHERE key_id <> '*'", "usage_day"),
    "a sum of a day of all keys": ("UPDATE usage_day SET cost_nano = cost_nano - 1 WHERE key_id = '*'", "usage_day of all keys"),
    "the index": ("DELETE FROM charge_of WHERE account_id = 'acc_operator'", "charge_of"),
    "an entry about another's purse": ("UPDATE entry SET account_id = 'acc_operator' WHERE kind = 'adjust'", "entry"),
    "an entry from purse to purse": ("UPDATE entry SET debit = (SELECT id FROM purse WHERE kind = 'free') WHERE kind = 'adjust'", "entry"),
    "a charge that was never written": ("DELETE FROM charge WHERE output_tokens = 777", "spent"),
    "an entry that is gone": ("DELETE FROM entry WHERE kind = 'refund'", "balance"),
}


@pytest.mark.parametrize("place", PLANTED)
async def test_one_nano_dollar_is_found(desk, books, look, place):
    statement, what = PLANTED[place]
    async with desk.database.session() as session:
        assert (await session.execute(text(statement))).rowcount > 0
    report = await look()
    assert not report.well
    assert what in {found.what for found in report.differences}


async def test_a_difference_says_how_much(desk, books, look):
    async with desk.database.session() as session:
        await session.execute(update(Purse).where(Purse.id == paid(books[0])).values(balance=Purse.balance + 1))
    [found] = (await look()).differences
    assert (found.what, found.id, found.found - found.expected) == ("balance", paid(books[0]), 1)


async def test_more_free_than_the_cost(desk, look):
    await write(desk.database, [priced(NOON_MS, free_nano=10**12)])
    assert [found.what for found in (await look()).differences] == ["free"]


async def test_the_operator_s_old_charges_need_no_price(desk, look):
    await write(desk.database, [priced(NOON_MS, price_version="genai-prices 0.0.1 openai/gpt-4o first")])
    report = await look()
    assert (report.well, report.unproven) == (True, 1)


async def test_amounts_whose_sum_passes_64_bits_on_the_way(desk, look):
    anna = await desk.account()
    for _ in range(12):
        await desk.top_up(anna, 10**18)
        await desk.adjust(anna, -(10**18))
    assert (await look()).well
    async with desk.database.session() as session:
        await session.execute(update(Purse).values(balance=1))
    assert [(found.expected, found.found) for found in (await look()).differences] == [(0, 1)]


async def test_leases_of_the_dead_are_listed(desk, books, look):
    await desk.close()
    await desk.lease(paid(books[0]), 100, worker="wrk_b")
    dead = {await desk.lease(paid(books[0]), 100, worker=worker) for worker in ("wrk_c", "wrk_of_nobody")}
    async with desk.database.session() as session:
        for worker, age_ms in (("wrk_b", 1000), ("wrk_c", 120_000)):
            await session.execute(update(Worker).where(Worker.id == worker).values(seen_at_ms=desk.clock() - age_ms))
        await session.execute(delete(Worker).where(Worker.id == "wrk_of_nobody"))
    report = await look()
    assert set(report.unswept) == dead
    assert report.well


@pytest.mark.parametrize("now_prepaid", [True, False])
async def test_an_account_that_was_prepaid_at_some_times_only(desk, look, now_prepaid):
    """Some of its charges drew on its purse, the others on nothing."""
    anna = await desk.account(prepaid=now_prepaid)
    await desk.top_up(anna, 10**9)
    await charge(desk, anna, 1)
    await write(desk.database, [priced(NOON_MS, 2, account_id=anna)])
    await desk.close()
    assert not (await look()).well
    async with desk.database.session() as session:
        await Trail(desk.database).note(session, CLI, "account.change", anna, account_id=anna, detail={"prepaid": True})
    assert (await look()).well
    async with desk.database.session() as session:
        await session.execute(update(Lease).values(spent=Lease.spent * 10))
    assert "spent" in {found.what for found in (await look()).differences}


async def test_many_differences_are_counted_and_some_listed(desk, look, monkeypatch):
    monkeypatch.setattr(audit_module, "LISTED", 3)
    monkeypatch.setattr(audit_module, "BATCH_ROWS", 7)
    await write(desk.database, [priced(NOON_MS, number, cost_nano=1) for number in range(20)])
    report = await look()
    assert (report.difference_count, len(report.differences), report.charges) == (20, 3, 20)


async def test_a_report_is_json(desk, look):
    await write(desk.database, [priced(NOON_MS, cost_nano=1)])
    report = await look()
    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
    assert isinstance(report.differences[0], Difference)


async def test_charges_of_accounts_that_are_gone(desk, look):
    """Nobody's account is no reason to fail: charges outlive whatever they are of."""
    await write(desk.database, random_charges(30, seed=9))
    report = await look()
    assert report.charges == 30
    async with desk.database.session() as session:
        assert await session.get(Account, "acc_a") is None
