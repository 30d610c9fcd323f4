"""Forgotten passwords: a link by mail, and nothing to be learnt about who has an account."""

from __future__ import annotations

import asyncio

import pytest

from penstock.accounts.identity import CLI
from penstock.accounts.service import Draft
from penstock.accounts.sessions import Browser
from penstock.accounts.throttle import MAILS_PER_EMAIL, PER_EMAIL
from penstock.kit.errors import PenstockError

PASSWORD, OTHER = "correct horse battery", "another horse battery"
HOME = Browser("Mozilla", "10.0.0.1")


async def refused(act, code: str, param: str | None = None) -> None:
    with pytest.raises(PenstockError) as refusal:
        await act
    assert (refusal.value.code, refusal.value.param) == (code, param)


async def test_a_link_sets_another_password(parts, new_account, mail):
    account = await new_account("ada@example.com")
    _, before = await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)
    await parts.recovery.ask("ADA@example.com", "10.0.0.1")
    letter = await mail.wait()
    page, token = await mail.link()
    assert (letter["To"], page) == ("ada@example.com", "reset")
    assert "http://gateway.test/reset#" in letter.get_content()
    found, opened = await parts.recovery.complete(token, OTHER, HOME)
    assert found.id == account.id
    assert await parts.sessions.find(before.token) is None and await parts.sessions.find(opened.token)
    await refused(parts.recovery.complete(token, OTHER, HOME), "invalid_request", "token")
    assert await parts.signing.sign_in("ada@example.com", OTHER, HOME)


async def test_nobody_is_written_to_who_has_no_account_or_may_not_sign_in(parts, new_account, mail):
    disabled, deleted = await new_account("off@example.com"), await new_account("gone@example.com")
    await parts.accounts.disable(CLI, disabled.id)
    await parts.accounts.delete(CLI, deleted.id)
    for email in ("nobody@example.com", "off@example.com", "gone@example.com"):
        await parts.recovery.ask(email, "10.0.0.1")
    await parts.post.finished()
    assert mail.envelopes == []


async def test_asking_is_throttled_whether_there_is_an_account_or_not(parts, new_account, mail):
    await new_account("ada@example.com")
    for email in ("ada@example.com", "nobody@example.com"):
        for _ in range(MAILS_PER_EMAIL.free + 1):
            await parts.recovery.ask(email, "10.0.0.1")
        await refused(parts.recovery.ask(email, "10.0.0.1"), "too_many_requests")
    await refused(parts.recovery.ask("nope", "10.0.0.1"), "invalid_request", "email")


async def test_the_newest_link_works(parts, new_account, mail):
    await new_account("ada@example.com")
    for count in (1, 2):
        await parts.recovery.ask("ada@example.com", "10.0.0.1")
        await mail.wait(count)
    await refused(parts.recovery.complete((await mail.link(1))[1], OTHER, HOME), "invalid_request", "token")
    assert await parts.recovery.complete((await mail.link(2))[1], OTHER, HOME)


async def test_of_many_at_once_one_wins(new_parts, settings, database, elsewhere, new_account):
    account = await new_account("ada@example.com")
    both = [new_parts(settings, over=opened).recovery for opened in (database, elsewhere)]
    token = await both[0].ticket(CLI, account.id)
    outcomes = await asyncio.gather(*(both[n % 2].complete(token, f"horse battery {n}", HOME) for n in range(6)), return_exceptions=True)
    assert [isinstance(outcome, tuple) for outcome in outcomes].count(True) == 1


async def test_a_bad_password_does_not_use_the_link_up(parts, new_account):
    account = await new_account("ada@example.com")
    token = await parts.recovery.ticket(CLI, account.id)
    for bad in ("short", "ada@example.com"):
        await refused(parts.recovery.complete(token, bad, HOME), "invalid_request", "password")
    await refused(parts.recovery.complete("0" * 64, OTHER, HOME), "invalid_request", "token")
    assert await parts.recovery.complete(token, OTHER, HOME)


async def test_whoever_has_the_link_is_not_kept_out_by_failures(parts, new_account):
    account = await new_account("ada@example.com")
    for _ in range(PER_EMAIL.free + 1):
        await refused(parts.signing.sign_in("ada@example.com", "wrong", Browser("", "10.6.6.6")), "wrong_credentials")
    await parts.recovery.complete(await parts.recovery.ticket(CLI, account.id), OTHER, HOME)
    assert await parts.signing.sign_in("ada@example.com", OTHER, Browser("", "10.0.0.9"))


async def test_a_disabled_account_stays_so(parts, new_account):
    account = await new_account("ada@example.com")
    token = await parts.recovery.ticket(CLI, account.id)
    await parts.accounts.disable(CLI, account.id)
    await refused(parts.recovery.complete(token, OTHER, HOME), "conflict")


async def test_an_administrator_sends_a_link(parts, new_account, mail):
    account = await new_account("ada@example.com", password=None)
    await parts.recovery.send(CLI, account.id)
    _, token = await mail.link()
    assert await parts.recovery.complete(token, OTHER, HOME)
    nobody = await parts.accounts.create(CLI, Draft("Build servers"))
    await refused(parts.recovery.send(CLI, nobody.id), "conflict")
    await refused(parts.recovery.send(CLI, "acc_x"), "not_found", "account_id")
