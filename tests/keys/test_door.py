"""The key ring: what is found without the database, what is looked up, and how soon changes are seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import event

from penstock.accounts.models import OPERATOR, Account, Membership, Tier
from penstock.infra.database import Database
from penstock.keys.door import Caller, KeyRing, Recent
from penstock.keys.service import Keys
from penstock.kit import tokens
from penstock.kit.errors import PenstockError
from penstock.kit.walker import Walker


@pytest.fixture
async def ring(database: Database, clock: Any) -> AsyncIterator[KeyRing]:
    """A ring that follows changes."""
    made = KeyRing(database, now_ms=clock)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def still_ring(database: Database, clock: Any) -> AsyncIterator[KeyRing]:
    """A ring that follows nothing: it forgets only by its bounds."""
    made = KeyRing(database, now_ms=clock)
    yield made
    await made.stop()


@pytest.fixture
def queries(database: Database) -> list[str]:
    """The statements about keys that the ring's database has executed."""
    seen: list[str] = []

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and "old_digest" in statement:
            seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", executed)
    return seen


async def refusal(ring: KeyRing, token: str) -> str:
    with pytest.raises(PenstockError) as refused:
        await ring.look_up(token.encode())
    assert refused.value.status == 401
    return refused.value.code


async def until(ring: KeyRing, token: str, expected: str | None) -> None:
    """Wait until asking for the token answers with this refusal, or with a caller."""
    async with asyncio.timeout(10):
        while True:
            try:
                await ring.look_up(token.encode())
                code = None
            except PenstockError as refused:
                code = refused.code
            if code == expected:
                return
            await asyncio.sleep(0.02)


async def test_look_up_then_find(still_ring: KeyRing, keys: Keys, clock: Any, queries: list[str]) -> None:
    key, token = await keys.create("me", models=["gpt-*"], expires_at_ms=clock.ms + 10, record=True)
    assert still_ring.find(token.encode()) is None
    caller = await still_ring.look_up(token.encode())
    expected = Caller(key_id=key.id, name="me", account_id=OPERATOR, models=("gpt-*",), record=True)
    assert caller == msgspec.structs.replace(expected, expires_at_ms=clock.ms + 10, until_ms=clock.ms + 10)
    assert still_ring.find(token.encode()) is caller
    assert await still_ring.look_up(token.encode()) is caller
    assert len(queries) == 1


async def test_unknown_keys_are_asked_for_once(still_ring: KeyRing, queries: list[str]) -> None:
    token = tokens.make_token()
    for _ in range(3):
        assert await refusal(still_ring, token) == "invalid_key"
    assert len(queries) == 1
    with pytest.raises(PenstockError):
        still_ring.find(token.encode())


@pytest.mark.parametrize("token", ["", "sk-...", "sk-" + "a" * 48, "x" * 10_000])
async def test_implausible_keys_are_never_asked_for(still_ring: KeyRing, queries: list[str], token: str) -> None:
    with pytest.raises(PenstockError) as refused:
        still_ring.find(token.encode())
    assert refused.value.code == "invalid_key"
    assert await refusal(still_ring, token) == "invalid_key"
    assert queries == []


async def test_many_who_ask_for_one_key_share_a_query(still_ring: KeyRing, keys: Keys, queries: list[str]) -> None:
    token = (await keys.create("me")).token.encode()
    queries.clear()
    callers = await asyncio.gather(*(still_ring.look_up(token) for _ in range(50)))
    assert len({id(caller) for caller in callers}) == 1
    assert len(queries) == 1


async def test_a_flood_of_unknown_keys_is_asked_for_in_batches(still_ring: KeyRing, queries: list[str]) -> None:
    made = [tokens.make_token().encode() for _ in range(1000)]
    answers = await asyncio.gather(*(still_ring.look_up(token) for token in made), return_exceptions=True)
    assert {answer.code for answer in answers if isinstance(answer, PenstockError)} == {"invalid_key"}
    assert len(queries) <= 6


