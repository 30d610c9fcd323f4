"""Redemption codes on both engines: hard to guess, easy to type, kept as digests, worth something once."""

from __future__ import annotations

import asyncio
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from money_desk import DAY_MS, DOLLAR, Desk, member
from penstock.accounts.identity import CLI
from penstock.billing.codes import Issued, Plan, Redeemed, digest_of, make_code, state_of
from penstock.billing.ledger import Balance
from penstock.billing.membership import add_months
from penstock.billing.models import Code
from penstock.infra.database import Database
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place, decode

FORM = re.compile(r"[0-9A-HJKMNP-TV-Z]{6}(-[0-9A-HJKMNP-TV-Z]{6}){4}")


LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LIKE = {"1": "IiLl", "0": "Oo", "V": "Uu", "-": " _–"}


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
async def anna(desk: Desk) -> str:
    return await desk.account()


async def make(desk: Desk, **given_) -> Issued:
    plan = Plan(**{"count": 1, "kind": "top_up", "amount_nano": 5 * DOLLAR, **given_})
    return await desk.do(lambda session: desk.codes.create(session, CLI, plan))


async def redeem(desk: Desk, account_id: str, text: str) -> Redeemed:
    await desk.codes.admit(member(account_id))
    return await desk.do(lambda session: desk.codes.redeem(session, member(account_id), text))


async def refused(act, code: str, words: str | None = None) -> PenstockError:
    with pytest.raises(PenstockError, match=words) as caught:
        await act
    assert caught.value.code == code
    return caught.value


