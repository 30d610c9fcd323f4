"""The ledger on both engines: every act is one entry and moves the balance once, whatever is asked and however often."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from money_desk import DAY_MS, DOLLAR, Desk
from penstock.accounts.identity import CLI
from penstock.billing.grants import expire
from penstock.billing.ledger import AMOUNT_LIMIT_NANO, Balance, Movement, Posting, payee, post, signed_nano
from penstock.billing.models import Entry, Recall
from penstock.billing.purses import free, paid
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError
from penstock.kit.money import MAX_NANO
from penstock.kit.pages import Place, decode


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
async def anna(desk: Desk) -> str:
    return await desk.account()


async def refused(act, code: str, words: str | None = None) -> PenstockError:
    with pytest.raises(PenstockError, match=words) as caught:
        await act
    assert caught.value.code == code
    return caught.value


async def test_top_up(desk, anna):
    entry = await desk.top_up(anna, 5 * DOLLAR, ref="order-1", note="by bank transfer")
    assert (entry.id, entry.kind, entry.debit, entry.credit) == ("top_up/order-1", "top_up", paid(anna), "cash")
    assert (entry.amount_nano, entry.ref, entry.note, entry.created_at_ms) == (5 * DOLLAR, "order-1", "by bank transfer", desk.clock.ms)
    assert await desk.balance(anna) == Balance(anna, 5 * DOLLAR, 0, 0)
    (event,) = await desk.events()
    assert (event.action, event.subject, event.account_id, event.detail) == ("top_up.create", entry.id, anna, {"amount_nano": 5 * DOLLAR})
    await desk.audit()


async def test_a_balance_of_nothing(desk, anna):
    assert await desk.balance(anna) == Balance(anna, 0, 0, 0)
    assert (await desk.ledger.entries(anna)).data == []


async def test_the_same_reference_moves_money_once(desk, anna):
    first = await desk.top_up(anna, 5, ref="order-1")
    desk.clock.ms += 1000
    again = await desk.top_up(anna, 5, ref="order-1", note="once more")
    assert (again.id, again.created_at_ms, again.note) == (first.id, first.created_at_ms, "")
    assert (await desk.balance(anna)).paid_nano == 5
    assert len(await desk.events()) == 1


async def test_the_same_reference_with_other_facts(desk, anna):
    await desk.top_up(anna, 5, ref="order-1")
    other = await desk.account()
    for act in (desk.top_up(anna, 6, ref="order-1"), desk.top_up(other, 5, ref="order-1")):
        assert (await refused(act, "conflict", "in the books already")).param == "ref"
    assert [(await desk.balance(one)).paid_nano for one in (anna, other)] == [5, 0]
    await desk.audit()


async def test_without_a_reference_each_is_its_own(desk, anna):
    ids = {(await desk.top_up(anna, 5)).id for _ in range(3)}
    assert len(ids) == 3
    assert (await desk.balance(anna)).paid_nano == 15


async def test_the_same_reference_at_once(desk, anna):
    entries = await asyncio.gather(*(desk.top_up(anna, 5, ref="order-1") for _ in range(10)))
    assert {entry.id for entry in entries} == {"top_up/order-1"}
    assert (await desk.balance(anna)).paid_nano == 5
    assert len(await desk.events()) == 1


async def test_one_reference_for_two_accounts_at_once(desk, anna):
    accounts = [anna, *[await desk.account() for _ in range(5)]]
    outcomes = await asyncio.gather(*(desk.top_up(one, 5, ref="order-1") for one in accounts), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Entry"] + ["PenstockError"] * 5
    assert sum([(await desk.balance(one)).paid_nano for one in accounts]) == 5
    await desk.audit()


async def test_many_at_once_all_count(desk, anna):
    await asyncio.gather(*(desk.top_up(anna, 1) for _ in range(20)), *(desk.grant(anna, 2, days=1) for _ in range(10)))
    assert await desk.balance(anna) == Balance(anna, 20, 20, 0)
    await desk.audit()


async def test_adjust_up_and_down(desk, anna):
    await desk.adjust(anna, 10, ref="a")
    down = await desk.adjust(anna, -4, ref="b")
    assert (down.kind, down.debit, down.credit, down.amount_nano) == ("adjust", "adjustments", paid(anna), 4)
    assert signed_nano(down) == -4
    assert (await desk.balance(anna)).paid_nano == 6
    assert [event.detail["amount_nano"] for event in await desk.events()] == [10, -4]
    assert (await desk.adjust(anna, -4, ref="b")).id == "adjust/b"
    assert (await desk.balance(anna)).paid_nano == 6
    await refused(desk.adjust(anna, 4, ref="b"), "conflict")
    await desk.audit()


async def test_adjust_needs_a_reason(desk, anna):
    assert (await refused(desk.adjust(anna, 10, note=""), "invalid_request", "why")).param == "note"


async def test_nothing_is_taken_that_is_not_there(desk, anna):
    await desk.top_up(anna, 10)
    await refused(desk.adjust(anna, -11), "conflict", r"holds 0\.00000001 dollars")
    entry = await desk.adjust(anna, -11, force=True, ref="c")
    assert (await desk.balance(anna)).paid_nano == -1
    assert entry.id == (await desk.adjust(anna, -11, ref="c")).id  # done already, so there is nothing left to refuse
    await desk.audit()


async def test_refund(desk, anna):
    top_up = await desk.top_up(anna, 10)
    part = await desk.refund(top_up, 4, note="half")
    assert (part.kind, part.debit, part.credit, part.amount_nano, part.ref) == ("refund", "cash", paid(anna), 4, top_up.id)
    await refused(desk.refund(top_up, 7), "conflict", r"0\.000000006 dollars are left")
    await desk.refund(top_up, 6)
    await refused(desk.refund(top_up, 1), "conflict", "0 dollars are left")
    assert (await desk.balance(anna)).paid_nano == 0
    await desk.audit()


async def test_a_refund_is_repeated_by_its_reference(desk, anna):
    top_up = await desk.top_up(anna, 10)
    await desk.refund(top_up, 10, ref="r1")
    assert (await desk.refund(top_up, 10, ref="r1")).id == "refund/r1"
    assert (await desk.balance(anna)).paid_nano == 0


async def test_refunds_at_once_never_exceed_what_was_paid(desk, anna):
    top_up = await desk.top_up(anna, 10)
    await desk.top_up(anna, 100)
    outcomes = await asyncio.gather(*(desk.refund(top_up, 4) for _ in range(5)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Entry"] * 2 + ["PenstockError"] * 3
    assert (await desk.balance(anna)).paid_nano == 102


async def test_a_refund_stops_at_the_balance(desk, anna):
    top_up = await desk.top_up(anna, 10)
    await desk.adjust(anna, -8)
    await refused(desk.refund(top_up, 3), "conflict", "force")
    await desk.refund(top_up, 3, force=True)
    assert (await desk.balance(anna)).paid_nano == -1


async def test_only_the_accounts_own_top_ups_are_refunded(desk, anna):
    theirs = await desk.top_up(await desk.account(), 10)
    ours = await desk.adjust(anna, 10)
    for top_up_id in (theirs.id, ours.id, "top_up/none"):
        act = desk.do(lambda session, top_up_id=top_up_id: desk.ledger.refund(session, CLI, top_up_id, Movement(anna, 1)))
        assert (await refused(act, "not_found")).param == "top_up_id"


@pytest.mark.parametrize("amount", [0, -1, True, 1.0, "5", None, AMOUNT_LIMIT_NANO + 1, 2**63, -(2**63), 10**400])
async def test_amounts_that_are_refused(desk, anna, amount):
    top_up = await desk.top_up(anna, 1)
    acts = [desk.top_up(anna, amount), desk.refund(top_up, amount), desk.grant(anna, amount)]
    if type(amount) is not int or not amount or abs(amount) > AMOUNT_LIMIT_NANO:
        acts.append(desk.adjust(anna, amount))
    for act in acts:
        assert (await refused(act, "invalid_request", "nano-dollars")).param == "amount_nano"
    assert await desk.balance(anna) == Balance(anna, 1, 0, 0)


async def test_a_balance_stays_within_64_bits(desk, anna):
    for _ in range(9):
        await desk.top_up(anna, AMOUNT_LIMIT_NANO)
    rest = MAX_NANO - 9 * AMOUNT_LIMIT_NANO
    assert (await refused(desk.top_up(anna, rest + 1), "invalid_request", "64 bits")).param == "amount_nano"
    lease = await desk.lease(paid(anna), 8 * AMOUNT_LIMIT_NANO)
    assert (await desk.balance(anna)) == Balance(anna, 9 * AMOUNT_LIMIT_NANO, 0, 8 * AMOUNT_LIMIT_NANO)
    # what is on lease comes back one day
    await refused(desk.top_up(anna, rest + 1), "invalid_request", "64 bits")
    await desk.top_up(anna, rest)
    await desk.close()
    assert (await desk.balance(anna)) == Balance(anna, MAX_NANO, 0, 0)
    assert lease
    await desk.audit()


async def test_a_debt_stays_within_64_bits(desk, anna):
    for _ in range(9):
        await desk.adjust(anna, -AMOUNT_LIMIT_NANO, force=True)
    await refused(desk.adjust(anna, -AMOUNT_LIMIT_NANO, force=True), "invalid_request", "64 bits")
    assert (await desk.balance(anna)).paid_nano == -9 * AMOUNT_LIMIT_NANO


async def test_accounts_that_cannot_be_paid(desk):
    gone = await desk.account(deleted_at_ms=1)
    for account_id in (gone, "acc_none", ""):
        for act in (desk.top_up(account_id, 1), desk.adjust(account_id, 1), desk.grant(account_id, 1)):
            await refused(act, "not_found", "no account")
    await refused(desk.balance("acc_none"), "not_found")
    await refused(desk.ledger.entries("acc_none"), "not_found")
    assert (await desk.balance(gone)).paid_nano == 0


async def test_a_disabled_account_still_gets_what_was_paid(desk):
    account = await desk.account(disabled_at_ms=1)
    await desk.top_up(account, 5)
    assert (await desk.balance(account)).paid_nano == 5


@pytest.mark.parametrize("text", ["x" * 201, "a\nb", " a", "a\x00"])
async def test_references_and_notes_that_are_refused(desk, anna, text):
    assert (await refused(desk.top_up(anna, 1, ref=text), "invalid_request")).param == "ref"
    assert (await refused(desk.top_up(anna, 1, note=text), "invalid_request")).param == "note"
    assert (await desk.ledger.entries(anna)).data == []


async def test_the_balance_while_workers_hold_some(desk, anna):
    await desk.top_up(anna, 100)
    await desk.grant(anna, 30)
    lease, other = await desk.lease(paid(anna), 60), await desk.lease(free(anna), 50, worker="wrk_b")
    assert await desk.balance(anna) == Balance(anna, 100, 30, 90)
    await desk.spend(lease, 25)
    await desk.spend(other, 30)
    assert await desk.balance(anna) == Balance(anna, 75, 0, 35)
    await desk.spend(lease, 100)  # completed usage always counts
    assert await desk.balance(anna) == Balance(anna, -25, 0, -65)
    await desk.close()
    await desk.close("wrk_b")
    assert await desk.balance(anna) == Balance(anna, -25, 0, 0)
    await desk.audit()


async def test_what_is_on_lease_is_not_taken_away(desk, anna):
    await desk.top_up(anna, 100)
    await desk.lease(paid(anna), 60)
    await refused(desk.adjust(anna, -50), "conflict", r"holds 0\.00000004 dollars")
    await desk.adjust(anna, -40)
    assert await desk.balance(anna) == Balance(anna, 60, 0, 60)


async def test_gather_calls_back_what_is_on_lease(desk, anna):
    await desk.top_up(anna, 100)
    await desk.lease(paid(anna), 60)

    async def worker() -> None:
        asked = None
        while asked is None:
            await asyncio.sleep(0.01)
            asked = await desk.do(lambda session: session.scalar(select(Recall.purse_id)))
        assert asked == paid(anna)
        await desk.close()

    await asyncio.gather(desk.ledger.gather(anna, 90), worker())
    await desk.adjust(anna, -90)
    assert (await desk.balance(anna)).paid_nano == 10


async def test_gather_calls_nobody_without_need(desk, anna):
    await desk.top_up(anna, 100)
    await desk.lease(paid(anna), 60)
    await desk.ledger.gather(anna, 40)
    await desk.ledger.gather(anna, 101)
    await desk.ledger.gather(await desk.account(), 1)
    assert await desk.do(lambda session: session.scalar(select(Recall.purse_id))) is None


async def test_entries_come_in_pages_newest_first(desk, anna):
    made = []
    for number in range(7):
        made.append((await desk.top_up(anna, 1, ref=f"{9 - number}")).id)
        desk.clock.ms += number % 2  # two at the same time
    made.append((await desk.adjust(anna, -1)).id)
    await desk.top_up(await desk.account(), 1)
    found: list[Entry] = []
    place: Place | None = Place(None, 3)
    while place is not None:
        page = await desk.ledger.entries(anna, place)
        found += page.data
        place = None if page.next is None else Place(decode(page.next), 3)
    assert sorted(entry.id for entry in found) == sorted(made)
    assert [entry.created_at_ms for entry in found] == sorted((entry.created_at_ms for entry in found), reverse=True)
    assert [entry.kind for entry in (await desk.ledger.entries(anna, kind="adjust")).data] == ["adjust"]


@pytest.mark.parametrize("position", ["x", "1", "-1:a", "9999999999999999999:a", "٣:a"])
async def test_foreign_cursors(desk, anna, position):
    if position == "1":
        assert (await desk.ledger.entries(anna, Place(position))).data == []
    else:
        assert (await refused(desk.ledger.entries(anna, Place(position)), "invalid_request", "cursor")).param == "cursor"


async def test_post_is_once_for_the_same_posting(desk, anna):
    posting = Posting("app_charge/1", "app_charge", anna, "paid", -5, "revenue", "1")

    async def twice(session):
        await payee(session, anna)
        return [(await post(session, posting, desk.clock.ms)).new for _ in range(2)]

    assert await desk.do(twice) == [True, False]
    assert (await desk.balance(anna)).paid_nano == -5
    await desk.audit()


async def test_a_transaction_that_fails_leaves_nothing(desk, anna):
    async def fail(session):
        await desk.ledger.top_up(session, CLI, Movement(anna, 5, "order-1"))
        raise LookupError

    with pytest.raises(LookupError):
        await desk.do(fail)
    assert (await desk.ledger.entries(anna)).data == []
    await desk.top_up(anna, 5, ref="order-1")
    assert (await desk.balance(anna)).paid_nano == 5


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("top_up"), st.integers(1, 50), st.sampled_from(["a", "b", "c", None])),
        st.tuples(st.just("adjust"), st.integers(-60, 60).filter(bool), st.sampled_from([True, False])),
        st.tuples(st.just("refund"), st.integers(1, 50), st.sampled_from([True, False])),
        st.tuples(st.just("grant"), st.integers(1, 50), st.integers(1, 3)),
        st.tuples(st.just("lease"), st.sampled_from(["paid", "free"]), st.integers(1, 40)),
        st.tuples(st.just("spend"), st.integers(0, 3), st.integers(1, 30)),
        st.tuples(st.just("close"), st.none(), st.none()),
        st.tuples(st.just("wait"), st.integers(0, 2), st.none()),
    ),
    max_size=15,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_entries_and_balances_agree_whatever_is_done(database_url, acts):
    """Beside it, what was accepted is added up by hand. Every example has accounts of its own."""

    async def play() -> None:
        database = Database(database_url)
        try:
            await _act_all(Desk(database), acts)
        finally:
            await database.close()

    asyncio.run(play())


async def _act_all(desk: Desk, acts) -> None:
    anna = await desk.account()
    leases: list[tuple[str, str]] = []
    expected = {"paid": 0, "free": 0}
    top_ups: dict[str, Entry] = {}
    for act, first, second in acts:
        try:
            if act == "top_up":
                known = set(top_ups)
                entry = await desk.top_up(anna, first, ref=second and f"{anna} {second}")
                top_ups[entry.id] = entry
                expected["paid"] += 0 if entry.id in known else first
            elif act == "adjust":
                await desk.adjust(anna, first, force=second)
                expected["paid"] += first
            elif act == "refund" and top_ups:
                await desk.refund(next(iter(top_ups.values())), first, force=second)
                expected["paid"] -= first
            elif act == "grant":
                await desk.grant(anna, first, days=second)
                expected["free"] += first
            elif act == "lease":
                leases.append((await desk.lease(f"{anna}/{first}", second), first))
            elif act == "spend" and first < len(leases):
                lease_id, kind = leases[first]
                await desk.spend(lease_id, second)
                expected[kind] -= second
            elif act == "close":
                await desk.close()
            elif act == "wait":
                desk.clock.ms += first * DAY_MS
                await expire(desk.database, desk.clock.ms)
        except PenstockError as error:
            if error.code != "conflict":
                raise
        expired = (await desk.ledger.entries(anna, Place(None, 1000), kind="expire")).data
        balance = await desk.balance(anna)
        assert balance.paid_nano == expected["paid"]
        assert balance.free_nano == expected["free"] - sum(entry.amount_nano for entry in expired)
        await desk.audit(anna)
