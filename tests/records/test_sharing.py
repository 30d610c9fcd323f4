"""Links over a real database: when they end, how many there may be, and what ends with an account."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from made_records import made, opened
from penstock.accounts.identity import CLI, Identity
from penstock.accounts.service import Accounts, Draft
from penstock.kit.errors import PenstockError
from penstock.kit.pages import Place
from penstock.records import sharing as module
from penstock.records.models import ShareRow
from penstock.records.sharing import Sharing, export_shares, forget_shares, purge, shared_shown
from penstock.records.shown import opened_shown

ALL = {"headers": True, "bodies": True}


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sharing(database, records, clock):
    return Sharing(database, records, clock)


@pytest.fixture
async def record_id(recorder):
    record = made()
    recorder.put(record)
    assert await recorder.flush()
    return record.id


async def count(database):
    async with database.session(read_only=True) as session:
        return await session.scalar(select(func.count()).select_from(ShareRow))


async def test_a_link_works_until_it_expires(sharing, clock, record_id):
    share = await sharing.share(CLI, "acc_operator", record_id, lasts_s=60, **ALL)
    clock.ms += 59_999
    opened_, row = await sharing.open(share.token)
    assert (opened_.entry.id, row.id) == (record_id, share.row.id)
    clock.ms += 1
    with pytest.raises(PenstockError) as refused:
        await sharing.open(share.token)
    assert refused.value.code == "not_found"
    assert (await sharing.list("acc_operator", None, Place())).data == []


async def test_tokens_cannot_be_guessed(sharing, record_id):
    tokens = {(await sharing.share(CLI, "acc_operator", record_id, lasts_s=60, **ALL)).token for _ in range(5)}
    assert len(tokens) == 5 and all(len(token) >= 43 for token in tokens)
    for token in tokens:
        for wrong in (token[:-1], token + "x", token.upper(), "", "\ud800"):
            with pytest.raises(PenstockError):
                await sharing.open(wrong)


async def test_there_are_not_too_many(sharing, record_id, monkeypatch, clock):
    monkeypatch.setattr(module, "SHARES_LIMIT", 2)
    for _ in range(2):
        await sharing.share(CLI, "acc_operator", record_id, lasts_s=60, **ALL)
    with pytest.raises(PenstockError) as refused:
        await sharing.share(CLI, "acc_operator", record_id, lasts_s=60, **ALL)
    assert refused.value.code == "conflict"
    clock.ms += 60_000
    await sharing.share(CLI, "acc_operator", record_id, lasts_s=60, **ALL)


async def test_what_has_expired_is_purged(sharing, database, record_id, clock):
    await sharing.share(CLI, "acc_operator", record_id, lasts_s=60, **ALL)
    await sharing.share(CLI, "acc_operator", record_id, lasts_s=120, **ALL)
    assert await purge(database, clock.ms + 60_000) == 1
    assert await count(database) == 1


async def test_links_of_a_disabled_account_show_nothing(sharing, database, recorder):
    accounts = Accounts(database)
    account = await accounts.create(CLI, Draft("ada"))
    record = made(account_id=account.id)
    recorder.put(record)
    assert await recorder.flush()
    share = await sharing.share(Identity(account.id, "member", "session", ""), account.id, record.id, lasts_s=60, **ALL)
    await accounts.disable(CLI, account.id)
    with pytest.raises(PenstockError, match="nothing here"):
        await sharing.open(share.token)
    await accounts.enable(CLI, account.id)
    assert (await sharing.open(share.token))[0].entry.id == record.id


async def test_links_end_with_the_account(sharing, database, recorder):
    account = await Accounts(database).create(CLI, Draft("ada"))
    records = [made(account_id=account.id), made()]
    for record in records:
        recorder.put(record)
    assert await recorder.flush()
    await sharing.share(CLI, account.id, records[0].id, lasts_s=60, **ALL)
    await sharing.share(CLI, "acc_operator", records[1].id, lasts_s=60, **ALL)
    async with database.session() as session:
        told = [facts async for _, facts in export_shares(session, "acc_operator")]
        await forget_shares(session, account.id)
    assert await count(database) == 1
    assert [facts["record_id"] for facts in told] == [record.id for record in records] and "digest" not in told[0]


def test_what_is_hidden_is_hidden():
    facts = opened_shown(opened(made(ruled_body=b"x")))
    shown = shared_shown(facts, ShareRow(headers=False, bodies=False))
    assert "ruled" not in shown["record"]
    assert shown["record"]["request"] == {"truncated": False}
    assert shown["record"]["response"] == {"status": 200, "truncated": False}


# the table, as the migration makes it


def row(number: int, digest: bytes) -> ShareRow:
    texts = {"id": f"shr_{number}", "shelf": "operator", "record_id": "req_1", "created_by": "acc_operator"}
    return ShareRow(**texts, digest=digest, headers=True, bodies=False, created_at_ms=1 << 41, expires_at_ms=1 << 42)


async def test_a_row_comes_back_as_it_went(database):
    async with database.session() as session:
        session.add(row(1, b"\x00" * 32))
    async with database.session(read_only=True) as session:
        found = await session.get_one(ShareRow, "shr_1")
    assert (found.digest, found.headers, found.bodies, found.expires_at_ms) == (b"\x00" * 32, True, False, 1 << 42)


async def test_a_digest_is_of_one_link(database):
    async with database.session() as session:
        session.add(row(1, b"\x00" * 32))
    with pytest.raises(IntegrityError):
        async with database.session() as session:
            session.add(row(2, b"\x00" * 32))