def test_codes_are_in_groups_and_differ():
    codes = {make_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert [code for code in codes if FORM.fullmatch(code) is None] == []
    assert make_code("SPRING").startswith("SPRING-")


@given(seed=st.integers(0, 2**32), prefix=st.sampled_from(["", "A", "GIFT2026"]))
def test_a_code_is_read_however_it_is_written(seed, prefix):
    code, chance = make_code(prefix), Random(seed)
    spelt = "".join(chance.choice([letter, letter.lower(), *LIKE.get(letter, "")]) for letter in code)
    assert digest_of(f"  {spelt}\n") == digest_of(code) is not None


@given(seed=st.integers(0, 2**32))
def test_a_mistyped_code_is_seen_without_looking_it_up(seed):
    code, chance = make_code().replace("-", ""), Random(seed)
    place = chance.randrange(len(code))
    letter = chance.choice([one for one in LETTERS if one != code[place]])
    assert digest_of(code[:place] + letter + code[place + 1 :]) is None
    assert digest_of(code[:place] + code[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "-", "hello", "0" * 30, "é" * 30, "\x00" * 30, "A" * 10_000, "'; DROP TABLE code; --"])
def test_what_is_no_code(text):
    assert digest_of(text) is None


async def test_a_batch(desk):
    issued = await make(desk, count=3, prefix="SPRING", expires_at_ms=desk.clock.ms + DAY_MS)
    batch = await desk.codes.batch(issued.batch.id)
    assert batch == issued.batch
    assert (batch.kind, batch.amount_nano, batch.prefix, batch.count, batch.redeemed, batch.disabled) == (
        "top_up",
        5 * DOLLAR,
        "SPRING",
        3,
        0,
        0,
    )
    assert (batch.created_at_ms, batch.created_by, batch.expires_at_ms) == (desk.clock.ms, "acc_operator", desk.clock.ms + DAY_MS)
    listed = (await desk.codes.list(batch.id)).data
    assert [code.id for code in listed] == [code_id for code_id, _ in issued.codes]
    assert {state_of(code, desk.clock.ms) for code in listed} == {"open"}
    (event,) = await desk.events()
    assert (event.action, event.subject, event.detail["count"]) == ("codes.create", batch.id, 3)


async def test_the_codes_themselves_are_kept_nowhere(desk):
    ((_, code),) = (await make(desk, prefix="SPRING")).codes
    async with desk.database.session(read_only=True) as session:
        (row,) = (await session.execute(select(*Code.__table__.columns))).all()
    stored = repr(row) + repr([event.detail for event in await desk.events()])
    assert [group for group in code.split("-")[1:] if group in stored] == []


async def test_the_largest_batch(desk):
    issued = await make(desk, count=10_000)
    assert len({code for _, code in issued.codes}) == 10_000
    assert (await desk.codes.batch(issued.batch.id)).count == 10_000


async def test_redeem(desk, anna):
    ((code_id, code), _) = (await make(desk, count=2)).codes
    assert await redeem(desk, anna, code.lower()) == Redeemed(code_id, "top_up", 5 * DOLLAR, None)
    assert await desk.balance(anna) == Balance(anna, 5 * DOLLAR, 0, 0)
    (entry,) = (await desk.ledger.entries(anna)).data
    assert (entry.id, entry.kind, entry.credit, entry.ref) == (f"code/{code_id}", "top_up", "cash", code_id)
    (page,) = (await desk.codes.batches()).data
    assert (page.count, page.redeemed, page.disabled) == (2, 1, 0)
    event = (await desk.events())[-1]
    assert (event.action, event.subject, event.account_id, event.actor) == ("code.redeem", code_id, anna, anna)
    await desk.audit()


async def test_a_redeemed_top_up_earns_membership(desk, anna):
    await desk.earns("vip", {5: 1})
    await redeem(desk, anna, (await make(desk)).codes[0][1])
    assert (await desk.memberships.of(anna)).standing.until_ms == add_months(desk.clock.ms, 1)


async def test_a_grant_ends_some_days_after_it_was_redeemed(desk, anna):
    codes = (await make(desk, count=2, kind="grant", grant_days=30)).codes + (await make(desk, kind="grant")).codes
    desk.clock.ms += DAY_MS
    answers = [await redeem(desk, anna, code) for _, code in codes]
    assert [answer.expires_at_ms for answer in answers] == [desk.clock.ms + 30 * DAY_MS, desk.clock.ms + 30 * DAY_MS, None]
    assert await desk.balance(anna) == Balance(anna, 0, 15 * DOLLAR, 0)
    assert [grant.id for grant in await desk.grants.list(anna)] == [f"grt_{code_id}" for code_id, _ in codes]
    await desk.audit()


async def test_a_code_is_worth_something_once(desk, anna):
    ((_, code),) = (await make(desk)).codes
    await redeem(desk, anna, code)
    await refused(redeem(desk, anna, code), "conflict", "You have redeemed")
    await refused(redeem(desk, await desk.account(), code), "conflict", "has been redeemed already")
    assert (await desk.balance(anna)).paid_nano == 5 * DOLLAR


async def test_a_hundred_at_once_are_one(desk):
    ((_, code),) = (await make(desk)).codes
    accounts = [await desk.account() for _ in range(100)]
    outcomes = await asyncio.gather(*(redeem(desk, account_id, code) for account_id in accounts), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["PenstockError"] * 99 + ["Redeemed"]
    assert sum([(await desk.balance(account_id)).paid_nano for account_id in accounts]) == 5 * DOLLAR
    await desk.audit()


async def test_one_account_redeems_many_at_once(desk, anna):
    codes = (await make(desk, count=8)).codes
    await asyncio.gather(*(redeem(desk, anna, code) for _, code in codes))
    assert (await desk.balance(anna)).paid_nano == 40 * DOLLAR
    await desk.audit()


async def test_disable_a_batch(desk, anna):
    issued = await make(desk, count=3)
    await redeem(desk, anna, issued.codes[0][1])
    assert await desk.do(lambda session: desk.codes.disable_batch(session, CLI, issued.batch.id)) == 2
    await refused(redeem(desk, anna, issued.codes[1][1]), "conflict", "disabled")
    await refused(redeem(desk, anna, issued.codes[0][1]), "conflict", "You have redeemed")
    batch = await desk.codes.batch(issued.batch.id)
    assert (batch.count, batch.redeemed, batch.disabled) == (3, 1, 2)
    events = len(await desk.events())
    assert await desk.do(lambda session: desk.codes.disable_batch(session, CLI, issued.batch.id)) == 0
    assert len(await desk.events()) == events


async def test_disable_one_code(desk, anna):
    issued = await make(desk, count=2)
    assert [await desk.do(lambda session: desk.codes.disable_code(session, CLI, issued.codes[0][0])) for _ in range(2)] == [1, 0]
    assert [state_of(code, desk.clock.ms) for code in (await desk.codes.list(issued.batch.id)).data] == ["disabled", "open"]
    await redeem(desk, anna, issued.codes[1][1])


async def test_disabling_while_it_is_redeemed(desk, anna):
    """One of the two is first; whichever it is, the other sees it."""
    issued = await make(desk, count=6)
    acts = [redeem(desk, anna, code) for _, code in issued.codes]
    outcomes = await asyncio.gather(
        *acts, desk.do(lambda session: desk.codes.disable_batch(session, CLI, issued.batch.id)), return_exceptions=True
    )
    redeemed = [outcome for outcome in outcomes if isinstance(outcome, Redeemed)]
    batch = await desk.codes.batch(issued.batch.id)
    assert (batch.redeemed, batch.redeemed + batch.disabled) == (len(redeemed), 6)
    assert (await desk.balance(anna)).paid_nano == 5 * DOLLAR * len(redeemed)


async def test_codes_expire(desk, anna):
    ((_, code),) = (await make(desk, expires_at_ms=desk.clock.ms + 10)).codes
    desk.clock.ms += 10
    await refused(redeem(desk, anna, code), "conflict", "expired")
    (listed,) = (await desk.codes.list((await desk.codes.batches()).data[0].id)).data
    assert state_of(listed, desk.clock.ms) == "expired"


async def test_unknown_and_mistyped_codes(desk, anna):
    assert (await refused(redeem(desk, anna, make_code()), "not_found", "no such code")).param == "code"
    assert (await refused(redeem(desk, anna, "hello"), "invalid_request", "not a code")).param == "code"


async def test_many_wrong_codes_are_throttled(desk, anna):
    good = (await make(desk, count=2)).codes
    await redeem(desk, anna, good[0][1])
    for _ in range(11):
        await refused(redeem(desk, anna, make_code()), "not_found")
    error = await refused(redeem(desk, anna, good[1][1]), "too_many_requests")
    assert error.retry_after_s == 1
    await redeem(desk, await desk.account(), good[1][1])  # others are not kept waiting
    desk.clock.ms += 1000
    await refused(redeem(desk, anna, make_code()), "not_found")


async def test_good_codes_are_not_throttled(desk, anna):
    for _, code in (await make(desk, count=30)).codes:
        await redeem(desk, anna, code)


async def test_accounts_that_cannot_redeem(desk):
    ((_, code),) = (await make(desk)).codes
    await refused(redeem(desk, await desk.account(disabled_at_ms=1), code), "account_disabled")
    await refused(redeem(desk, await desk.account(deleted_at_ms=1), code), "not_found")
    await redeem(desk, await desk.account(), code)


@pytest.mark.parametrize(
    ("given_", "param"),
    [
        ({"count": 0}, "count"),
        ({"count": 10_001}, "count"),
        ({"count": True}, "count"),
        ({"kind": "gift"}, "kind"),
        ({"amount_nano": 0}, "amount_nano"),
        ({"amount_nano": -5}, "amount_nano"),
        ({"amount_nano": 1.5}, "amount_nano"),
        ({"prefix": "spring"}, "prefix"),
        ({"prefix": "A" * 13}, "prefix"),
        ({"prefix": "A-B"}, "prefix"),
        ({"grant_days": 5}, "grant_days"),
        ({"kind": "grant", "grant_days": 0}, "grant_days"),
        ({"kind": "grant", "grant_days": 3651}, "grant_days"),
        ({"expires_at_ms": 1}, "expires_at"),
    ],
)
async def test_batches_that_are_refused(desk, given_, param):
    assert (await refused(make(desk, **given_), "invalid_request")).param == param
    assert (await desk.codes.batches()).data == []


async def test_pages(desk):
    made = []
    for number in range(5):
        desk.clock.ms += 1
        made.append((await make(desk, count=number + 1)).batch.id)
    first = await desk.codes.batches(Place(limit=3))
    second = await desk.codes.batches(Place(decode(first.next), 3))
    assert [batch.id for batch in (*first.data, *second.data)] == made[::-1]
    assert [batch.count for batch in second.data] == [2, 1]
    assert second.next is None
    codes = await desk.codes.list(made[-1], Place(limit=3))
    rest = await desk.codes.list(made[-1], Place(decode(codes.next), 3))
    assert (len(codes.data), len(rest.data), rest.next) == (3, 2, None)


async def test_what_does_not_exist(desk):
    for act in (desk.codes.batch("bat_none"), desk.codes.list("bat_none")):
        await refused(act, "not_found", "no batch")
    for disable in (desk.codes.disable_batch, desk.codes.disable_code):
        await refused(desk.do(lambda session, disable=disable: disable(session, CLI, "x_none")), "not_found")
