"""The command line: what goes to stdout and what to stderr, exit statuses, and that it works beside a running server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

import penstock
from penstock.cli import cli
from penstock.infra.database import Database
from penstock.keys.door import KeyRing
from penstock.kit import tokens
from penstock.kit.clock import iso, now_ms, parse_moment_ms
from penstock.settings import REWRITE_REFUSED, Settings, names


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """Nothing of ours is set, whatever the developer has in the shell."""
    for field in Settings.model_fields:
        for name in names(field):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(monkeypatch, tmp_path, empty_database_url):
    """Runs a command on a database that nobody has migrated yet."""
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("PENSTOCK_DATA", str(tmp_path / "data"))
    return lambda *arguments: CliRunner().invoke(cli, arguments)


@pytest.fixture
def invoke():
    """Runs a command that needs no database."""
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def process(*arguments, **environment):
    """A command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run([sys.executable, "-m", "penstock", *arguments], capture_output=True, text=True, env=environment, check=False)


def test_version(invoke):
    assert invoke("version").stdout == f"penstock {penstock.__version__}\n"


def test_no_command_is_answered_with_help(invoke):
    assert "demo-provider" in invoke().output
    assert "rotate" in invoke("key").output


def test_a_quick_command_imports_nothing_heavy():
    code = "import sys; from penstock.cli import cli; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "alembic", "asyncpg", "fastapi", "uvicorn", "pydantic", "penstock.settings", "asyncio"} & set(found)


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


def test_the_first_command_makes_the_database(run):
    assert run("key", "list").stdout.split() == ["NAME", "ID", "KEY", "STATE", "MODELS", "RECORD", "CREATED", "EXPIRES"]


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


def test_migrate(run):
    assert "now at migration" in run("migrate").stderr
    assert "already at migration" in run("migrate").stderr


def test_a_newer_database_is_refused(run, empty_database_url):
    async def pretend() -> None:
        database = Database(empty_database_url)
        async with database.session() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await database.close()

    run("migrate")
    asyncio.run(pretend())
    refused = run("key", "list")
    assert refused.exit_code == 1
    assert "9999" in refused.stderr


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
        token = (await asyncio.to_thread(process, "key", "create", "me")).stdout.strip()
        await known(ring, token, "me")
        assert (await asyncio.to_thread(process, "key", "disable", "me")).returncode == 0
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
            making = asyncio.ensure_future(asyncio.to_thread(process, "key", "create", "me"))
            await asyncio.sleep(1)
        assert (await making).returncode == 0
        await database.close()

    run("migrate")
    asyncio.run(write())


def test_wrong_settings_are_named_one_per_line(invoke, monkeypatch):
    monkeypatch.setenv("API_MODEL_REWRITE", "a=b")
    refused = invoke("serve", "--port", "70000", "--workers", "0")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines() == [
        "penstock: --port: Input should be less than or equal to 65535",
        "penstock: --workers: Input should be greater than or equal to 1",
        f"penstock: API_MODEL_REWRITE: {REWRITE_REFUSED}",
    ]


def test_a_mistyped_variable_stops_it(invoke, monkeypatch):
    monkeypatch.setenv("PENSTOCK_RECROD", "true")
    refused = invoke("key", "list")
    assert refused.exit_code == 2
    assert refused.stderr == "penstock: PENSTOCK_RECROD: there is no such setting; did you mean PENSTOCK_RECORD?\n"


def test_options_name_the_data_and_the_file(invoke, tmp_path):
    config = tmp_path / "penstock.toml"
    config.write_text(f'data = "{tmp_path / "by-file"}"')
    assert invoke("key", "create", "a", "--config", str(config)).exit_code == 0
    assert invoke("key", "create", "b", "--config", str(config), "--data", str(tmp_path / "by-option")).exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("by-*/penstock.db")) == ["penstock.db"] * 2


def test_an_unreachable_database_is_said_plainly(invoke, monkeypatch):
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/db")
    refused = invoke("key", "list")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("penstock: the database cannot be reached:")
    assert "hunter2" not in refused.output


def test_the_demo_provider_says_when_its_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = process("demo-provider", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert refused.stderr.startswith("penstock: ")
    assert "Traceback" not in refused.stderr


def test_doctor(run, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "0")
    ill = run("doctor")
    assert ill.exit_code == 1
    (line,) = (line for line in ill.stdout.splitlines() if line.startswith("FAIL"))
    assert line.endswith("penstock migrate (penstock serve does it as well)")
    run("migrate")
    well = run("doctor")
    assert well.exit_code == 0
    assert {line[:4] for line in well.stdout.splitlines()} == {"ok  "}
    told = json.loads(run("doctor", "--json").stdout)
    assert told["well"] is True
    assert [check["check"] for check in told["checks"]][:2] == ["settings", "data"]


def test_doctor_on_wrong_settings(invoke, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "x")
    ill = invoke("doctor", "--json")
    assert ill.exit_code == 1
    told = json.loads(ill.stdout)
    assert (told["well"], told["checks"][0]["check"]) == (False, "settings")
    assert told["checks"][0]["remedy"]
