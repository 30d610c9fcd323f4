"""Joining: accounts are made when their address is proven, once, and nobody learns who has one."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from penstock.accounts.identity import CLI, Identity
from penstock.accounts.joining import Joiner
from penstock.accounts.models import Account, Event
from penstock.accounts.sessions import Browser
from penstock.accounts.throttle import MAILS_PER_EMAIL
from penstock.accounts.tickets import LASTS_MS
from penstock.kit.errors import PenstockError

PASSWORD = "correct horse battery"
HOME = Browser("Mozilla", "10.0.0.1")
ADA = Joiner("Ada", PASSWORD)


@pytest.fixture
def joining(parts):
    return parts.joining


async def refused(act, code: str, param: str | None = None) -> None:
    with pytest.raises(PenstockError) as refusal:
        await act
    assert (refusal.value.code, refusal.value.param) == (code, param)


def joining_when(new_parts, settings, registration: str):
    return new_parts(settings.model_copy(update={"registration": registration})).joining


async def test_register_and_join(parts, joining, mail, database):
    await joining.register(" Ada@example.com", "10.0.0.1")
    page, token = await mail.link()
    assert page == "join"
    account, opened = await joining.join(token, ADA, HOME)
    assert (account.name, account.email, account.role, account.prepaid) == ("Ada", "ada@example.com", "member", True)
    assert (await parts.sessions.find(opened.token)).account_id == account.id
    assert await parts.signing.sign_in("ada@example.com", PASSWORD, HOME)
    async with database.session(read_only=True) as session:
        actions = list(await session.scalars(select(Event.action).where(Event.account_id == account.id).order_by(Event.id)))
    assert actions[:2] == ["account.create", "session.create"]


async def test_nothing_is_made_before_the_address_is_proven(joining, mail, database):
    await joining.register("ada@example.com", "10.0.0.1")
    await mail.wait()
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(Account).where(Account.email == "ada@example.com")) is None


async def test_who_has_an_account_is_told_so_by_mail_and_nobody_else(parts, joining, mail, new_account):
    await new_account("ada@example.com")
    await joining.register("ada@example.com", "10.0.0.1")
    letter = await mail.wait()
    assert letter["Subject"] == "You have an account" and "#" not in letter.get_content()


async def test_where_registration_is_closed(new_parts, settings, mail):
    for registration in ("off", "invite"):
        await refused(joining_when(new_parts, settings, registration).register("ada@example.com", ""), "forbidden")
    assert mail.envelopes == []


async def test_registering_is_throttled(joining, mail):
    for _ in range(MAILS_PER_EMAIL.free + 1):
        await joining.register("ada@example.com", "10.0.0.1")
    await refused(joining.register("ada@example.com", "10.0.0.2"), "too_many_requests")
    await refused(joining.register("nope", "10.0.0.2"), "invalid_request", "email")


async def test_administrators_invite(new_parts, settings, mail):
    joining = joining_when(new_parts, settings, "off")
    await joining.invite(CLI, "root@example.com", "admin")
    page, token = await mail.link()
    account, _ = await joining.join(token, ADA, HOME)
    assert (page, account.role, account.email) == ("join", "admin", "root@example.com")
    await refused(joining.invite(CLI, "ROOT@example.com"), "conflict", "email")
    await refused(joining.invite(CLI, "nope"), "invalid_request", "email")


async def test_members_invite_where_they_may(new_parts, settings, mail, new_account):
    member = Identity((await new_account("eve@example.com")).id, "member", "session", "10.0.0.1")
    await refused(joining_when(new_parts, settings, "off").invite(member, "ada@example.com"), "forbidden")
    joining = joining_when(new_parts, settings, "invite")
    await refused(joining.invite(member, "ada@example.com", "admin"), "forbidden")
    await joining.invite(member, "ada@example.com")
    assert (await joining.join((await mail.link())[1], ADA, HOME))[0].role == "member"
    await joining.invite(member, "ada@example.com")  # they do not learn that she has come
    assert (await mail.wait(2))["Subject"] == "You have an account"
    await joining.invite(member, "ada@example.com")
    await refused(joining.invite(member, "ada@example.com"), "too_many_requests")


async def test_of_many_at_once_one_wins(new_parts, settings, database, elsewhere, mail):
    both = [new_parts(settings, over=opened).joining for opened in (database, elsewhere)]
    await both[0].register("ada@example.com", "")
    _, token = await mail.link()
    outcomes = await asyncio.gather(
        *(both[n % 2].join(token, Joiner(f"Ada {n}", PASSWORD), HOME) for n in range(6)), return_exceptions=True
    )
    assert [isinstance(outcome, tuple) for outcome in outcomes].count(True) == 1
    assert {outcome.code for outcome in outcomes if not isinstance(outcome, tuple)} == {"invalid_request"}


async def test_what_is_wrong_does_not_use_the_link_up(joining, mail, clock):
    await joining.register("ada@example.com", "")
    _, token = await mail.link()
    await refused(joining.join(token, Joiner("", PASSWORD), HOME), "invalid_request", "name")
    await refused(joining.join(token, Joiner("Ada", "short"), HOME), "invalid_request", "password")
    await refused(joining.join(token, Joiner("Ada", "ada@example.com"), HOME), "invalid_request", "password")
    await refused(joining.confirm_email(token, ""), "invalid_request", "token")
    clock.ms += LASTS_MS["confirm"] - 1
    assert await joining.join(token, ADA, HOME)


async def test_two_links_make_one_account(joining, mail, parts):
    await joining.register("ada@example.com", "")
    await mail.wait(1)
    await joining.invite(CLI, "ada@example.com")
    first, second = (await mail.link(1))[1], (await mail.link(2))[1]
    await joining.join(first, ADA, HOME)
    await refused(joining.join(second, ADA, HOME), "conflict", "email")


async def test_another_address(parts, joining, mail, new_account):
    account = await new_account("ada@example.com")
    who = Identity(account.id, "member", "session", "10.0.0.1")
    await refused(joining.ask_email(who, "ada@example.org", "wrong"), "wrong_credentials", "password")
    await refused(joining.ask_email(who, "nope", PASSWORD), "invalid_request", "email")
    await joining.ask_email(who, "ada@example.org", PASSWORD)
    page, token = await mail.link()
    assert ((await mail.wait())["To"], page) == ("ada@example.org", "confirm-email")
    await refused(joining.join(token, ADA, HOME), "invalid_request", "token")
    await joining.confirm_email(token, "10.0.0.1")
    told = await mail.wait(2)
    assert (told["To"], told["Subject"]) == ("ada@example.com", "Your e-mail address was changed")
    assert await parts.signing.sign_in("ada@example.org", PASSWORD, HOME)
    await refused(parts.signing.sign_in("ada@example.com", PASSWORD, HOME), "wrong_credentials")
    await refused(joining.confirm_email(token, ""), "invalid_request", "token")


async def test_an_address_that_is_taken_is_told_to_its_owner_alone(joining, mail, new_account):
    account = await new_account("ada@example.com")
    await new_account("eve@example.com")
    await joining.ask_email(Identity(account.id, "member", "session", ""), "eve@example.com", PASSWORD)
    letter = await mail.wait()
    assert (letter["To"], letter["Subject"]) == ("eve@example.com", "You have an account")


async def test_an_address_that_was_taken_meanwhile(joining, mail, new_account, parts):
    account = await new_account("ada@example.com")
    await joining.ask_email(Identity(account.id, "member", "session", ""), "new@example.com", PASSWORD)
    _, token = await mail.link()
    other = await new_account("new@example.com")
    await refused(joining.confirm_email(token, ""), "conflict", "email")
    await parts.accounts.delete(CLI, other.id)
    await refused(joining.confirm_email(token, ""), "invalid_request", "token")  # whoever had the address has forgotten its links too
