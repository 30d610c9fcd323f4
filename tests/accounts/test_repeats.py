"""Idempotency: one act for a key, the same answer for every repeat, whatever happens in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from penstock.accounts.identity import CLI
from penstock.accounts.models import Event
from penstock.accounts.repeats import KEPT_MS, UNREPEATED, Repeat, Repeats, purge
from penstock.accounts.trail import Trail
from penstock.kit.errors import PenstockError

ASKED = Repeat("acc_1", "k1", b"digest")


@dataclass
class Answer:
    """What an act returns."""

    amount_nano: int


class Desk:
    """Acts that leave a row each."""

    def __init__(self, database, clock) -> None:
        self.database = database
        self.repeats = Repeats(database, clock)
        self.trail = Trail(database, clock)

    async def act(self, repeat: Repeat, amount_nano: int = 7, fail: Exception | None = None) -> Answer:
        async def work(session) -> Answer:
            await self.trail.note(session, CLI, "a.b", "x", account_id="acc_1")
            if fail is not None:
                raise fail
            return Answer(amount_nano)

        return await self.repeats.once(repeat, work, Answer)

    async def acts(self) -> int:
        async with self.database.session(read_only=True) as session:
            return await session.scalar(select(func.count()).select_from(Event))


@pytest.fixture
def desk(database, clock) -> Desk:
    return Desk(database, clock)


async def test_a_repeat_has_the_first_answer(desk):
    assert await desk.act(ASKED, 2**62) == Answer(2**62)
    assert await desk.act(ASKED, 8) == Answer(2**62)
    assert await desk.acts() == 1


async def test_without_a_key_it_is_done_again(desk):
    await desk.act(UNREPEATED)
    assert await desk.act(UNREPEATED, 8) == Answer(8)
    assert await desk.acts() == 2


async def test_another_request_with_the_key_is_refused(desk):
    await desk.act(ASKED)
    with pytest.raises(PenstockError) as refused:
        await desk.act(Repeat("acc_1", "k1", b"another"))
    assert (refused.value.code, refused.value.status) == ("idempotency_conflict", 409)
    assert await desk.acts() == 1


async def test_keys_belong_to_accounts(desk):
    await desk.act(ASKED)
    assert await desk.act(Repeat("acc_2", "k1", b"another"), 8) == Answer(8)


@pytest.mark.parametrize("failure", [PenstockError("insufficient_funds", "No."), RuntimeError("crash"), asyncio.CancelledError()])
async def test_what_fails_leaves_nothing_and_may_be_repeated(desk, failure):
    with pytest.raises(type(failure)):
        await desk.act(ASKED, fail=failure)
    assert await desk.acts() == 0
    assert await desk.act(ASKED, 8) == Answer(8)


async def test_at_once_there_is_one_act(database, elsewhere, clock):
    desks = [Desk(database, clock), Desk(elsewhere, clock)]
    answers = await asyncio.gather(*(desks[number % 2].act(ASKED, number) for number in range(8)))
    assert len({answer.amount_nano for answer in answers}) == 1
    assert await desks[0].acts() == 1


async def test_at_once_with_other_bodies_one_wins(database, elsewhere, clock):
    desks = [Desk(database, clock), Desk(elsewhere, clock)]
    outcomes = await asyncio.gather(
        *(desks[number % 2].act(Repeat("acc_1", "k1", bytes([number])), number) for number in range(6)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Answer"] + ["PenstockError"] * 5
    assert await desks[0].acts() == 1


async def test_old_answers_are_purged(desk, database, clock):
    await desk.act(ASKED)
    assert await purge(database, clock.ms + KEPT_MS) == 0
    assert await purge(database, clock.ms - KEPT_MS) == 0  # the clock went back
    assert await purge(database, clock.ms + KEPT_MS + 1) == 1
    assert await desk.act(ASKED, 8) == Answer(8)
