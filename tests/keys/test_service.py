"""What can be done with keys, on both engines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from penstock.infra.database import Database
from penstock.infra.revisions import Revision
from penstock.keys.models import Key
from penstock.keys.service import REVISION, Keys
from penstock.kit import tokens
from penstock.kit.errors import PenstockError


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
    token = (await keys.create("me")).token
    async with elsewhere.session(read_only=True) as session:
        row = (await session.execute(select(*Key.__table__.columns))).one()
    assert token not in repr(row)
    assert token[3:-4] not in repr(row)


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
    assert (refused.value.code, refused.value.param) == ("invalid_request", "name")
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
    for act in (keys.create, keys.disable, keys.enable, keys.rotate, keys.delete):
        await act("me")
        numbers.append(await revision(elsewhere))
    assert numbers == [0, 1, 2, 3, 4, 5]
    await keys.list()
    with pytest.raises(PenstockError):
        await keys.disable("me")
    assert await revision(elsewhere) == 5
