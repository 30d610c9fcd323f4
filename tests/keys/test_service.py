"""What can be done with keys, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from penstock.accounts.identity import CLI, Identity
from penstock.accounts.models import OPERATOR, Event
from penstock.accounts.service import Accounts
from penstock.infra.database import Database
from penstock.infra.revisions import Feed, Revision
from penstock.keys.door import KeyRing
from penstock.keys.models import Key
from penstock.keys.service import GRACE_LIMIT_S, KEYS_LIMIT, REVISION, Keys, Wanted
from penstock.kit import tokens
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place, decode


async def revision(database: Database) -> int:
    async with database.session(read_only=True) as session:
        return await session.scalar(select(Revision.number).where(Revision.name == REVISION)) or 0


async def test_create(keys: Keys, clock: Any, elsewhere: Database) -> None:
    key, token = await keys.create("me", models=["gpt-4o*", "claude-*"], expires_at_ms=clock.ms + 1, record=True)
    assert tokens.plausible(token.encode())
    found = await keys.get("me")
    assert (found.id, found.name, found.kind, found.models, found.record) == (key.id, "me", "key", ["gpt-4o*", "claude-*"], True)
    assert (found.created_at_ms, found.expires_at_ms, found.disabled_at_ms) == (clock.ms, clock.ms + 1, None)
    assert (found.prefix, found.last_four) == tokens.shown(token)
    assert found.digest == tokens.digest(token.encode())
    assert await keys.get(key.id)


async def test_the_token_is_kept_nowhere(keys: Keys, elsewhere: Database) -> None:
    token = (await keys.create("me", who=CLI)).token
    async with elsewhere.session(read_only=True) as session:
        rows = [(await session.execute(select(*table.columns))).one() for table in (Key.__table__, Event.__table__)]
    assert token not in repr(rows)
    assert token[3:-4] not in repr(rows)


async def test_models_may_be_all(keys: Keys, elsewhere: Database) -> None:
    await keys.create("me")
    assert (await keys.get("me")).models is None
    async with elsewhere.session(read_only=True) as session:
        assert await session.scalar(select(Key.id).where(Key.models.is_(None)))


async def test_team_keys(keys: Keys) -> None:
    key, token = await keys.create("member", kind="team")
    assert token.startswith("sk-cfw")
    assert (key.kind, key.prefix) == ("team", "sk-cfw")
    assert (await keys.rotate("member")).token.startswith("sk-cfw")


async def test_a_token_from_elsewhere(keys: Keys) -> None:
    token = tokens.make_team_token()
    assert (await keys.create("moved", kind="team", token=token)).token == token
    with pytest.raises(PenstockError, match="this token") as refused:
        await keys.create("again", kind="team", token=token)
    assert refused.value.param == "token"
    with pytest.raises(PenstockError, match="forms"):
        await keys.create("foreign", token="sk-...")


async def test_names_are_unique_among_live_keys(keys: Keys) -> None:
    first = await keys.create("me")
    with pytest.raises(PenstockError, match="this name") as refused:
        await keys.create("me")
    assert (refused.value.code, refused.value.param) == ("conflict", "name")
    await keys.disable("me")
    with pytest.raises(PenstockError, match="this name"):
        await keys.create("me")
    await keys.delete("me")
    second = await keys.create("me")
    assert second.key.id != first.key.id
    assert [key.id for key in await keys.list()] == [second.key.id]


async def test_the_same_name_at_once(keys: Keys) -> None:
    outcomes = await asyncio.gather(*(keys.create("me") for _ in range(4)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Made"] + ["PenstockError"] * 3


@pytest.mark.parametrize("name", ["", " me", "me ", "a\nb", "a\x00b", "key_1", "x" * 201])
async def test_names_that_are_refused(keys: Keys, name: str) -> None:
    with pytest.raises(PenstockError) as refused:
        await keys.create(name)
    assert refused.value.param == "name"


@pytest.mark.parametrize("name", ["me", "张三", "a%20b", "x" * 200, "Ann O'Neill; DROP TABLE key"])
async def test_names_that_are_accepted(keys: Keys, name: str) -> None:
    await keys.create(name)
    assert (await keys.get(name)).name == name


@pytest.mark.parametrize("models", [[], [""], ["gpt-*", " "], ["x" * 513]])
async def test_models_that_are_refused(keys: Keys, models: list[str]) -> None:
    with pytest.raises(PenstockError) as refused:
        await keys.create("me", models=models)
    assert refused.value.param == "models"


async def test_an_expiry_in_the_past_is_refused(keys: Keys, clock: Any) -> None:
    with pytest.raises(PenstockError, match="already passed"):
        await keys.create("me", expires_at_ms=clock.ms)


async def test_disable_and_enable(keys: Keys, clock: Any) -> None:
    key = (await keys.create("me")).key
    assert (await keys.disable("me")).disabled_at_ms == clock.ms
    clock.ms += 5
    assert (await keys.disable(key.id)).disabled_at_ms == clock.ms - 5
    assert (await keys.enable("me")).disabled_at_ms is None


async def test_rotate(keys: Keys, clock: Any) -> None:
    first = await keys.create("me")
    second = await keys.rotate("me")
    assert second.token != first.token
    assert (second.key.digest, second.key.old_digest) == (tokens.digest(second.token.encode()), None)
    third = await keys.rotate("me", grace_s=60)
    assert (third.key.old_digest, third.key.old_until_ms) == (tokens.digest(second.token.encode()), clock.ms + 60_000)
    assert third.key.last_four == third.token[-4:]


async def test_rotate_with_a_new_expiry(keys: Keys, clock: Any) -> None:
    await keys.create("me", expires_at_ms=clock.ms + 10)
    clock.ms += 20
    assert (await keys.rotate("me")).key.expires_at_ms == clock.ms - 10
    assert (await keys.rotate("me", expires_at_ms=clock.ms + 10)).key.expires_at_ms == clock.ms + 10
    with pytest.raises(PenstockError, match="already passed"):
        await keys.rotate("me", expires_at_ms=clock.ms)


async def test_rotations_at_once_leave_one_token(keys: Keys) -> None:
    await keys.create("me")
    made = await asyncio.gather(*(keys.rotate("me", grace_s=60) for _ in range(3)))
    key = await keys.get("me")
    digests = [tokens.digest(one.token.encode()) for one in made]
    assert key.digest in digests
    assert key.old_digest in digests


async def test_delete_forgets_the_tokens_and_keeps_the_row(keys: Keys, elsewhere: Database, clock: Any) -> None:
    key = (await keys.create("me")).key
    await keys.rotate("me", grace_s=60)
    await keys.delete("me")
    assert list(await keys.list()) == []
    async with elsewhere.session(read_only=True) as session:
        kept = await session.get_one(Key, key.id)
    assert (kept.name, kept.digest, kept.old_digest, kept.deleted_at_ms) == ("me", None, None, clock.ms)


async def test_unknown_keys(keys: Keys) -> None:
    await keys.create("me")
    for act in (keys.get, keys.disable, keys.enable, keys.rotate, keys.delete):
        with pytest.raises(PenstockError) as refused:
            await act("you")
        assert refused.value.code == "not_found"


async def test_every_change_is_announced_and_nothing_else(keys: Keys, elsewhere: Database) -> None:
    numbers = [await revision(elsewhere)]
    for act in (keys.create, keys.disable, keys.enable, keys.change, keys.rotate):
        await act("me")
        numbers.append(await revision(elsewhere))
    assert numbers == [0, 1, 2, 3, 4, 5]
    await keys.list()
    with pytest.raises(PenstockError):
        await keys.disable("nobody")
    assert await revision(elsewhere) == 5


# accounts


async def test_a_name_in_two_accounts(keys: Keys, new_account: Callable[..., Awaitable[str]]) -> None:
    owner = await new_account()
    ours, theirs = (await keys.create("me")).key, (await keys.create("me", account_id=owner)).key
    assert (ours.account_id, theirs.account_id) == (OPERATOR, owner)
    assert (await keys.get("me")).id == ours.id, "a name is the operator's, unless it is said whose"
    assert (await keys.get("me", owner)).id == theirs.id
    assert (await keys.get(theirs.id)).id == theirs.id
    with pytest.raises(PenstockError, match="this name"):
        await keys.create("me", account_id=owner)
    assert [key.id for key in await keys.list(owner)] == [theirs.id]
    assert [key.id for key in await keys.list()] == [ours.id, theirs.id]


async def test_a_foreign_key_is_none(keys: Keys, new_account: Callable[..., Awaitable[str]], elsewhere: Database) -> None:
    owner, other = await new_account(), await new_account()
    key, token = await keys.create("me", account_id=owner)
    acts = [
        lambda: keys.get(key.id, other),
        lambda: keys.change(key.id, account_id=other, name="mine"),
        lambda: keys.disable(key.id, account_id=other),
        lambda: keys.enable(key.id, account_id=other),
        lambda: keys.rotate(key.id, account_id=other),
        lambda: keys.delete(key.id, account_id=other),
        lambda: keys.of_token(token, other),
        lambda: keys.of_mask(f"sk-...{token[-4:]}", other),
    ]
    before = await revision(elsewhere)
    for act in acts:
        with pytest.raises(PenstockError) as refused:
            await act()
        assert refused.value.code == "not_found"
        assert owner not in refused.value.message
    assert await revision(elsewhere) == before
    assert await keys.of_token(token, owner)


async def test_an_account_that_is_none(keys: Keys, new_account: Callable[..., Awaitable[str]], elsewhere: Database, clock: Any) -> None:
    gone = await new_account()
    await Accounts(elsewhere, clock).delete(CLI, gone)
    for account_id in ("acc_none", gone):
        with pytest.raises(PenstockError) as refused:
            await keys.create("me", account_id=account_id)
        assert (refused.value.code, refused.value.param) == ("not_found", "account_id")


async def test_the_last_key_that_an_account_may_have(
    keys: Keys, new_account: Callable[..., Awaitable[str]], elsewhere: Database, clock: Any
) -> None:
    owner = await new_account()
    facts = {"account_id": owner, "kind": "key", "prefix": "sk-", "last_four": "abcd", "record": False, "created_at_ms": clock.ms}
    rows = [{**facts, "id": f"key_{number}", "name": str(number), "digest": b"%d" % number} for number in range(KEYS_LIMIT - 2)]
    async with elsewhere.session() as session:
        await session.execute(insert(Key), rows)
    outcomes = await asyncio.gather(*(keys.create(f"me {number}", account_id=owner) for number in range(4)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, PenstockError)]
    assert [(refusal.code, "5000 keys" in refusal.message) for refusal in refused] == [("conflict", True)] * 2
    await keys.delete("0", account_id=owner)
    assert await keys.create("there is room again", account_id=owner)
    assert await keys.create("and others are not touched")


# terms


async def test_change(keys: Keys, clock: Any) -> None:
    await keys.create("me", models=["a", "b"], limits={"day_nano": 5, "rpm": 60}, expires_at_ms=clock.ms + 10)
    changed = await keys.change("me", name="you", models=None, wires=["chat"], networks=["10.1.1.1/8"], record=True)
    assert (changed.name, changed.models, changed.wires, changed.networks, changed.record) == ("you", None, ["chat"], ["10.0.0.0/8"], True)
    assert (changed.limits, changed.expires_at_ms) == ({"day_nano": 5, "rpm": 60}, clock.ms + 10)
    changed = await keys.change("you", limits={"day_nano": None, "tpm": 0, "window": "rolling"}, expires_at_ms=None)
    assert (changed.limits, changed.expires_at_ms) == ({"rpm": 60, "tpm": 0, "window": "rolling"}, None)
    assert (await keys.change("you", limits=None)).limits is None
    assert (await keys.change("you", disabled=True)).disabled_at_ms == clock.ms
    assert (await keys.change("you", disabled=False)).disabled_at_ms is None
    assert (await keys.get("you")).wires == ["chat"]


async def test_nothing_is_changed_by_halves(keys: Keys) -> None:
    await keys.create("me")
    await keys.create("you")
    for wrong in ({"name": "you"}, {"limits": {"rpm": -1}}, {"networks": ["x"]}):
        with pytest.raises(PenstockError):
            await keys.change("me", record=True, **wrong)
    assert (await keys.get("me")).record is False


async def test_changes_at_once_are_all_made(keys: Keys) -> None:
    await keys.create("me")
    limits = {"day_nano": 1, "week_nano": 2, "month_nano": 3, "rpm": 4, "tpm": 5, "concurrency": 6}
    await asyncio.gather(*(keys.change("me", limits={name: value}) for name, value in limits.items()))
    assert (await keys.get("me")).limits == limits


async def test_kinds(keys: Keys) -> None:
    await keys.create("me")
    assert (await keys.change("me", kind="management")).kind == "management"
    assert (await keys.rotate("me")).token.startswith("sk-")
    await keys.create("member", kind="team")
    for name, kind in (("me", "team"), ("member", "key"), ("member", "management")):
        with pytest.raises(PenstockError) as refused:
            await keys.change(name, kind=kind)
        assert refused.value.param == "kind"


# who does it


async def test_what_is_done_is_noted(keys: Keys, elsewhere: Database, new_account: Callable[..., Awaitable[str]]) -> None:
    owner = await new_account()
    who = Identity(owner, "member", "session", "192.0.2.1")
    key = (await keys.create("me", account_id=owner, who=who, models=["a"], limits={"rpm": 1})).key
    await keys.change(key.id, account_id=owner, who=who, name="alice", disabled=True)
    for act in (keys.enable, keys.disable, keys.rotate, keys.delete):
        await act(key.id, account_id=owner, who=who)
    await keys.create("unsaid", account_id=owner)
    async with elsewhere.session(read_only=True) as session:
        events = (await session.scalars(select(Event).where(Event.subject == key.id).order_by(Event.id))).all()
        assert await session.scalar(select(func.count()).where(Event.action == "key.create")) == 1
    assert [event.action for event in events] == [f"key.{act}" for act in ("create", "change", "enable", "disable", "rotate", "delete")]
    assert {(event.actor, event.via, event.account_id) for event in events} == {(owner, "session", owner)}
    assert events[0].detail == {"kind": "key", "models": ["a"], "limits": {"rpm": 1}, "record": False}
    assert events[1].detail == {"disabled": True}
    assert events[4].detail == {"grace_s": 0}


async def test_what_fails_is_not_noted(keys: Keys, elsewhere: Database) -> None:
    await keys.create("me")
    with pytest.raises(PenstockError):
        await keys.create("me", who=CLI)
    async with elsewhere.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(Event).where(Event.action.like("key.%"))) == 0


async def test_a_management_key_makes_and_changes_no_management_key(keys: Keys) -> None:
    made = (await keys.create("root", kind="management", who=CLI)).key
    await keys.create("plain")
    by_key = Identity(OPERATOR, "admin", made.id, "")
    acts = [
        lambda: keys.create("other", kind="management", who=by_key),
        lambda: keys.change("plain", kind="management", who=by_key),
        lambda: keys.change("root", kind="key", who=by_key),
        lambda: keys.change("root", networks=None, who=by_key),
        *(lambda act=act: act("root", who=by_key) for act in (keys.disable, keys.enable, keys.rotate, keys.delete)),
    ]
    for act in acts:
        with pytest.raises(PenstockError) as refused:
            await act()
        assert refused.value.code == "forbidden"
    assert await keys.change("plain", record=True, who=by_key)
    assert await keys.change("plain", kind="management", who=Identity(OPERATOR, "admin", "session", ""))


# pages


async def test_pages(keys: Keys, clock: Any) -> None:
    made = []
    for number in range(5):
        clock.ms += 1
        made.insert(0, (await keys.create(f"key number {number}")).key.id)
    first = await keys.page(Wanted(), Place(limit=2))
    assert [key.id for key in first.data] == made[:2]
    second = await keys.page(Wanted(), Place(decode(first.next or ""), 3))
    assert ([key.id for key in second.data], second.next) == (made[2:], None)


async def test_search(keys: Keys, new_account: Callable[..., Awaitable[str]]) -> None:
    owner = await new_account()
    made = {name: await keys.create(name, account_id=owner) for name in ("Alice 100%", "bob_x", "bobby")}
    await keys.create("alice", account_id=OPERATOR)

    async def found(search: str) -> list[str]:
        return sorted(key.name for key in (await keys.page(Wanted(owner, search), Place())).data)

    assert await found("alice") == ["Alice 100%"]
    assert await found("0%") == ["Alice 100%"]
    assert await found("b_") == ["bob_x"]
    assert await found("bob") == ["bob_x", "bobby"]
    assert await found(made["bobby"].key.id) == ["bobby"]
    assert "bobby" in await found(made["bobby"].key.last_four)
    assert await found("nobody") == []


@pytest.mark.parametrize("text", ["key_\0", "\0", "\ud800", "key_\ud800", ""])
async def test_what_no_database_can_be_asked_for(keys: Keys, text: str) -> None:
    acts = [
        lambda: keys.get(text),
        lambda: keys.get("key_1", text or "\0"),
        lambda: keys.change(text, record=True),
        lambda: keys.create("me", account_id=text),
        lambda: keys.of_mask(f"{text}...abcd", OPERATOR),
        lambda: keys.of_mask(f"sk-...{text}", OPERATOR),
    ]
    for act in acts:
        with pytest.raises(PenstockError) as refused:
            await act()
        assert refused.value.code == "not_found"
    assert (await keys.page(Wanted(text or "\0", text), Place())).data == []


# tokens


async def test_of_token(keys: Keys) -> None:
    first = await keys.create("me")
    second = await keys.rotate("me", grace_s=60)
    for token in (first.token, second.token):
        assert (await keys.of_token(token)).id == first.key.id
    for unknown in (tokens.make_token(), "sk-...", "", "\ud800"):
        with pytest.raises(PenstockError, match="no such key"):
            await keys.of_token(unknown)


async def test_of_mask(keys: Keys, elsewhere: Database) -> None:
    made = await keys.create("me")
    mask = f"sk-...{made.key.last_four}"
    assert (await keys.of_mask(mask, OPERATOR)).id == made.key.id
    for unknown in ("sk-...", "sk-cfw..." + made.key.last_four, "..." + made.key.last_four, mask[:-1]):
        with pytest.raises(PenstockError, match="no such key"):
            await keys.of_mask(unknown, OPERATOR)
    await keys.create("you")
    async with elsewhere.session() as session:
        for key in await session.scalars(select(Key)):
            key.last_four = made.key.last_four
    with pytest.raises(PenstockError, match="Several") as refused:
        await keys.of_mask(mask, OPERATOR)
    assert refused.value.code == "conflict"


@pytest.mark.parametrize("grace_s", [-1, GRACE_LIMIT_S + 1, 2**70])
async def test_a_grace_that_is_refused(keys: Keys, grace_s: int) -> None:
    await keys.create("me")
    with pytest.raises(PenstockError, match="a year"):
        await keys.rotate("me", grace_s=grace_s)


async def test_a_key_works_while_it_is_rotated(keys: Keys, database: Database, clock: Any) -> None:
    """Whoever takes over the new token in time is never refused: the one before it works on, and the new one does at once."""
    token = (await keys.create("me")).token
    feed = Feed(database, every_s=0.01)
    ring = KeyRing(database, feed, now_ms=clock)
    await ring.start()
    await feed.start()
    stop = asyncio.Event()
    last_used = [""] * 4

    async def use(user: int) -> None:
        while not stop.is_set():
            shown = token
            assert (await ring.look_up(shown.encode())).name == "me"
            last_used[user] = shown
            await asyncio.sleep(0.001)

    async def rotate() -> None:
        nonlocal token
        for _ in range(20):
            token = (await keys.rotate("me", grace_s=60)).token
            while set(last_used) != {token}:  # noqa: ASYNC110  two rotations in the time of one look-up would rightly refuse it
                await asyncio.sleep(0.001)
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(rotate())
        for user in range(len(last_used)):
            group.create_task(use(user))
    await feed.stop()
    await ring.stop()
    assert ring.epoch > 1, "the ring has seen changes meanwhile"


# members


async def test_a_member_resets_their_own_key(keys: Keys, elsewhere: Database, clock: Any) -> None:
    first = await keys.create("janlay", kind="team", expires_at_ms=clock.ms + 10)
    second = await keys.reset(first.token)
    assert second.token.startswith("sk-cfw")
    assert (second.key.id, second.key.expires_at_ms) == (first.key.id, clock.ms + 10)
    assert (await keys.member(second.token)).id == first.key.id
    for act in (keys.reset, keys.member):
        with pytest.raises(PenstockError) as refused:
            await act(first.token)
        assert refused.value.code == "invalid_key"


async def test_of_resets_at_once_one_succeeds(keys: Keys) -> None:
    token = (await keys.create("janlay", kind="team")).token
    outcomes = await asyncio.gather(*(keys.reset(token) for _ in range(4)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Made"] + ["PenstockError"] * 3


async def test_who_may_not_reset(keys: Keys, clock: Any) -> None:
    plain = await keys.create("plain")
    disabled = await keys.create("disabled", kind="team")
    await keys.disable("disabled")
    expired = await keys.create("expired", kind="team", expires_at_ms=clock.ms + 1)
    clock.ms += 1
    codes = {plain.token: "invalid_key", disabled.token: "key_disabled", expired.token: "key_expired", "\ud800": "invalid_key"}
    for token, code in codes.items():
        for act in (keys.reset, keys.member):
            with pytest.raises(PenstockError) as refused:
                await act(token)
            assert refused.value.code == code
