"""The commands for keys: what goes to stdout and what to stderr, and that they work beside a running server."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import text

import penstock
import program
from penstock.infra.database import Database
from penstock.keys.door import KeyRing
from penstock.kit import tokens
from penstock.kit.clock import iso, now_ms, parse_moment_ms


def test_create_prints_the_key_alone(run):
    made = run("key", "create", "me", "--models", "gpt-4o*, claude-*", "--expires", "30d", "--record")
    assert made.exit_code == 0
    assert tokens.plausible(made.stdout.removesuffix("\n").encode())
    assert made.stdout.strip() not in made.stderr
    (found,) = json.loads(run("key", "list", "--json").stdout)
    assert [found[fact] for fact in ("name", "kind", "state", "record")] == ["me", "key", "active", True]
    assert found["models"] == ["gpt-4o*", "claude-*"]
    assert found["key"] == "{}...{}".format(*tokens.shown(made.stdout.strip()))
    assert found["expires_at"][:10] == iso(parse_moment_ms("30d", now_ms()))[:10]


def test_list_is_a_table(run):
    run("key", "create", "me")
    run("key", "create", "you", "--record", "--models", "o1", "--expires", "2099-12-31")
    run("key", "disable", "you")
    head, me, you = (line.split() for line in run("key", "list").stdout.splitlines())
    assert [me[0], *me[3:6], me[7]] == ["me", "active", "all", "no", "never"]
    assert [you[0], *you[3:6], you[7]] == ["you", "disabled", "o1", "yes", "2100-01-01T00:00:00Z"]
    assert len(head) == len(me) == len(you)


def test_a_key_from_its_making_to_its_end(run):
    first = run("key", "create", "me").stdout.strip()
    (found,) = json.loads(run("key", "list", "--json").stdout)
    assert run("key", "disable", "me").exit_code == 0
    assert json.loads(run("key", "list", "--json").stdout)[0]["state"] == "disabled"
    assert run("key", "enable", found["id"]).exit_code == 0
    second = run("key", "rotate", "me", "--grace", "24h", "--expires", "2099-01-01").stdout.strip()
    assert tokens.plausible(second.encode())
    assert second != first
    assert json.loads(run("key", "list", "--json").stdout)[0]["expires_at"] == "2099-01-02T00:00:00Z"
    assert run("key", "delete", "me").exit_code == 0
    assert json.loads(run("key", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("key", "create", "key_x"), 1, "A key's name is"),
        (("key", "create", "me", "--models", ""), 1, "at least one model"),
        (("key", "create", "me", "--expires", "2020-01-01"), 1, "already passed"),
        (("key", "create", "me", "--expires", "soon"), 2, "not a moment"),
        (("key", "rotate", "me", "--grace", "1 month"), 2, "not a span"),
        (("key", "disable", "nobody"), 1, "There is no key 'nobody'."),
        (("key", "create"), 2, "NAME"),
    ],
)
@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
def test_what_is_refused(run, arguments, status, words):
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout) == (status, "")
    assert words in refused.stderr
    assert "Traceback" not in refused.output


def test_the_same_name_twice(run):
    run("key", "create", "me")
    refused = run("key", "create", "me")
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", "penstock: There is a key with this name already.\n")


def test_commands_work_beside_a_running_server(run, empty_database_url):
    """A ring that follows the database, as a server has it, sees what other processes' commands do."""

    async def known(ring: KeyRing, token: str, expected: str) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    name = (await ring.look_up(token.encode())).name
                except penstock.kit.errors.PenstockError as refused:
                    name = refused.code
                if name == expected:
                    return
                await asyncio.sleep(0.05)

    async def serve() -> None:
        database = Database(empty_database_url)
        ring = KeyRing(database)
        await ring.start()
        token = (await asyncio.to_thread(program.run, "key", "create", "me", PENSTOCK_DATABASE_URL=empty_database_url)).stdout.strip()
        await known(ring, token, "me")
        assert (await asyncio.to_thread(program.run, "key", "disable", "me", PENSTOCK_DATABASE_URL=empty_database_url)).returncode == 0
        await known(ring, token, "key_disabled")
        await ring.stop()
        await database.close()

    run("migrate")
    asyncio.run(serve())


def test_commands_wait_for_a_writer(run, empty_database_url):
    async def write() -> None:
        database = Database(empty_database_url)
        async with database.session() as session:
            await session.execute(text("INSERT INTO revision (name, number) VALUES ('held', 1)"))
            making = asyncio.ensure_future(asyncio.to_thread(program.run, "key", "create", "me", PENSTOCK_DATABASE_URL=empty_database_url))
            await asyncio.sleep(1)
        assert (await making).returncode == 0
        await database.close()

    run("migrate")
    asyncio.run(write())
