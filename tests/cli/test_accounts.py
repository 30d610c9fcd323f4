"""The commands for accounts, on both engines."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import select

from penstock.infra.database import Database
from penstock.records.models import PolicyRow


@pytest.fixture
def make(run):
    """Makes an account and returns its id."""

    def make(*arguments: str) -> str:
        done = run("account", "create", *arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout.strip()

    return make


def accounts(run, *arguments: str) -> list[dict]:
    return json.loads(run("account", "list", "--json", *arguments).stdout)


def failed(done, words: str) -> bool:
    return done.exit_code == 1 and words in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


def test_create_and_list(run, make):
    ada = make("Ada", "--email", "Ada@example.com")
    servers = make("Build servers", "--postpaid")
    root = make("Root", "--email", "root@example.com", "--role", "admin")
    rows = {row["id"]: row for row in accounts(run)}
    assert set(rows) == {"acc_operator", ada, servers, root}
    assert (rows[ada]["email"], rows[ada]["role"], rows[ada]["prepaid"], rows[ada]["state"]) == (
        "ada@example.com",
        "member",
        True,
        "active",
    )
    assert (rows[servers]["email"], rows[servers]["prepaid"], rows[root]["role"]) == (None, False, "admin")
    assert [row["id"] for row in accounts(run, "--search", "ADA@")] == [ada]
    shown = run("account", "list").stdout
    assert shown.splitlines()[0].split() == ["NAME", "ID", "EMAIL", "ROLE", "STATE", "PREPAID", "CREATED"] and "Build servers" in shown


def test_create_refuses(run, make):
    make("Ada", "--email", "ada@example.com")
    assert failed(run("account", "create", "Eve", "--email", "ada@example.com"), "already")
    assert failed(run("account", "create", "Eve", "--email", "nope"), "e-mail address")
    assert failed(run("account", "create", ""), "name")
    assert run("account", "create", "Eve", "--role", "root").exit_code == 2


def test_disable_enable_and_delete(run, make):
    ada = make("Ada", "--email", "ada@example.com")
    assert run("account", "disable", "ada@example.com").exit_code == 0
    assert [row["id"] for row in accounts(run, "--state", "disabled")] == [ada]
    assert run("account", "enable", ada).exit_code == 0
    assert accounts(run, "--state", "disabled") == []
    assert run("account", "delete", ada).exit_code == 1  # nobody said yes
    done = run("account", "delete", "ada@example.com", "--yes")
    assert done.exit_code == 0 and "deleted 'ada@example.com'" in done.stderr
    (row,) = accounts(run, "--state", "deleted")
    assert (row["id"], row["name"], row["email"]) == (ada, "deleted", None)
    for action in (("disable",), ("enable",), ("delete", "--yes"), ("role", "admin"), ("password-reset",)):
        assert failed(run("account", action[0], ada, *action[1:]), "no account")


def test_an_account_that_is_deleted_loses_its_keys(run, make):
    ada = make("Ada", "--email", "ada@example.com")
    assert run("key", "create", "hers", "--account", "ada@example.com").exit_code == 0
    run("account", "delete", ada, "--yes")
    assert json.loads(run("key", "list", "--json").stdout) == []


def test_an_account_that_is_deleted_loses_what_it_wanted_of_its_records(run, make, empty_database_url):
    async def wanted() -> list[str]:
        database = Database(empty_database_url)
        async with database.session(read_only=True) as session:
            found = list(await session.scalars(select(PolicyRow.account_id)))
        await database.close()
        return found

    ada = make("Ada")
    assert run("record", "policy", "--account", ada, "--record").exit_code == 0
    assert asyncio.run(wanted()) == [ada]
    run("account", "delete", ada, "--yes")
    assert asyncio.run(wanted()) == []


def test_the_operators_account_stays(run):
    for action in (("disable",), ("delete", "--yes")):
        assert failed(run("account", action[0], "acc_operator", *action[1:]), "stays an administrator's")


def test_role(run, make):
    ada = make("Ada", "--email", "ada@example.com")
    assert run("account", "role", "ada@example.com", "admin").exit_code == 0
    assert {row["id"]: row["role"] for row in accounts(run)}[ada] == "admin"
    assert run("account", "role", ada, "member").exit_code == 0
    assert failed(run("account", "role", "acc_operator", "member"), "stays an administrator's")
    assert run("account", "role", ada, "root").exit_code == 2


@pytest.mark.parametrize(("arguments", "page"), [(("invite", "eve@example.com"), "join"), (("password-reset", "ada@example.com"), "reset")])
def test_links(run, make, arguments, page, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PUBLIC_URL", "https://gateway.test")
    make("Ada", "--email", "ada@example.com")
    done = run("account", *arguments)
    token = done.stdout.strip()
    assert len(token) == 64
    assert f"https://gateway.test/{page}#{token}" in done.stderr
    assert run("account", *arguments).stdout.strip() != token


def test_links_are_refused(run, make):
    make("Ada", "--email", "ada@example.com")
    assert failed(run("account", "invite", "ada@example.com"), "already")
    assert failed(run("account", "invite", "nope"), "e-mail address")
    assert failed(run("account", "password-reset", make("Build servers")), "no e-mail address")


def test_first_admin(run):
    first, second = (run("account", "first-admin").stdout.strip() for _ in range(2))
    assert len(first) == len(second) == 64 and first != second
