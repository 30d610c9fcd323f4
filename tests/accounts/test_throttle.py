"""The throttle: growing delays, the same in all processes, never too long, and no use against somebody else."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from penstock.accounts.models import Attempt
from penstock.accounts.throttle import (
    FORGOTTEN_MS,
    LONGEST_MS,
    PER_ADDRESS,
    PER_EMAIL,
    Schedule,
    Throttle,
    asking_for_mail,
    purge,
    signing_in,
)
from penstock.kit.errors import PenstockError

ADA = "ada@example.com"


@pytest.fixture
def throttle(database, clock) -> Throttle:
    return Throttle(database, clock)


def by(address: str = "", email: str = ADA, *, known: bool = False):
    return signing_in(email, address, known=known)


async def wait_s(throttle: Throttle, subjects) -> int:
    """How long an attempt has to wait; 0 if it was let through."""
    try:
        await throttle.admit(subjects)
    except PenstockError as refused:
        return refused.retry_after_s or 0
    return 0


@given(st.integers(0, 10**9), st.integers(0, 100), st.integers(1, 10**6))
def test_waits_grow_up_to_the_longest(attempts: int, free: int, first_ms: int) -> None:
    schedule = Schedule(free, first_ms)
    assert 0 <= schedule.wait_ms(attempts) <= schedule.wait_ms(attempts + 1) <= LONGEST_MS
    assert schedule.wait_ms(free) == 0 and schedule.wait_ms(free + 1) == min(first_ms, LONGEST_MS)


async def test_delays_grow(throttle, clock):
    for _ in range(PER_EMAIL.free):
        assert await wait_s(throttle, by()) == 0
    waits = []
    for _ in range(14):
        assert await wait_s(throttle, by()) == 0
        waits.append(await wait_s(throttle, by()))
        assert await wait_s(throttle, by()) == waits[-1]  # trying meanwhile makes it no longer
        clock.ms += waits[-1] * 1000
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] + [LONGEST_MS // 1000] * 4


async def test_addresses_are_counted_apart_and_later(throttle, clock):
    for number in range(PER_ADDRESS.free + 1):
        assert await wait_s(throttle, by("10.0.0.1", f"{number}@example.com")) == 0
    assert await wait_s(throttle, by("10.0.0.1", "another@example.com")) == 1
    assert await wait_s(throttle, by("10.0.0.2", "another@example.com")) == 0


async def test_an_ipv6_customer_is_one_address(throttle):
    for number in range(PER_ADDRESS.free + 1):
        assert await wait_s(throttle, by(f"2001:db8:1:2::{number + 1:x}", f"{number}@example.com")) == 0
    assert await wait_s(throttle, by("2001:db8:1:2:ffff::1", "another@example.com")) == 1
    assert await wait_s(throttle, by("2001:db8:1:3::1", "another@example.com")) == 0


async def test_exact_across_processes(database, elsewhere, clock):
    throttles = [Throttle(database, clock), Throttle(elsewhere, clock)]
    waits = await asyncio.gather(*(wait_s(throttles[number % 2], by("10.0.0.1")) for number in range(20)))
    assert waits.count(0) == PER_EMAIL.free + 1


async def test_success_forgets_the_email_and_does_not_count_for_the_address(throttle, database, clock):
    for _ in range(PER_EMAIL.free + 1):
        await throttle.admit(by("10.0.0.1"))
    assert await wait_s(throttle, by("10.0.0.1")) == 1
    async with database.session() as session:
        await throttle.forgive(session, by("10.0.0.1"))
    assert await wait_s(throttle, by("10.0.0.1")) == 0
    async with database.session(read_only=True) as session:
        failures = dict((await session.execute(select(Attempt.subject, Attempt.failures))).all())
    assert {subject.split()[1]: count for subject, count in failures.items()} == {"e-mail": 1, "address": PER_EMAIL.free + 1}


async def test_ones_own_successes_do_not_pay_for_guesses(throttle, database, clock):
    """Whoever signs in to an account of their own between guesses is slowed down all the same."""
    waited_ms = 0
    for number in range(40):
        for subjects in (by("10.0.0.1", f"{number}@example.com"), by("10.0.0.1", "own@example.com")):
            pause_ms = await wait_s(throttle, subjects) * 1000
            if pause_ms:
                clock.ms += pause_ms
                waited_ms += pause_ms
                await throttle.admit(subjects)
        async with database.session() as session:
            await throttle.forgive(session, by("10.0.0.1", "own@example.com"))
    assert waited_ms > 60_000


async def test_strangers_do_not_keep_the_owner_out(throttle, clock):
    for number in range(30):
        await wait_s(throttle, by(f"10.1.0.{number}"))
        clock.ms += 1000
    assert await wait_s(throttle, by("10.2.0.1")) > 0
    assert await wait_s(throttle, by("10.0.0.1", known=True)) == 0


async def test_forgotten_after_an_hour(throttle, clock):
    for _ in range(PER_EMAIL.free + 1):
        await throttle.admit(by())
    clock.ms += FORGOTTEN_MS + 1
    for _ in range(PER_EMAIL.free):
        assert await wait_s(throttle, by()) == 0


async def test_a_clock_that_goes_back_keeps_nobody_out(throttle, clock):
    for _ in range(PER_EMAIL.free + 8):
        clock.ms += await wait_s(throttle, by()) * 1000
    clock.ms -= 30 * 24 * 3600 * 1000
    assert await wait_s(throttle, by()) == 0


async def test_clocks_of_nodes_that_differ_a_little_do_not_help(database, clock):
    behind = Throttle(database, lambda: clock.ms - 5000)
    for _ in range(PER_EMAIL.free + 3):
        clock.ms += await wait_s(Throttle(database, clock), by()) * 1000
        await wait_s(Throttle(database, clock), by())
    assert await wait_s(behind, by()) > 0


async def test_mail_is_counted_for_itself(throttle):
    for _ in range(3):
        assert await wait_s(throttle, asking_for_mail(ADA, "10.0.0.1")) == 0
    assert await wait_s(throttle, asking_for_mail(ADA, "10.0.0.2")) == 60
    assert await wait_s(throttle, by("10.0.0.1")) == 0


async def test_what_was_typed_is_not_kept(throttle, database):
    await throttle.admit(by("10.0.0.1", "my secret password"))
    async with database.session(read_only=True) as session:
        assert not [subject for subject in await session.scalars(select(Attempt.subject)) if "secret" in subject]


async def test_what_is_over_is_purged(throttle, database, clock):
    await throttle.admit(by("10.0.0.1"))
    assert await purge(database, clock.ms + FORGOTTEN_MS) == 0
    assert await purge(database, clock.ms + FORGOTTEN_MS + 1) == 2
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(Attempt)) == 0


async def test_forget(throttle, database):
    for _ in range(PER_EMAIL.free + 1):
        await throttle.admit(by("10.0.0.1"))
    async with database.session() as session:
        await throttle.forget(session, ADA)
    assert await wait_s(throttle, by()) == 0
