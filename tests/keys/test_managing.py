"""Managing: which tokens may call the control API, and from where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from penstock.infra.database import Database
from penstock.keys.managing import ManagementKeys
from penstock.keys.service import Keys
from penstock.kit import tokens
from penstock.kit.errors import PenstockError


@pytest.fixture
def management(database: Database, clock: Any) -> ManagementKeys:
    return ManagementKeys(database, clock)


async def refusal(management: ManagementKeys, token: str, address: str = "") -> str:
    with pytest.raises(PenstockError) as refused:
        await management.find(token, address)
    return refused.value.code


async def test_a_management_key(management: ManagementKeys, keys: Keys, new_account: Callable[..., Awaitable[str]]) -> None:
    owner = await new_account()
    made = await keys.create("me", kind="management", account_id=owner)
    assert await management.find(made.token, "192.0.2.1") == (owner, made.key.id)


async def test_what_is_unknown(management: ManagementKeys, keys: Keys) -> None:
    deleted = await keys.create("me", kind="management")
    await keys.delete("me")
    for token in (deleted.token, tokens.make_token(), "sk-...", "", "\ud800"):
        assert await management.find(token, "") is None


@pytest.mark.parametrize("kind", ["key", "team"])
async def test_other_keys_may_not(management: ManagementKeys, keys: Keys, kind: str) -> None:
    assert await refusal(management, (await keys.create("me", kind=kind)).token) == "forbidden"


async def test_disabled_and_expired(management: ManagementKeys, keys: Keys, clock: Any) -> None:
    made = await keys.create("me", kind="management", expires_at_ms=clock.ms + 10)
    await keys.disable("me")
    assert await refusal(management, made.token) == "key_disabled"
    await keys.enable("me")
    assert await management.find(made.token, "")
    clock.ms += 10
    assert await refusal(management, made.token) == "key_expired"


async def test_the_grace_of_a_rotation(management: ManagementKeys, keys: Keys, clock: Any) -> None:
    first = await keys.create("me", kind="management")
    second = await keys.rotate("me", grace_s=60)
    assert await management.find(first.token, "") == await management.find(second.token, "")
    clock.ms += 60_000
    assert await refusal(management, first.token) == "key_expired"
    assert await management.find(second.token, "")


async def test_networks(management: ManagementKeys, keys: Keys) -> None:
    made = await keys.create("me", kind="management", networks=["192.0.2.0/24", "2001:db8::/32"])
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"):
        assert await management.find(made.token, address)
    for address in ("192.0.3.1", "", "testclient"):
        assert await refusal(management, made.token, address) == "address_not_allowed"
