"""The commands for keys: what goes to stdout and what to stderr, and that they work beside a running server."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import text

import penstock
import program
from penstock.accounts.identity import CLI
from penstock.accounts.service import Accounts, Draft
from penstock.accounts.trail import Trail
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
        (("key", "create", "me", "--wires", "chat,telepathy"), 1, "at least one wire of azure_speech,"),
        (("key", "create", "me", "--networks", "10.0.0.0/33"), 1, "addresses or CIDR"),
        (("key", "create", "me", "--cap-day", "-1"), 2, "not an amount"),
        (("key", "create", "me", "--cap-day", "1e3"), 2, "not an amount"),
        (("key", "create", "me", "--cap-day", "0.0000000001"), 2, "not an amount"),
        (("key", "create", "me", "--cap-total", "1000000001"), 1, "from 0 to"),
        (("key", "create", "me", "--rpm", "1.5"), 2, "not a whole number"),
        (("key", "create", "me", "--window", "lunar"), 1, "'calendar' or 'rolling'"),
        (("key", "create", "me", "--account", "nobody@example.com"), 1, "There is no account"),
        (("key", "change", "nobody", "--rpm", "1"), 1, "There is no key 'nobody'."),
        (("key", "change", "nobody"), 2, "what is to be changed"),
        (("key", "show", "nobody"), 1, "There is no key 'nobody'."),
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


def test_what_a_key_may_do(run):
    run(
        "key", "create", "me", "--wires", "chat, responses", "--networks", "10.1.2.3/8,2001:db8::1", "--cap-total", "100",
        "--cap-day", "2.50", "--window", "rolling", "--rpm", "60", "--tpm", "100000", "--concurrency", "4",
    )  # fmt: skip
    made = json.loads(run("key", "show", "me", "--json").stdout)
    assert (made["wires"], made["networks"], made["models"]) == (["chat", "responses"], ["10.0.0.0/8", "2001:db8::1/128"], None)
    limits = {"total_nano": 100 * 10**9, "day_nano": 2_500_000_000, "week_nano": None, "month_nano": None, "window": "rolling"}
    assert made["limits"] == limits | {"rpm": 60, "tpm": 100_000, "concurrency": 4}
    changed = run(
        "key", "change", "me", "--name", "you", "--cap-day", "none", "--cap-week", "0.000000001", "--wires", "none", "--models", "o1",
        "--expires", "2099-12-31", "--record",
    )  # fmt: skip
    assert (changed.exit_code, changed.stdout) == (0, "")
    found = json.loads(run("key", "show", "you", "--json").stdout)
    assert found["limits"] == made["limits"] | {"day_nano": None, "week_nano": 1}
    assert (found["wires"], found["models"], found["expires_at"], found["record"]) == (None, ["o1"], "2100-01-01T00:00:00Z", True)
    assert found["networks"] == made["networks"]
    run("key", "change", "you", "--no-record", "--expires", "none")
    found = json.loads(run("key", "show", "you", "--json").stdout)
    assert (found["record"], found["expires_at"]) == (False, None)


def test_show_is_for_people(run):
    token = run("key", "create", "me", "--cap-day", "2.50", "--rpm", "60").stdout.strip()
    shown = run("key", "show", "me").stdout
    lines = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert [lines[name] for name in ("name", "state", "rpm", "window", "models", "expires")] == [
        "me",
        "active",
        "60",
        "calendar",
        "all",
        "never",
    ]
    assert "day cap 2.5 dollars" in " ".join(shown.split())
    assert token not in shown
    run("key", "create", "you")
    assert "window" not in run("key", "show", "you").stdout


def test_management_keys(run):
    run("key", "create", "root", "--management")
    assert json.loads(run("key", "show", "root", "--json").stdout)["kind"] == "management"
    assert run("key", "change", "root", "--no-management").exit_code == 0
    assert json.loads(run("key", "show", "root", "--json").stdout)["kind"] == "key"


def test_keys_of_an_account(run, empty_database_url):
    async def join() -> str:
        database = Database(empty_database_url)
        made = await Accounts(database).create(CLI, Draft("Alice", email="alice@example.com"))
        await database.close()
        return made.id

    run("migrate")
    account_id = asyncio.run(join())
    for command in ("create", "disable", "enable", "rotate"):
        assert run("key", command, "me", "--account", "alice@example.com").exit_code == 0
    run("key", "create", "me")
    assert run("key", "change", "me", "--account", account_id, "--rpm", "1").exit_code == 0
    assert [row["account_id"] for row in json.loads(run("key", "list", "--json").stdout)] == [account_id, "acc_operator"]
    (mine,) = json.loads(run("key", "list", "--account", account_id, "--json").stdout)
    assert mine["limits"]["rpm"] == 1
    assert "ACCOUNT" in run("key", "list").stdout
    assert "ACCOUNT" not in run("key", "list", "--account", account_id).stdout
    assert run("key", "delete", "me", "--account", account_id).exit_code == 0
    (left,) = json.loads(run("key", "list", "--json").stdout)
    assert left["account_id"] == "acc_operator"


def test_what_is_done_is_in_the_trail(run, empty_database_url):
    async def events() -> list[tuple[str, str]]:
        database = Database(empty_database_url)
        page = await Trail(database).list()
        await database.close()
        return [(event.action, event.actor) for event in page.data]

    run("key", "create", "me")
    run("key", "rotate", "me")
    run("key", "delete", "me")
    assert asyncio.run(events()) == [("key.delete", "cli"), ("key.rotate", "cli"), ("key.create", "cli")]


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


def test_fallbacks_are_given_and_taken_away(run):
    def kept() -> object:
        return json.loads(run("key", "list", "--json").stdout)[0]["fallbacks"]

    assert run("key", "create", "me", "--fallback", "gpt-*=>claude-a, claude-b", "--fallback", "o3=>o1").exit_code == 0
    assert kept() == {"gpt-*": ["claude-a", "claude-b"], "o3": ["o1"]}
    assert run("key", "change", "me", "--fallback", "none").exit_code == 0
    assert kept() is None
    refused = run("key", "change", "me", "--fallback", "o3")
    assert refused.exit_code == 2 and "MODEL=>OTHER" in refused.stderr
