"""Migrations: they agree with the models, run once however many start, and leave private files."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import penstock
from penstock.infra import schema
from penstock.infra.database import Base, Database


def import_models() -> None:
    """Import every module that defines tables, so that the metadata is whole."""
    importlib.import_module("penstock.infra.revisions")
    for models in Path(penstock.__path__[0]).glob("*/models.py"):
        importlib.import_module(f"penstock.{models.parent.name}.models")


def differences(connection: Connection) -> list[str]:
    """What the models have and the database has not, and the other way round, for domains that exist."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return [str(found) for found in compare_metadata(context, Base.metadata) if not _of_missing_domain(found)]


def _of_missing_domain(found: object) -> bool:
    kind, thing = (found[0], found[1]) if isinstance(found, tuple) else ("", None)
    table = thing.table if kind == "remove_index" else thing
    return kind in ("remove_table", "remove_index") and table.name not in Base.metadata.tables


async def test_migrations_and_models_agree(database: Database) -> None:
    import_models()
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_steps_are_those_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert schema._steps() == tuple(step.revision for step in ScriptDirectory.from_config(config).walk_revisions())


def test_alembic_is_there_only_for_those_who_migrate() -> None:
    program = "import sys, penstock.serving; print([name for name in sys.modules if name.startswith('alembic')])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


async def test_tables_of_the_first_migration(database: Database) -> None:
    async with database.engine.connect() as connection:
        names = await connection.run_sync(lambda bare: set(inspect(bare).get_table_names()))
    assert {"alembic_version", "key", "charge", "record_segment", "revision"} <= names


async def test_migrate_once(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        assert await schema.current(database) is None
        assert await schema.migrate(database) is True
        assert await schema.current(database) == schema.head()
        assert await schema.migrate(database) is False
    finally:
        await database.close()


async def test_many_processes_migrate_at_once(empty_database_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from penstock.infra import schema\n"
        "from penstock.infra.database import Database\n"
        "sys.stdin.readline()\n"
        "asyncio.run(schema.migrate(Database(sys.argv[1])))\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, empty_database_url, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    outcomes = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert {line for _, stderr in outcomes for line in stderr.splitlines()} <= {b"waiting for another process that migrates the database"}


async def test_a_newer_database_is_refused(database: Database) -> None:
    async with database.session() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.NewerDatabaseError, match="9999"):
        await schema.migrate(database)


async def test_who_waited_for_a_newer_version_is_refused(database: Database, database_url: str) -> None:
    """An older program that starts while a newer one migrates."""
    async with database.session() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    older = Database(database_url)
    async with schema._migrating(database) as connection:
        waiting = asyncio.create_task(schema.migrate(older))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.NewerDatabaseError, match="9999"):
        await waiting
    await older.close()


async def test_a_database_is_founded_at_an_older_migration(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    async with schema.founding(database, "0001") as connection:
        assert await connection.run_sync(schema.migration_of) == "0001"
        key = await connection.run_sync(lambda bare: [column["name"] for column in inspect(bare).get_columns("key")])
        assert "account_id" not in key
    assert await schema.current(database) == schema.head()
    with pytest.raises(schema.NotEmptyError):
        async with schema.founding(database, "0001"):
            pass
    await database.close()


async def test_a_founding_that_fails_leaves_an_empty_database(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(RuntimeError):
        await _found_and_fail(database)
    assert await schema.current(database) is None
    assert await schema.migrate(database)
    await database.close()


async def _found_and_fail(database: Database) -> None:
    async with schema.founding(database, "0001"):
        raise RuntimeError


def test_the_tables_of_a_migration_are_known_without_a_database() -> None:
    import_models()
    tables = schema.tables(schema.head()).tables
    assert {name: set(table.columns.keys()) for name, table in tables.items()} == {
        name: set(table.columns.keys()) for name, table in Base.metadata.tables.items()
    }
    assert "tier" not in schema.tables("0001").tables


async def test_sqlite_files_are_private(tmp_path: Path) -> None:
    path = tmp_path / "made" / "penstock.db"
    database = Database(f"sqlite:///{path}")
    await schema.migrate(database)
    async with database.session(read_only=True) as session:
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        assert modes == dict.fromkeys(("penstock.db", "penstock.db-wal", "penstock.db-shm"), 0o600)
    await database.close()
    assert path.parent.stat().st_mode & 0o777 == 0o700
