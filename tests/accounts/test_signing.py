"""Signing in: the same answer whatever is wrong, never a session of somebody else's making, all others ended when they must."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from penstock.accounts.identity import CLI
from penstock.accounts.models import OPERATOR, Account, Event
from penstock.accounts.passwords import Passwords
from penstock.accounts.service import Draft
from penstock.accounts.sessions import Browser
from penstock.accounts.throttle import PER_EMAIL
from penstock.kit.errors import PenstockError

PASSWORD = "correct horse battery"
HOME = Browser("Mozilla", "10.0.0.1")


@pytest.fixture
async def account(new_account) -> Account:
    return await new_account("ada@example.com")


async def refused(act, code: str) -> PenstockError:
    with pytest.raises(PenstockError) as refusal:
        await act
    assert refusal.value.code == code
    return refusal.value


async def test_sign_in(parts, account, database):
    found, opened = await parts.signing.sign_in(" ADA@example.com", PASSWORD, HOME)
    assert found.id == account.id
    assert (await parts.sessions.find(opened.token)).account_id == account.id
    async with database.session(read_only=True) as session:
        event = await session.scalar(select(Event).where(Event.action == "session.create"))
    assert (event.actor, event.via, event.address, event.account_id) == (account.id, "session", "10.0.0.1", account.id)


async def test_whatever_is_wrong_the_answer_is_the_same(parts, account, new_account):
    disabled = await new_account("off@example.com")
    await parts.accounts.disable(CLI, disabled.id)
    await parts.accounts.create(CLI, Draft("No password", "none@example.com"))
    gone = await new_account("gone@example.com")
    await parts.accounts.delete(CLI, gone.id)
    wrong = [
        ("ada@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("off@example.com", PASSWORD), ("none@example.com", PASSWORD),
        ("gone@example.com", PASSWORD), ("not an address\x00", PASSWORD), ("", PASSWORD), ("ada@example.com", ""),
        ("ada@example.com", PASSWORD + "x" * 10_000), ("\ud800@example.com", "\ud800"),
    ]  # fmt: skip
    said = {(await refused(parts.signing.sign_in(email, password, HOME), "wrong_credentials")).message for email, password in wrong}
    assert len(said) == 1


async def test_an_unproven_address_does_not_sign_in(parts, account, database):
    async with database.session() as session:
        await session.execute(update(Account).where(Account.id == account.id).values(confirmed_at_ms=None))
    await refused(parts.signing.sign_in("ada@example.com", PASSWORD, HOME), "wrong_credentials")


async def test_failures_are_throttled_even_with_the_right_password(parts, account, clock):
    for _ in range(PER_EMAIL.free + 1):
        await refused(parts.signing.sign_in("ada@example.com", "wrong", HOME), "wrong_credentials")
    assert (await refused(parts.signing.sign_in("ada@example.com", PASSWORD, HOME), "too_many_requests")).retry_after_s == 1
    clock.ms += 1000
    assert await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)
    assert await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)


async def test_unknown_addresses_are_throttled_alike(parts):
    for _ in range(PER_EMAIL.free + 1):
        await refused(parts.signing.sign_in("nobody@example.com", "wrong", HOME), "wrong_credentials")
    await refused(parts.signing.sign_in("nobody@example.com", "wrong", HOME), "too_many_requests")


async def test_guesses_at_once_do_not_slip_through(parts, account):
    outcomes = await asyncio.gather(*(parts.signing.sign_in("ada@example.com", "wrong", HOME) for _ in range(20)), return_exceptions=True)
    assert sorted(outcome.code for outcome in outcomes).count("wrong_credentials") == PER_EMAIL.free + 1


async def test_where_the_owner_is_signed_in_strangers_do_not_keep_them_out(parts, account, clock):
    await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)
    for number in range(PER_EMAIL.free + 1):
        await refused(parts.signing.sign_in("ada@example.com", "wrong", Browser("", f"10.6.6.{number}")), "wrong_credentials")
    await refused(parts.signing.sign_in("ada@example.com", PASSWORD, Browser("", "10.7.7.7")), "too_many_requests")
    assert await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)


async def test_a_session_that_was_planted_is_not_taken_over(parts, account, new_account):
    await new_account("eve@example.com")
    _, planted = await parts.signing.sign_in("eve@example.com", PASSWORD, HOME)
    _, opened = await parts.signing.sign_in("ada@example.com", PASSWORD, Browser("", "10.0.0.1", planted.token))
    assert opened.token != planted.token
    assert await parts.sessions.find(planted.token) is None
    _, made_up = await parts.signing.sign_in("ada@example.com", PASSWORD, Browser("", "10.0.0.1", "0" * 64))
    assert await parts.sessions.find("0" * 64) is None and made_up.token != "0" * 64


async def test_a_hash_of_another_cost_is_made_again(parts, account, database):
    async with database.session() as session:
        dear = await Passwords(memory_kib=128, passes=1).hash(PASSWORD)
        await session.execute(update(Account).where(Account.id == account.id).values(password=dear))
    await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)
    kept = (await parts.accounts.get(account.id)).password
    assert "m=128" in dear and "m=64" in kept
    await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)
    assert (await parts.accounts.get(account.id)).password == kept


async def test_change_password_ends_the_other_sessions(parts, account):
    opened = [(await parts.signing.sign_in("ada@example.com", PASSWORD, HOME))[1] for _ in range(3)]
    link = await parts.recovery.ticket(CLI, account.id)
    me = await parts.sessions.find(opened[1].token)
    await parts.signing.change_password(me, "10.0.0.1", PASSWORD, "another horse battery")
    assert [bool(await parts.sessions.find(one.token)) for one in opened] == [False, True, False]
    await refused(parts.tickets.look(link, "reset"), "invalid_request")
    await refused(parts.signing.sign_in("ada@example.com", PASSWORD, HOME), "wrong_credentials")
    assert await parts.signing.sign_in("ada@example.com", "another horse battery", HOME)


async def test_change_password_asks_for_the_old_one_and_for_a_good_one(parts, account):
    _, opened = await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)
    me = await parts.sessions.find(opened.token)
    error = await refused(parts.signing.change_password(me, "", "wrong", "another horse battery"), "wrong_credentials")
    assert error.param == "current_password"
    for bad in ("short", "ada@example.com"):
        assert (await refused(parts.signing.change_password(me, "", PASSWORD, bad), "invalid_request")).param == "new_password"
    for _ in range(PER_EMAIL.free):
        await refused(parts.signing.check(account.id, "wrong", ""), "wrong_credentials")
    await refused(parts.signing.check(account.id, "wrong", ""), "wrong_credentials")
    await refused(parts.signing.check(account.id, PASSWORD, ""), "too_many_requests")


async def test_set_up(parts, clock):
    token = await parts.tickets.first_admin()
    account, opened = await parts.signing.set_up(token, Draft("Root", "Root@example.com", PASSWORD), HOME)
    assert (account.id, account.name, account.email, account.role) == (OPERATOR, "Root", "root@example.com", "admin")
    assert (await parts.sessions.find(opened.token)).role == "admin"
    assert await parts.signing.sign_in("root@example.com", PASSWORD, HOME)
    await refused(parts.signing.set_up(token, Draft("Eve", "eve@example.com", PASSWORD), HOME), "invalid_request")
    assert await parts.tickets.first_admin(again=True) is None


async def test_set_up_refuses_and_the_token_still_works(parts, new_account):
    await new_account("ada@example.com")
    token = await parts.tickets.first_admin()
    for draft in (
        Draft("", "a@b.c", PASSWORD),
        Draft("x", "nope", PASSWORD),
        Draft("x", "a@b.c", "short"),
        Draft("x"),
        Draft("x", "a@b.c"),
    ):
        await refused(parts.signing.set_up(token, draft, HOME), "invalid_request")
    await refused(parts.signing.set_up(token, Draft("x", "ada@example.com", PASSWORD), HOME), "conflict")
    await refused(parts.signing.set_up("x" * 64, Draft("x", "a@b.c", PASSWORD), HOME), "invalid_request")
    assert await parts.signing.set_up(token, Draft("x", "a@b.c", PASSWORD), HOME)


async def test_of_many_who_set_up_at_once_one_wins(new_parts, settings, database, elsewhere):
    both = [new_parts(settings, over=opened) for opened in (database, elsewhere)]
    token = await both[0].tickets.first_admin()
    outcomes = await asyncio.gather(
        *(both[n % 2].signing.set_up(token, Draft("Root", f"{n}@example.com", PASSWORD), HOME) for n in range(6)), return_exceptions=True
    )
    assert [isinstance(outcome, tuple) for outcome in outcomes].count(True) == 1
    assert {outcome.code for outcome in outcomes if not isinstance(outcome, tuple)} == {"invalid_request"}


async def test_a_deleted_account_is_not_signed_in_to_meanwhile(parts, account):
    """The account goes while the password is being checked."""
    outcomes = await asyncio.gather(
        parts.signing.sign_in("ada@example.com", PASSWORD, HOME), parts.accounts.delete(CLI, account.id), return_exceptions=True
    )
    assert outcomes[1] is None
    if isinstance(outcomes[0], tuple):
        assert await parts.sessions.find(outcomes[0][1].token) is None
    else:
        assert outcomes[0].code in ("wrong_credentials", "not_found")
