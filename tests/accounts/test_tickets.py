"""Tickets: they work once, for what they are for, until they expire; of many at once one wins."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from penstock.accounts.identity import CLI
from penstock.accounts.models import Ticket
from penstock.accounts.service import Draft
from penstock.accounts.tickets import LASTS_MS, Purpose, Tickets, first_admin_token, purge
from penstock.kit.errors import PenstockError

INVITE = Purpose("invite", email="ada@example.com", role="member", created_by="acc_1")
RESET = Purpose("reset", "acc_1", "ada@example.com")


@pytest.fixture
def tickets(database, clock) -> Tickets:
    return Tickets(database, clock)


async def make(tickets, database, purpose: Purpose = INVITE) -> str:
    async with database.session() as session:
        return await tickets.make(session, purpose)


async def use(tickets, database, token: str, *kinds: str) -> Ticket:
    async with database.session() as session:
        return await tickets.use(session, token, *(kinds or ("invite",)))


async def refused(act) -> None:
    with pytest.raises(PenstockError) as refusal:
        await act
    assert (refusal.value.code, refusal.value.param) == ("invalid_request", "token")


async def test_a_ticket_works_once(tickets, database):
    token = await make(tickets, database)
    assert len(token) == 64
    assert (await tickets.look(token, "invite")).email == "ada@example.com"
    ticket = await use(tickets, database, f" {token}\n")
    assert (ticket.kind, ticket.email, ticket.role, ticket.created_by) == ("invite", "ada@example.com", "member", "acc_1")
    await refused(use(tickets, database, token))
    await refused(tickets.look(token, "invite"))


async def test_the_token_is_kept_nowhere(tickets, database):
    token = await make(tickets, database)
    async with database.session(read_only=True) as session:
        (row,) = (await session.scalars(select(Ticket))).all()
    assert token not in repr(vars(row)) and bytes.fromhex(token) not in row.digest


async def test_of_many_at_once_one_wins(database, elsewhere, clock):
    both = [(Tickets(opened, clock), opened) for opened in (database, elsewhere)]
    token = await make(*both[0])
    outcomes = await asyncio.gather(*(use(*both[number % 2], token) for number in range(8)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["PenstockError"] * 7 + ["Ticket"]


async def test_what_it_was_used_for_may_fail(tickets, database):
    token = await make(tickets, database)

    async def use_and_fail() -> None:
        async with database.session() as session:
            await tickets.use(session, token, "invite")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await use_and_fail()
    assert await use(tickets, database, token)


async def test_a_ticket_is_for_what_it_is_for(tickets, database):
    token = await make(tickets, database)
    await refused(use(tickets, database, token, "reset"))
    assert await use(tickets, database, token, "confirm", "invite")


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "\ud800"])
async def test_tokens_that_are_none(tickets, database, token):
    await refused(use(tickets, database, token))


async def test_tickets_expire(tickets, database, clock):
    token = await make(tickets, database)
    clock.ms += LASTS_MS["invite"] - 1
    assert await tickets.look(token, "invite")
    clock.ms += 1
    await refused(use(tickets, database, token))
    clock.ms -= 2  # the clock goes back
    assert await use(tickets, database, token)


async def test_a_new_one_replaces_that_for_the_same_purpose(tickets, database):
    first, other = await make(tickets, database, RESET), await make(tickets, database, Purpose("reset", "acc_2", "eve@example.com"))
    second = await make(tickets, database, Purpose("reset", "acc_1", "ada@example.org"))
    await refused(tickets.look(first, "reset"))
    assert await tickets.look(second, "reset") and await tickets.look(other, "reset")
    invites = [
        await make(tickets, database, purpose) for purpose in (INVITE, Purpose("invite", email="ada@example.com", created_by="acc_2"))
    ]
    assert all([await tickets.look(token, "invite") for token in invites])


async def test_forget(tickets, database):
    tokens = [await make(tickets, database, purpose) for purpose in (RESET, INVITE)]
    async with database.session() as session:
        await tickets.forget(session, "acc_1")
    await refused(tickets.look(tokens[0], "reset"))
    assert await tickets.look(tokens[1], "invite")
    async with database.session() as session:
        await tickets.forget(session, "acc_1", "ada@example.com")
    await refused(tickets.look(tokens[1], "invite"))


async def test_the_first_start_makes_one_token(database, elsewhere):
    tokens = await asyncio.gather(*(first_admin_token(opened) for opened in (database, elsewhere) * 4))
    assert len([token for token in tokens if token]) == 1
    assert await first_admin_token(database) is None


async def test_the_first_token_can_be_made_again_until_there_is_an_administrator(tickets, parts):
    first = await tickets.first_admin()
    assert not await tickets.is_set_up()
    second = await tickets.first_admin(again=True)
    await refused(tickets.look(first, "first_admin"))
    assert await tickets.look(second, "first_admin")
    await parts.accounts.create(CLI, Draft("Root", "root@example.com", "correct horse", "admin"))
    assert await tickets.is_set_up()
    assert await tickets.first_admin(again=True) is None


async def test_administrators_who_cannot_sign_in_do_not_count(tickets, parts):
    await parts.accounts.create(CLI, Draft("No password", "root@example.com", role="admin"))
    await parts.accounts.create(CLI, Draft("Member", "ada@example.com", "correct horse"))
    assert not await tickets.is_set_up()


async def test_what_is_over_is_purged_but_not_that_there_was_a_first_start(tickets, database, clock):
    await tickets.first_admin()
    await use(tickets, database, await make(tickets, database))
    await make(tickets, database, RESET)
    assert await purge(database, clock.ms + LASTS_MS["reset"] - 1) == 1
    assert await purge(database, clock.ms + LASTS_MS["first_admin"] + 1) == 1
    assert await tickets.first_admin() is None