async def test_one_who_gives_up_does_not_disturb_the_others(still_ring: KeyRing, keys: Keys) -> None:
    token = (await keys.create("me")).token.encode()
    waiting = [asyncio.ensure_future(still_ring.look_up(token)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert [(await one).name for one in waiting[1:]] == ["me", "me"]


async def test_a_walk_may_look_up(still_ring: KeyRing, keys: Keys) -> None:
    """The relay's walks are no tasks: what only works in one must not be needed."""
    token = (await keys.create("me")).token.encode()
    names: list[str] = []
    ended = asyncio.get_running_loop().create_future()

    async def walk() -> None:
        names.append((await still_ring.look_up(token)).name)

    Walker(walk(), ended.set_result).start()
    assert await ended is None
    assert names == ["me"]


async def test_disabled(still_ring: KeyRing, keys: Keys) -> None:
    token = (await keys.create("me")).token
    await keys.disable("me")
    assert await refusal(still_ring, token) == "key_disabled"


async def test_expiry_is_checked_against_the_clock(still_ring: KeyRing, keys: Keys, clock: Any, queries: list[str]) -> None:
    token = (await keys.create("me", expires_at_ms=clock.ms + 10)).token
    await still_ring.look_up(token.encode())
    clock.ms += 9
    assert still_ring.find(token.encode())
    clock.ms += 1
    assert await refusal(still_ring, token) == "key_expired"
    with pytest.raises(PenstockError):
        still_ring.find(token.encode())
    clock.ms -= 5
    assert still_ring.find(token.encode())
    assert len(queries) == 1


async def test_an_expired_key_is_refused_when_looked_up(still_ring: KeyRing, keys: Keys, clock: Any) -> None:
    token = (await keys.create("me", expires_at_ms=clock.ms + 10)).token
    clock.ms += 10
    assert await refusal(still_ring, token) == "key_expired"


async def test_the_old_token_in_its_grace(still_ring: KeyRing, keys: Keys, clock: Any) -> None:
    old = (await keys.create("me", expires_at_ms=clock.ms + 90_000)).token
    new = (await keys.rotate("me", grace_s=60)).token
    assert (await still_ring.look_up(old.encode())).expires_at_ms == clock.ms + 60_000
    assert (await still_ring.look_up(new.encode())).expires_at_ms == clock.ms + 90_000
    clock.ms += 60_000
    assert await refusal(still_ring, old) == "key_expired"
    assert still_ring.find(new.encode())


async def test_a_rotated_token_dies_at_once(still_ring: KeyRing, keys: Keys) -> None:
    old = (await keys.create("me")).token
    await keys.rotate("me")
    assert await refusal(still_ring, old) == "invalid_key"


async def test_a_deleted_key_is_unknown(still_ring: KeyRing, keys: Keys) -> None:
    token = (await keys.create("me")).token
    await keys.delete("me")
    assert await refusal(still_ring, token) == "invalid_key"


async def test_changes_by_others_are_seen(ring: KeyRing, keys: Keys) -> None:
    token = (await keys.create("me")).token
    await until(ring, token, None)
    await keys.disable("me")
    await until(ring, token, "key_disabled")
    await keys.enable("me")
    await until(ring, token, None)
    await keys.delete("me")
    await until(ring, token, "invalid_key")


async def test_a_key_made_after_it_was_refused_is_accepted(ring: KeyRing, keys: Keys) -> None:
    token = tokens.make_token()
    await until(ring, token, "invalid_key")
    await keys.create("me", token=token)
    await until(ring, token, None)


async def test_what_was_read_before_a_change_is_not_kept(still_ring: KeyRing, keys: Keys, database: Database) -> None:
    token = (await keys.create("me")).token.encode()
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *_: still_ring._forget())
    assert (await still_ring.look_up(token)).name == "me"
    assert still_ring.find(token) is None


async def test_when_the_database_is_away(still_ring: KeyRing, keys: Keys, elsewhere: Database, outage: Any) -> None:
    known = (await keys.create("known")).token
    unseen = (await keys.create("unseen")).token
    await still_ring.look_up(known.encode())
    await elsewhere.close()
    async with outage():
        assert still_ring.find(known.encode())
        with pytest.raises(PenstockError) as refused:
            await still_ring.look_up(unseen.encode())
        assert (refused.value.code, refused.value.status) == ("overloaded", 503)
        assert refused.value.retry_after_s
    assert (await still_ring.look_up(unseen.encode())).name == "unseen"


async def test_refused_keys_are_bounded(database: Database, queries: list[str]) -> None:
    ring = KeyRing(database, unknown_limit=10)
    made = [tokens.make_token() for _ in range(40)]
    for token in made:
        assert await refusal(ring, token) == "invalid_key"
    assert len(ring._refused) <= 10
    with pytest.raises(PenstockError):
        ring.find(made[-1].encode())
    assert ring.find(made[0].encode()) is None
    await ring.stop()


def test_recent_keeps_what_is_used() -> None:
    recent: Recent[int] = Recent(10)
    recent.put(b"used", 1)
    for number in range(100):
        recent.put(b"%d" % number, number)
        assert recent.get(b"used") == 1
        assert len(recent) <= 10
    assert recent.get(b"0") is None
    recent.clear()
    assert (len(recent), recent.get(b"used")) == (0, None)


def test_allows() -> None:
    assert Caller(key_id=None, name="").allows("anything")
    limited = Caller(key_id="key_1", name="me", models=("gpt-4o*", "claude-?"))
    assert [limited.allows(model) for model in ("gpt-4o-mini", "claude-3", "claude-33", "o1", "")] == [True, True, False, False, False]


def test_the_models_of_a_membership_count_too() -> None:
    both = Caller(key_id="key_1", name="me", models=("gpt-*",), tier_models=("gpt-4*",))
    assert [both.allows(model) for model in ("gpt-4o", "gpt-3", "claude-3")] == [True, False, False]


async def test_what_a_caller_draws_on_and_when_that_changes(still_ring: KeyRing, keys: Keys, database: Database, clock: Any) -> None:
    async with database.session() as session:
        session.add(
            Account(
                id="acc_member", name="m", email=None, role="member", password=None, prepaid=True, limits={"day_nano": 7}, created_at_ms=1,
                confirmed_at_ms=1, disabled_at_ms=None, deleted_at_ms=None,
            )
        )  # fmt: skip
        await session.flush()
        session.add(Membership(account_id="acc_member", tier="vip", started_at_ms=0, until_ms=clock.ms + 50))
        vip = await session.get_one(Tier, "vip")
        vip.multiplier_micro, vip.limits = 800_000, {"rpm": 9, "day_nano": 3}
    _, token = await keys.create("me", account_id="acc_member", limits={"tpm": 4})
    caller = await still_ring.look_up(token.encode())
    assert (caller.prepaid, caller.multiplier_micro, caller.until_ms) == (True, 800_000, clock.ms + 50)
    kinds = [(want.purse_id.partition("/")[0][:4], want.kind, want.limit) for want in caller.wants]
    assert kinds == [("acc_", "free", None), ("acc_", "paid", None), ("acc_", "day", 7), ("acc_", "rpm", 9), ("key_", "tpm", 4)]
    clock.ms += 50
    later = await still_ring.look_up(token.encode())
    assert (later.multiplier_micro, later.until_ms) == (1_000_000, None)


async def test_keys_of_a_disabled_account_do_not_open(still_ring: KeyRing, keys: Keys, database: Database) -> None:
    _, token = await keys.create("me")
    async with database.session() as session:
        (await session.get_one(Account, OPERATOR)).disabled_at_ms = 1
    with pytest.raises(PenstockError) as refused:
        await still_ring.look_up(token.encode())
    assert refused.value.code == "account_disabled"


async def test_a_key_that_the_settings_give(database: Database, queries: list[str]) -> None:
    ring = KeyRing(database, given=SecretStr("a-word-of-ones-own"))
    caller = ring.find(b"a-word-of-ones-own")
    assert (caller.account_id, caller.key_id, caller.prepaid, caller.models) == (OPERATOR, None, False, None)
    with pytest.raises(PenstockError):
        ring.find(b"another-word")
    assert queries == []


def test_fallbacks_of_the_longest_glob_count_and_never_the_model_itself() -> None:
    caller = Caller(key_id="key_1", name="me", fallbacks=(("gpt-4o*", ("gpt-4o", "claude")), ("*", ("any",))))
    assert caller.falls_back_to("gpt-4o") == ("claude",)
    assert caller.falls_back_to("o3") == ("any",)
    assert Caller(key_id="key_1", name="me").falls_back_to("o3") == ()


async def test_fallbacks_are_read_with_the_key(still_ring: KeyRing, keys: Keys) -> None:
    _, token = await keys.create("me", fallbacks={"*": ["a"], "gpt-*": ["b"]})
    assert (await still_ring.look_up(token.encode())).fallbacks == (("gpt-*", ("b",)), ("*", ("a",)))


# callers by the id of their key, and tokens that are lent


async def test_a_caller_by_the_id_of_the_key(still_ring: KeyRing, keys: Keys, queries: list[str]) -> None:
    key, token = await keys.create("me", models=["gpt-*"], record=True)
    assert await still_ring.caller_of(key.id) == await still_ring.look_up(token.encode())


async def test_a_key_that_opens_nothing_has_no_caller(still_ring: KeyRing, keys: Keys, clock: Any) -> None:
    key, _ = await keys.create("me", expires_at_ms=clock.ms + 10)
    clock.ms += 10
    for act, code in ((None, "key_expired"), (keys.disable, "key_disabled"), (keys.delete, "not_found")):
        if act is not None:
            await act(key.id)
        with pytest.raises(PenstockError) as refused:
            await still_ring.caller_of(key.id)
        assert refused.value.code == code
    with pytest.raises(PenstockError):
        await still_ring.caller_of("key_none")


async def test_the_key_that_the_settings_give_has_no_id(database: Database) -> None:
    with pytest.raises(PenstockError) as refused:
        await KeyRing(database).caller_of(None)
    assert refused.value.code == "not_found"
    given = KeyRing(database, given=SecretStr("open sesame"))
    assert await given.caller_of(None) is given.find(b"open sesame")


async def test_a_lent_token_opens_while_it_is_lent(still_ring: KeyRing, clock: Any) -> None:
    caller = Caller(key_id="key_1", name="me", expires_at_ms=clock.ms + 10, until_ms=clock.ms + 5, channel="spare")
    with still_ring.lent(caller) as token, still_ring.lent(caller) as other:
        assert token != other and len(token) >= 40
        found = still_ring.find(token.encode())
        assert found == msgspec.structs.replace(caller, expires_at_ms=None, until_ms=None)
        still_ring._forget()
        assert still_ring.find(token.encode()) is found, "whatever becomes of others"
    for gone in (token, other):
        assert await refusal(still_ring, gone) == "invalid_key"


async def test_a_lent_token_is_gone_after_a_failure(still_ring: KeyRing) -> None:
    with pytest.raises(RuntimeError), still_ring.lent(Caller(key_id="key_1", name="me")) as token:
        raise RuntimeError
    assert await refusal(still_ring, token) == "invalid_key"
