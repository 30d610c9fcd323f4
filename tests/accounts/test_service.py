"""What can be done with accounts, on both engines, and what must never be done to the last administrator."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from penstock.accounts.identity import CLI, Identity
from penstock.accounts.models import OPERATOR, Account, Event, Repeat, Session, Ticket
from penstock.accounts.parts import Others
from penstock.accounts.repeats import Repeat as Asked
from penstock.accounts.service import CALLERS, DELETED, REVISION, Draft, Wanted
from penstock.accounts.sessions import Browser
from penstock.infra.revisions import Revision
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place, decode

PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(parts):
    return parts.accounts


async def revisions(database) -> list[int]:
    async with database.session(read_only=True) as session:
        found = dict((await session.execute(select(Revision.name, Revision.number))).all())
    return [found.get(name, 0) for name in (REVISION, CALLERS)]


async def refused(act, code: str, param: str | None = None) -> None:
    with pytest.raises(PenstockError) as refusal:
        await act
    assert (refusal.value.code, refusal.value.param) == (code, param)


async def events(database, action: str | None = None) -> list[Event]:
    async with database.session(read_only=True) as session:
        found = (await session.scalars(select(Event).order_by(Event.id))).all()
    return [event for event in found if action in (None, event.action)]


async def test_create(accounts, database, clock):
    made = await accounts.create(CLI, Draft("Ada", " Ada@Example.com ", PASSWORD, limits={"rpm": 60}))
    found = await accounts.get(made.id)
    assert (found.name, found.email, found.role, found.prepaid, found.limits) == ("Ada", "ada@example.com", "member", True, {"rpm": 60})
    assert (found.created_at_ms, found.confirmed_at_ms, found.disabled_at_ms, found.deleted_at_ms) == (clock.ms, clock.ms, None, None)
    assert found.password.startswith("$argon2id$") and PASSWORD not in found.password
    (event,) = await events(database)
    assert (event.action, event.subject, event.account_id) == ("account.create", made.id, made.id)
    assert "ada" not in str(event.detail).lower()
    assert (await accounts.find("ADA@example.com ")).id == (await accounts.find(made.id)).id == made.id


async def test_without_email_nobody_signs_in(accounts):
    made = await accounts.create(CLI, Draft("Build servers", prepaid=False))
    assert (made.email, made.password, made.prepaid) == (None, None, False)
    await refused(accounts.create(CLI, Draft("x", password=PASSWORD)), "invalid_request", "email")


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "a\x00b", "x" * 201, "\ud800"])
async def test_names_that_are_refused(accounts, name):
    await refused(accounts.create(CLI, Draft(name)), "invalid_request", "name")


@pytest.mark.parametrize(
    "limits", [{"rpm": -1}, {"rpm": True}, {"rpm": 1.5}, {"rpm": "1"}, {"rpm": 10**18 + 1}, {"nope": 1}, {"window": "x"}]
)
async def test_limits_that_are_refused(accounts, limits):
    await refused(accounts.create(CLI, Draft("x", limits=limits)), "invalid_request", f"limits.{next(iter(limits))}")


async def test_addresses_are_unique_among_live_accounts(accounts):
    first = await accounts.create(CLI, Draft("Ada", "ada@example.com"))
    await refused(accounts.create(CLI, Draft("Eve", "ADA@example.com")), "conflict", "email")
    eve = await accounts.create(CLI, Draft("Eve", "eve@example.com"))
    await refused(accounts.change(CLI, eve.id, email="ada@example.com"), "conflict", "email")
    await accounts.delete(CLI, first.id)
    assert (await accounts.change(CLI, eve.id, email="ada@example.com")).email == "ada@example.com"


async def test_the_same_address_at_once(accounts):
    outcomes = await asyncio.gather(*(accounts.create(CLI, Draft("Ada", "ada@example.com")) for _ in range(4)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Account"] + ["PenstockError"] * 3


async def test_change(accounts, database):
    made = await accounts.create(CLI, Draft("Ada", limits={"rpm": 60, "day_nano": 5}))
    before = await revisions(database)
    changed = await accounts.change(CLI, made.id, name="Ada L.", prepaid=False, limits={"rpm": None, "tpm": 9})
    assert (changed.name, changed.prepaid, changed.limits) == ("Ada L.", False, {"tpm": 9, "day_nano": 5})
    assert await revisions(database) == [number + 1 for number in before]
    (event,) = await events(database, "account.change")
    assert event.detail == {"prepaid": False, "limits": {"tpm": 9, "day_nano": 5}, "changed": ["limits", "name", "prepaid"]}
    assert (await accounts.change(CLI, made.id, limits=None)).limits == {}


async def test_another_address_ends_what_was_sent_to_the_old_one(accounts, parts):
    made = await accounts.create(CLI, Draft("Ada", "ada@example.com"))
    token = await parts.recovery.ticket(CLI, made.id)
    await accounts.change(CLI, made.id, email="ada@example.com")
    assert await parts.tickets.look(token, "reset")
    await accounts.change(CLI, made.id, email="ada@example.org")
    await refused(parts.tickets.look(token, "reset"), "invalid_request", "token")


async def test_disable_and_enable(accounts, parts, clock, database):
    made = await accounts.create(CLI, Draft("Ada", "ada@example.com", PASSWORD))
    _, opened = await parts.signing.sign_in("ada@example.com", PASSWORD, Browser("", "10.0.0.1"))
    before = await revisions(database)
    assert (await accounts.disable(CLI, made.id)).disabled_at_ms == clock.ms
    assert await revisions(database) == [number + 1 for number in before]
    assert await parts.sessions.find(opened.token) is None
    await refused(accounts.identify(made.id, "key_1", ""), "account_disabled")
    clock.ms += 5
    assert (await accounts.disable(CLI, made.id)).disabled_at_ms == clock.ms - 5
    assert (await accounts.enable(CLI, made.id)).disabled_at_ms is None
    assert await accounts.identify(made.id, "key_1", "10.0.0.1") == Identity(made.id, "member", "key_1", "10.0.0.1")


async def test_delete_forgets_who_it_was(accounts, parts, database, clock):
    made = await accounts.create(CLI, Draft("Ada", "ada@example.com", PASSWORD))
    _, opened = await parts.signing.sign_in("ada@example.com", PASSWORD, Browser("Mozilla", "10.9.9.9"))
    await parts.recovery.ticket(CLI, made.id)

    async def act(session) -> dict[str, str]:
        return {"email": "ada@example.com"}

    await parts.repeats.once(Asked(made.id, "k", b""), act, dict)
    await accounts.delete(Identity(made.id, "member", "session", "10.9.9.9"), made.id)

    gone = await accounts.get(made.id)
    assert (gone.name, gone.email, gone.password, gone.deleted_at_ms) == (DELETED, None, None, clock.ms)
    assert await parts.sessions.find(opened.token) is None
    async with database.session(read_only=True) as session:
        rows = [row for table in (Account, Event, Repeat, Session, Ticket) for row in (await session.scalars(select(table))).all()]
    left = "".join(str(vars(row)) for row in rows)
    assert "ada" not in left.lower().replace("metadata", "") and "10.9.9.9" not in left and PASSWORD not in left
    for act_on in (accounts.disable, accounts.enable, accounts.delete):
        await refused(act_on(CLI, made.id), "not_found", "account_id")
    await refused(accounts.identify(made.id, "key_1", ""), "invalid_key")
    await refused(accounts.find(made.id), "not_found", "account_id")


async def test_what_else_ends_with_an_account_ends_in_the_same_transaction(new_parts, settings, database):
    ended: list[str] = []

    async def ending(session, account_id: str) -> None:
        ended.append(account_id)
        if len(ended) == 1:
            raise RuntimeError

    parts = new_parts(settings, others=Others(endings=(ending,)))
    made = await parts.accounts.create(CLI, Draft("Ada"))
    with pytest.raises(RuntimeError):
        await parts.accounts.delete(CLI, made.id)
    assert (await parts.accounts.get(made.id)).deleted_at_ms is None
    await parts.accounts.delete(CLI, made.id)
    assert ended == [made.id, made.id]


async def test_the_operators_account_stays(accounts):
    for act in (accounts.disable(CLI, OPERATOR), accounts.delete(CLI, OPERATOR), accounts.change(CLI, OPERATOR, role="member")):
        await refused(act, "conflict")
    assert (await accounts.change(CLI, OPERATOR, name="Me", prepaid=True)).name == "Me"


async def test_the_last_administrator_stays(accounts):
    root = await accounts.create(CLI, Draft("Root", "root@example.com", PASSWORD, "admin"))
    unable = await accounts.create(CLI, Draft("No password", role="admin"))
    for act in (accounts.disable(CLI, root.id), accounts.delete(CLI, root.id), accounts.change(CLI, root.id, role="member")):
        await refused(act, "conflict")
    await accounts.delete(CLI, unable.id)
    second = await accounts.create(CLI, Draft("Second", "second@example.com", PASSWORD, "admin"))
    await accounts.disable(CLI, root.id)
    await refused(accounts.disable(CLI, second.id), "conflict")


@pytest.mark.parametrize("action", ["disable", "delete"])
async def test_of_administrators_who_turn_on_each_other_one_stays(new_parts, settings, database, elsewhere, action):
    both = [new_parts(settings, over=opened).accounts for opened in (database, elsewhere)]
    made = [await both[0].create(CLI, Draft("x", f"{number}@example.com", PASSWORD, "admin")) for number in range(4)]
    outcomes = await asyncio.gather(*(getattr(both[n % 2], action)(CLI, one.id) for n, one in enumerate(made)), return_exceptions=True)
    assert [getattr(outcome, "code", None) for outcome in outcomes].count("conflict") == 1
    page = await both[0].list(Wanted(role="admin", state="active"))
    assert len([one for one in page.data if one.password is not None]) == 1


async def test_list(accounts, clock):
    made = []
    for number in range(5):
        clock.ms += 1
        made.append(await accounts.create(CLI, Draft(f"100%_{number}", f"n{number}@example.com")))
    await accounts.disable(CLI, made[0].id)
    await accounts.delete(CLI, made[1].id)

    async def names(**wanted) -> list[str]:
        return [one.name for one in (await accounts.list(Wanted(**wanted))).data]

    assert await names() == ["operator", "100%_4", "100%_3", "100%_2", "100%_0"]
    assert await names(state="disabled") == ["100%_0"]
    assert await names(state="active", role="member") == ["100%_4", "100%_3", "100%_2"]
    assert await names(state="deleted") == [DELETED]
    assert await names(search="%_3") == ["100%_3"]
    assert await names(search="N2@EXAMPLE") == ["100%_2"]
    assert await names(search=made[4].id) == ["100%_4"]
    assert await names(search="nobody") == []
    first = await accounts.list(place=Place(None, 3))
    second = await accounts.list(place=Place(decode(first.next), 3))
    assert [one.name for one in (*first.data, *second.data)] == await names()
    assert second.next is None


async def test_sign_out(accounts, parts, database):
    made = await accounts.create(CLI, Draft("Ada", "ada@example.com", PASSWORD))
    _, opened = await parts.signing.sign_in("ada@example.com", PASSWORD, Browser("", ""))
    await accounts.sign_out(CLI, made.id)
    assert await parts.sessions.find(opened.token) is None
    assert len(await events(database, "account.sign_out")) == 1


async def test_unknown_accounts(accounts):
    for act in (accounts.get("acc_x"), accounts.find("acc_x"), accounts.change(CLI, "acc_x", name="x"), accounts.sign_out(CLI, "acc_x")):
        await refused(act, "not_found", "account_id")
