"""The audit trail: with the change or not at all, newest first, a page at a time."""

from __future__ import annotations

import pytest

from penstock.accounts.identity import CLI, Identity
from penstock.accounts.trail import Trail, Wanted
from penstock.kit.pages import Place, decode

WHO = Identity("acc_1", "member", "session", "10.0.0.1")


@pytest.fixture
def trail(database, clock) -> Trail:
    return Trail(database, clock)


async def note(trail, database, action: str, who: Identity = WHO, account_id: str | None = "acc_1") -> None:
    async with database.session() as session:
        await trail.note(session, who, action, "key_1", account_id=account_id, detail={"n": 1})


async def test_what_is_noted(trail, database, clock):
    await note(trail, database, "key.create")
    (event,) = (await trail.list()).data
    assert (event.at_ms, event.actor, event.via, event.address) == (clock.ms, "acc_1", "session", "10.0.0.1")
    assert (event.action, event.account_id, event.subject, event.detail) == ("key.create", "acc_1", "key_1", {"n": 1})
    assert event.id.startswith("evt_")


async def test_the_command_line_is_called_so(trail, database):
    await note(trail, database, "key.create", CLI)
    (event,) = (await trail.list()).data
    assert (event.actor, event.via, event.address) == ("cli", "cli", "")


async def test_what_is_undone_leaves_no_trace(trail, database):
    async def note_and_fail() -> None:
        async with database.session() as session:
            await trail.note(session, WHO, "key.create", "key_1", account_id="acc_1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await note_and_fail()
    assert (await trail.list()).data == []


async def test_pages_newest_first(trail, database, clock):
    for number in range(5):
        clock.ms += number % 2  # some at the same moment
        await note(trail, database, f"a.{number}")
    seen, cursor = [], None
    for size in (2, 2, 1):
        page = await trail.list(place=Place(cursor, 2))
        assert len(page.data) == size
        seen += [event.action for event in page.data]
        cursor = decode(page.next) if page.next else None
    assert cursor is None
    assert seen == [f"a.{number}" for number in reversed(range(5))]


async def test_what_is_asked_for(trail, database):
    await note(trail, database, "key.create")
    await note(trail, database, "tier.put", CLI, None)
    await note(trail, database, "key.create", CLI, "acc_2")

    async def found(**wanted: str) -> list[tuple[str, str]]:
        return [(event.actor, event.action) for event in (await trail.list(Wanted(**wanted))).data]

    assert await found(account_id="acc_1") == [("acc_1", "key.create")]
    assert await found(actor="cli") == [("cli", "key.create"), ("cli", "tier.put")]
    assert await found(action="key.create", actor="cli") == [("cli", "key.create")]
