"""What accounts want of their records, in the database and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select

from penstock.accounts.models import OPERATOR
from penstock.infra.database import Database
from penstock.infra.revisions import Feed
from penstock.kit.errors import PenstockError
from penstock.records.models import PolicyRow
from penstock.records.policies import DAYS_MAX, DEFAULT, Policies, Policy, forget_policy

COVERING = Policy(redact_paths=("user",), redact_patterns=("a+",))


@pytest.fixture
async def followed(database: Database) -> AsyncIterator[Policies]:
    """Policies of another process, which follows."""
    feed = Feed(database, every_s=0.02)
    policies = Policies(database, feed)
    await policies.load()
    await feed.start()
    yield policies
    await feed.stop()


async def test_what_nobody_has_said(policies: Policies) -> None:
    assert policies.records("acc_1") is None, "not known yet"
    await policies.load()
    assert policies.records("acc_1") is False
    assert await policies.of("acc_1") == DEFAULT


async def test_what_is_set_is_known(policies: Policies) -> None:
    set_to = await policies.put("acc_1", Policy(record=True, retention_days=7, redact_paths=("a.*",), redact_patterns=("x+",)))

    assert set_to.updated_at_ms > 0
    assert await policies.of("acc_1") == set_to
    assert (policies.records("acc_1"), policies.records("acc_2"), policies.records(None)) == (True, False, False)
    assert set(policies.covering) == {"acc_1"}
    await policies.put("acc_1", Policy())
    assert policies.records("acc_1") is False
    assert policies.covering == {}


async def test_the_operator_is_whom_nobody_asked(policies: Policies) -> None:
    await policies.put(OPERATOR, Policy(record=True, redact_paths=("user",)))

    assert policies.records(None) is True
    assert set(policies.covering) == {OPERATOR, None}


async def test_others_follow(policies: Policies, followed: Policies) -> None:
    await policies.put("acc_1", COVERING)
    async with asyncio.timeout(10):
        while "acc_1" not in followed.covering:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.01)
    before = followed.covering["acc_1"]
    await policies.put("acc_2", COVERING)
    async with asyncio.timeout(10):
        while "acc_2" not in followed.covering:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.01)
    assert followed.covering["acc_1"] is before, "it was not compiled again"


async def test_two_changes_within_a_millisecond(database: Database) -> None:
    policies = Policies(database, now_ms=lambda: 5)
    first = await policies.put("acc_1", COVERING)
    cover = policies.covering["acc_1"]
    second = await policies.put("acc_1", Policy(redact_paths=("other",)))

    assert second.updated_at_ms > first.updated_at_ms
    assert policies.covering["acc_1"] != cover


@pytest.mark.parametrize(
    ("policy", "param"),
    [
        (Policy(retention_days=0), "retention_days"),
        (Policy(retention_days=DAYS_MAX + 1), "retention_days"),
        (Policy(redact_paths=("a..b",)), "redact_paths"),
        (Policy(redact_patterns=("(",)), "redact_patterns"),
    ],
)
async def test_what_cannot_be(policies: Policies, policy: Policy, param: str) -> None:
    with pytest.raises(PenstockError) as refused:
        await policies.put("acc_1", policy)
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)
    assert await policies.of("acc_1") == DEFAULT


async def test_one_that_is_forgotten(policies: Policies, followed: Policies, database: Database) -> None:
    await policies.put("acc_1", Policy(record=True))
    await policies.put("acc_2", Policy(record=True))
    async with database.session() as session:
        await forget_policy(session, "acc_1")
    async with asyncio.timeout(10):
        while followed.records("acc_1") or not followed.records("acc_2"):  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.01)
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(func.count()).select_from(PolicyRow)) == 1
