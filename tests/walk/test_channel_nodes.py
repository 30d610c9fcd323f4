"""Two nodes on one database: what is changed on one, or fails there, the other knows within a second; no secret comes out of either."""

from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import inspect, text

from fake_answers import answer
from fake_faults import PLAIN
from fake_provider import FakeProvider
from live_gateway import LiveGateway
from member import join

SECRET = "sk-placeholder-0123456789-wxyz"
HIDDEN = (SECRET, "hidden-word", "hidden-value")
CHANNEL = {
    "name": "main", "provider": "deepseek", "models": [{"name": "owl", "served": "deepseek-chat"}], "allow_private": True,
    "headers": {"x-team": "hidden-value"}, "credentials": [{"label": "first", "secret": SECRET}],
}  # fmt: skip


@pytest.fixture
def nodes(tmp_path: Path, database_url: str) -> Iterator[list[LiveGateway]]:
    key = base64.b64encode(os.urandom(32)).decode()
    with ExitStack() as stack:
        about = {"database_url": database_url, "secret_key": key, "own_keys": True, "show_channel": True, "record": True}
        yield [stack.enter_context(LiveGateway(tmp_path / name, key_name=name, **about)) for name in ("a", "b")]


@pytest.fixture
def provider(loop_thread):
    fake = loop_thread.run(FakeProvider().start())
    yield fake
    loop_thread.run(fake.stop())


def program(gateway: LiveGateway, token: str) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {token}"}, timeout=20)


def root(gateway: LiveGateway) -> httpx.Client:
    return program(gateway, gateway.run(gateway.parts.keys.create(f"root-{gateway.port}", kind="management")).token)


def ask(gateway: LiveGateway) -> httpx.Response:
    with program(gateway, gateway.key) as client:
        return client.post("/v1/chat/completions", json={"model": "owl", "messages": [{"role": "user", "content": "Hello"}]})


def models(gateway: LiveGateway) -> list[str]:
    with program(gateway, gateway.key) as client:
        return [each["id"] for each in client.get("/v1/models").json()["data"]]


def soon(true: Callable[[], object]) -> None:
    """It becomes true: within a second where the machine is free."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def breakers(client: httpx.Client) -> list[str]:
    return [each["reason"] for each in client.get("/api/channels/main").json()["breakers"]]


async def whole_database(gateway: LiveGateway) -> str:
    """Every value of every row, as text."""
    async with gateway.parts.database.session(read_only=True) as session:
        connection = await session.connection()
        tables = await connection.run_sync(lambda plain: inspect(plain).get_table_names())
        rows = [(await session.execute(text(f'select * from "{table}"'))).all() for table in tables]
    return repr(rows)


def test_what_one_does_the_other_knows(nodes, provider, caplog):
    caplog.set_level(logging.DEBUG, "penstock")
    here, there = nodes
    with root(here) as one, root(there) as other:
        shown = [one.post("/api/channels", json=CHANNEL | {"base_url": f"{provider.url}/v1"})]
        assert shown[0].status_code == 201
        provider.always(PLAIN)
        soon(lambda: ask(there).status_code == ask(here).status_code == 200)
        assert "owl" in models(there)
        provider.always(answer({"error": {"message": f"no such key: {SECRET}"}}, 401))
        shown.append(ask(here))
        assert shown[-1].status_code == 401
        soon(lambda: breakers(other) == ["401 Unauthorized"])
        shown += [one.post("/api/channels/main/test"), one.post("/api/channels/main/discover")]
        assert shown[-2].json()["data"][0]["code"] == "wrong_key"
        assert other.post("/api/channels/main/reset").status_code == 204
        soon(lambda: not breakers(one) and not breakers(other))
        proxy = {"proxy": f"http://user:hidden-word@127.0.0.1:{provider.port}"}
        shown.append(one.patch("/api/channels/main", json=proxy))
        soon(lambda: any(channel.pool.proxy for channel in here.plane.channels))
        shown += [ask(here), one.post("/api/channels/main/test")]
        assert [each.status_code for each in shown[-3:]] == [200, 502, 200]
        shown += [client.get(path) for client in (one, other) for path in _PATHS]
        assert other.patch("/api/channels/main", json={"proxy": None, "models": ["wren"]}).status_code == 200
        soon(lambda: "wren" in models(here))
        assert ask(here).status_code == 404
    everything = [caplog.text, here.run(whole_database(here)), *(each.text for each in shown), *(str(each.headers) for each in shown)]
    for hidden in HIDDEN:
        assert not [found[max(0, found.index(hidden) - 200) :][:400] for found in everything if hidden in found]
    files = [path for gateway in nodes for path in gateway.settings.data.rglob("*") if path.is_file()]
    assert not [path for path in files for hidden in HIDDEN if hidden.encode() in path.read_bytes()]


_PATHS = (
    "/api/channels",
    "/api/channels/main",
    "/api/channels/export",
    "/api/channels/export?format=toml",
    "/api/events?limit=200",
    "/metrics",
)


def test_members_have_no_business_with_channels(nodes):
    gateway = nodes[0]
    with root(gateway) as admin:
        assert admin.post("/api/channels", json=CHANNEL | {"base_url": "http://127.0.0.1:9/v1"}).status_code == 201
    member = join(gateway, kind="management")
    calls = [
        ("GET", ""), ("POST", ""), ("POST", "/import"), ("GET", "/export"), ("GET", "/main"), ("PATCH", "/main"), ("DELETE", "/main"),
        ("POST", "/main/enable"), ("POST", "/main/disable"), ("POST", "/main/reset"), ("POST", "/main/test"), ("POST", "/main/discover"),
        ("POST", "/main/credentials"), ("PATCH", "/main/credentials/crd_1"), ("DELETE", "/main/credentials/crd_1"), ("GET", "/nobody"),
    ]  # fmt: skip
    for token, status in ((member.token, 403), (gateway.key, 403), ("sk-nobody", 401)):
        with program(gateway, token) as client:
            for method, path in calls:
                refused = client.request(method, f"/api/channels{path}", json={} if method in ("POST", "PATCH") else None)
                assert refused.status_code == status, (method, path, refused.text)
            assert client.get("/api/providers").status_code == status


def test_two_that_edit_at_once(nodes):
    """No change is lost, and the name is taken once."""
    with root(nodes[0]) as one, root(nodes[1]) as other:
        body = CHANNEL | {"base_url": "http://127.0.0.1:9/v1"}
        assert sorted([one.post("/api/channels", json=body).status_code, other.post("/api/channels", json=body).status_code]) == [201, 409]
        for number, client in enumerate((one, other) * 3):
            assert client.post("/api/channels/main/credentials", json={"secret": SECRET, "label": f"more-{number}"}).status_code == 201
        assert one.patch("/api/channels/main", json={"weight": 7}).status_code == 200
        assert other.patch("/api/channels/main", json={"priority": 3}).status_code == 200
        shown = one.get("/api/channels/main").json()
        assert (shown["weight"], shown["priority"], len(shown["credentials"])) == (7, 3, 7)
