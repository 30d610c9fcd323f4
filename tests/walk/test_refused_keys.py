"""Keys that do not open are refused without the database, once it has been asked about them; on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select

from live_gateway import LiveGateway
from penstock.infra.revisions import Revision
from penstock.kit.tokens import make_token


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway on a database that can be taken away."""
    with LiveGateway(tmp_path / "data", demo=True, database_url=database_url) as running:
        yield running


@pytest.fixture
def ask(gateway: LiveGateway) -> Iterator[Callable[[str], tuple[int, str | None]]]:
    """`ask(key)`: the status of a request, and the code of the error."""
    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
    with httpx.Client() as client:

        def send(key: str) -> tuple[int, str | None]:
            answer = client.post(f"{gateway.url}/v1/chat/completions", headers={"authorization": f"Bearer {key}"}, json=body)
            return answer.status_code, answer.json().get("error", {}).get("code")

        yield send


async def revision(gateway: LiveGateway) -> int | None:
    async with gateway.parts.database.session(read_only=True) as session:
        return await session.scalar(select(Revision.number).where(Revision.name == "keys"))


def make(gateway: LiveGateway) -> tuple[str, str, str]:
    """A key that is disabled, one that was deleted, one that never was."""
    keys = gateway.parts.keys
    disabled, deleted = gateway.run(keys.create("disabled")).token, gateway.run(keys.create("deleted")).token
    gateway.run(keys.disable("disabled"))
    gateway.run(keys.delete("deleted"))
    followed = next(one for one in gateway.parts.feed._followed if one.name == "keys")
    number = gateway.run(revision(gateway))
    assert gateway._until(lambda: followed.number == number)  # every change makes it forget what it knows
    return disabled, deleted, make_token()


def test_not_a_statement_is_executed(gateway: LiveGateway, ask):
    refused = dict(zip(make(gateway), ("key_disabled", "invalid_key", "invalid_key"), strict=True))
    assert [ask(key) for key in refused] == [(401, code) for code in refused.values()]
    statements: list[str] = []

    def executed(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(gateway.parts.database.engine.sync_engine, "before_cursor_execute", executed)
    for _ in range(20):
        assert [ask(key) for key in refused] == [(401, code) for code in refused.values()]
    assert [statement for statement in statements if "digest" in statement] == []
    assert ask(make_token()) == (401, "invalid_key")
    assert len([statement for statement in statements if "digest" in statement]) == 1


async def test_with_the_database_away(gateway: LiveGateway, ask, outage: Callable[[], AbstractAsyncContextManager[None]]):
    disabled, deleted, never = make(gateway)
    before = [ask(key) for key in (disabled, deleted, never, gateway.key)]
    assert before == [(401, "key_disabled"), (401, "invalid_key"), (401, "invalid_key"), (200, None)]
    stranger = make_token()
    async with outage():
        gateway.run(gateway.parts.database.close())  # a file that is open can be read wherever it has gone
        assert [ask(key) for key in (disabled, deleted, never)] == before[:3]
        assert ask(stranger) == (503, "overloaded")
        assert ask("nothing that a key could be") == (401, "invalid_key")
    assert ask(stranger) == (401, "invalid_key")
    assert ask(gateway.key) == (200, None)
