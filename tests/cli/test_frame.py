"""What all commands share: settings, the database, failures in words, tables, and a quick start."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from sqlalchemy import text

from penstock.cli.frame import table
from penstock.infra.database import Database
from penstock.settings import REWRITE_REFUSED


def test_no_command_is_answered_with_help(invoke):
    assert "demo-provider" in invoke().output
    assert "rotate" in invoke("key").output


def test_a_quick_command_imports_nothing_heavy():
    code = "import sys; from penstock.cli import cli; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "alembic", "asyncpg", "fastapi", "uvicorn", "pydantic", "penstock.settings", "asyncio"} & set(found)


def test_the_first_command_makes_the_database(run):
    assert run("key", "list").stdout.split() == ["NAME", "ID", "KEY", "STATE", "MODELS", "RECORD", "CREATED", "EXPIRES"]


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


def test_wrong_settings_are_named_one_per_line(invoke, monkeypatch):
    monkeypatch.setenv("API_MODEL_REWRITE", "a=b")
    refused = invoke("serve", "--port", "70000", "--workers", "0")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines() == [
        "penstock: --port: Input should be less than or equal to 65535",
        "penstock: --workers: Input should be greater than or equal to 1",
        f"penstock: API_MODEL_REWRITE: {REWRITE_REFUSED}",
    ]


def test_a_table_is_for_people(capsys):
    rows = [
        {"name": "a", "spent_nano": 12, "ended_at": None, "models": ["x", "y"], "record": True},
        {"name": "longer", "spent_nano": 3456, "ended_at": "2026-12-31T00:00:00Z", "models": [], "record": False},
    ]
    table(rows, ("name", "spent_nano", "record", "models", "ended_at"))
    assert capsys.readouterr().out.splitlines() == [
        "NAME    SPENT_NANO  RECORD  MODELS  ENDED",
        "a               12  yes     x,y     -",
        "longer        3456  no              2026-12-31T00:00:00Z",
    ]
    table([], ("name", "id"))
    assert capsys.readouterr().out == "NAME  ID\n"
