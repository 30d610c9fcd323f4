"""Sessions: only the digest is kept, they end when they should, and whose they are is always up to date."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from penstock.accounts.identity import CLI
from penstock.accounts.models import Session
from penstock.accounts.sessions import (
    DAY_MS,
    IDLE_MS,
    LONGEST_MS,
    SESSIONS_LIMIT,
    Browser,
    Sessions,
    csrf_token,
    public_id,
    purge,
)
from penstock.kit.errors import PenstockError

BROWSER = Browser("Mozilla/5.0\r\n\x00 (X)" + "x" * 500, "10.0.0.1")


@pytest.fixture
async def account_id(new_account) -> str:
    return (await new_account("ada@example.com")).id


@pytest.fixture
def sessions(database, clock) -> Sessions:
    return Sessions(database, clock)


async def open_one(sessions, database, account_id, browser: Browser = BROWSER) -> str:
    async with database.session() as session:
        return (await sessions.open(session, account_id, browser)).token


async def test_the_cookie_is_kept_nowhere(sessions, database, account_id, clock):
    token = await open_one(sessions, database, account_id)
    found = await sessions.find(token)
    assert (found.account_id, found.role, found.csrf_token) == (account_id, "member", csrf_token(token))
    async with database.session(read_only=True) as session:
        (row,) = (await session.scalars(select(Session))).all()
    assert token not in repr(vars(row)) and bytes.fromhex(token) not in row.digest and row.digest == found.digest
    assert (row.agent[:15], len(row.agent), row.address) == ("Mozilla/5.0 (X)", 200, "10.0.0.1")
    assert (row.created_at_ms, row.expires_at_ms) == (clock.ms, clock.ms + LONGEST_MS)


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "\ud800", "a\x00b"])
async def test_cookies_that_are_none(sessions, token):
    assert await sessions.find(token) is None


async def test_an_unused_session_ends(sessions, database, account_id, clock):
    token = await open_one(sessions, database, account_id)
    clock.ms += IDLE_MS - 1
    assert await sessions.find(token)
    clock.ms += IDLE_MS - 1
    assert await sessions.find(token)
    clock.ms += IDLE_MS
    assert await sessions.find(token) is None
    assert list(await sessions.list(account_id)) == []


async def test_a_used_session_ends_too(sessions, database, account_id, clock):
    token = await open_one(sessions, database, account_id)
    for _ in range(LONGEST_MS // DAY_MS):
        assert await sessions.find(token)
        clock.ms += DAY_MS
    assert await sessions.find(token) is None


async def test_a_clock_that_goes_back_ends_no_session(sessions, database, account_id, clock):
    token = await open_one(sessions, database, account_id)
    clock.ms -= 10 * DAY_MS
    assert await sessions.find(token)
    clock.ms += 10 * DAY_MS
    assert await sessions.find(token)


async def test_use_is_noted_once_a_minute(sessions, database, account_id, clock):
    token = await open_one(sessions, database, account_id)
    for step_ms, seen_ms in ((59_000, 0), (1000, 60_000), (30_000, 60_000)):
        clock.ms += step_ms
        await sessions.find(token)
        (one,) = await sessions.list(account_id)
        assert one.seen_at_ms - one.created_at_ms == seen_ms


async def test_role_and_state_are_those_of_now(sessions, database, account_id, parts, new_account):
    await new_account("root@example.com", role="admin")
    token = await open_one(sessions, database, account_id)
    await parts.accounts.change(CLI, account_id, role="admin")
    assert (await sessions.find(token)).role == "admin"
    await parts.accounts.disable(CLI, account_id)
    await parts.accounts.enable(CLI, account_id)
    assert await sessions.find(token) is None


async def test_end_one(sessions, database, account_id):
    tokens = [await open_one(sessions, database, account_id) for _ in range(3)]
    found = await sessions.find(tokens[1])
    await sessions.end(account_id, found.id)
    assert [bool(await sessions.find(token)) for token in tokens] == [True, False, True]
    for whose, session_id in ((account_id, found.id), ("acc_other", (await sessions.find(tokens[0])).id)):
        with pytest.raises(PenstockError) as refused:
            await sessions.end(whose, session_id)
        assert refused.value.code == "not_found"


async def test_end_the_others(sessions, database, account_id, new_account):
    tokens = [await open_one(sessions, database, account_id) for _ in range(3)]
    foreign = await open_one(sessions, database, (await new_account("eve@example.com")).id)
    await sessions.end_others(await sessions.find(tokens[2]))
    assert [bool(await sessions.find(token)) for token in (*tokens, foreign)] == [False, False, True, True]


async def test_signing_in_ends_the_session_that_the_browser_had(sessions, database, account_id):
    first = await open_one(sessions, database, account_id)
    second = await open_one(sessions, database, account_id, Browser("", "", first))
    assert second != first
    assert await sessions.find(first) is None and await sessions.find(second)


async def test_the_number_of_sessions_is_bounded(sessions, database, account_id, clock):
    tokens = []
    for _ in range(SESSIONS_LIMIT + 2):
        clock.ms += 1
        tokens.append(await open_one(sessions, database, account_id))
    assert len(await sessions.list(account_id)) == SESSIONS_LIMIT
    assert [bool(await sessions.find(token)) for token in tokens[:3]] == [False, False, True]


async def test_what_is_over_is_purged(sessions, database, account_id, clock):
    tokens = [await open_one(sessions, database, account_id) for _ in range(3)]
    async with database.session() as session:
        found = await sessions.find(tokens[0])
        await session.execute(update(Session).where(Session.digest == found.digest).values(seen_at_ms=clock.ms + IDLE_MS))
    assert await purge(database, clock.ms + IDLE_MS - 1) == 0
    assert await purge(database, clock.ms + IDLE_MS) == 2
    assert await purge(database, clock.ms + LONGEST_MS) == 1


def test_what_is_shown_of_a_session_does_not_tell_the_cookie():
    assert csrf_token("a") != csrf_token("b") and len(csrf_token("a")) == 64
    assert public_id(b"\x01" * 32) == "ses_" + "01" * 12
