"""Before the first request: the socket, the limit of open files, the first key. tests/walk/test_first_start.py has the rest."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from pathlib import Path

import pytest

from penstock.accounts.identity import CLI
from penstock.channels.drafts import Draft
from penstock.channels.service import Channels
from penstock.hello import First
from penstock.infra.database import Database
from penstock.infra.secrets import open_secrets
from penstock.keys.service import Keys
from penstock.serving import FIRST_KEY, allow_files, check, listen, prepare, settled
from penstock.settings import Settings, SettingsError


@pytest.fixture
def settings(empty_database_url: str, tmp_path: Path) -> Settings:
    """Settings on a database that nobody has migrated yet."""
    return Settings(demo=True, database_url=empty_database_url, data=tmp_path / "data")


async def names(settings: Settings) -> list[str]:
    database = Database(settings.database_url)
    try:
        return [key.name for key in await Keys(database).list()]
    finally:
        await database.close()


# the first key


async def test_the_first_start_makes_a_key_and_a_way_in_and_the_second_nothing(settings):
    first = await prepare(settings)
    assert first.key is not None and first.key.startswith("sk-")
    assert first.administrator is not None and len(first.administrator) == 64
    assert await prepare(settings) == First()
    assert await names(settings) == [FIRST_KEY]


async def test_of_several_that_start_at_once_one_makes_them(settings):
    started = await asyncio.gather(*(prepare(settings) for _ in range(5)))
    assert sum(first.key is not None for first in started) == 1
    assert sum(first.administrator is not None for first in started) == 1
    assert await names(settings) == [FIRST_KEY]


async def test_whoever_manages_members_or_forwards_credentials_needs_neither(settings):
    for given in ({"access_token": "secret"}, {"demo": False}):
        assert await prepare(settings.model_copy(update=given)) == First()
    assert await names(settings) == []


# channels


async def test_with_channels_in_the_database_it_asks_for_keys_of_its_own(settings):
    bare = settings.model_copy(update={"demo": False})
    assert (await settled(bare)).transparent
    database = Database(bare.database_url)
    await Channels(database, open_secrets(bare.data, None)).create(CLI, Draft("main", "ollama"))
    await database.close()
    found = await settled(bare)
    assert not found.transparent
    assert (await prepare(found)).key is not None


async def test_a_secret_key_that_others_may_read_stops_it(settings):
    await settled(settings)
    (settings.data / "secret.key").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        await settled(settings)


# the socket


def test_listening_takes_connections_before_anyone_answers():
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), 5) as client:
        assert client.getpeername() == listener.getsockname()


def test_a_name_is_listened_on_where_ipv4_clients_look():
    with listen("localhost", 0) as listener:
        assert listener.family == socket.AF_INET


def test_a_port_that_is_taken():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError) as caught:
            listen("127.0.0.1", port)
    assert str(caught.value) == f"127.0.0.1:{port} cannot be listened on: Address already in use. Choose another with --host or --port."


def test_an_address_that_is_not_ours():
    with pytest.raises(OSError) as caught:
        listen("192.0.2.1", 0)
    assert caught.value.__cause__.errno == errno.EADDRNOTAVAIL


# open files


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(monkeypatch, caplog):
    limits = [(256, 100_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))
    allow_files(Settings(connection_limit=10_000))
    assert limits.pop() == (21_000, 100_000)
    limits[0] = (256, 2048)
    allow_files(Settings(connection_limit=10_000))
    assert limits.pop() == (2048, 2048)
    assert "some 524 clients" in caplog.text
    limits[0] = (256, resource.RLIM_INFINITY)
    allow_files(Settings(connection_limit=10_000))
    assert limits.pop() == (21_000, resource.RLIM_INFINITY)
    for enough in (30_000, resource.RLIM_INFINITY):
        limits[0] = (enough, resource.RLIM_INFINITY)
        allow_files(Settings(connection_limit=10_000))
        assert len(limits) == 1


# what cannot be started


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"openai_api_key": "sk a"}, "the credential of openai has blanks"),
        ({"openai_base_url": "http://127.0.0.1/a b"}, "percent-encoded"),
        ({"openai_base_url": "http://localhost:8080/v1"}, "OPENAI_BASE_URL: http://localhost:8080/v1 is this gateway itself"),
        ({"anthropic_base_url": "http://10.0.0.1:9000", "host": "10.0.0.1", "port": 9000}, "ANTHROPIC_BASE_URL: .* is this gateway itself"),
        ({"ca_file": "/nowhere.pem"}, "/nowhere.pem cannot be used: No such file"),
    ],
)
def test_providers_that_cannot_be_called(given, said):
    with pytest.raises(SettingsError, match=said):
        check(Settings(**given))
