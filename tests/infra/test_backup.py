"""Backups: everything is in them, either engine takes them, and a restore is whole or has not happened."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore
from sqlalchemy import JSON, BigInteger, Boolean, LargeBinary, Table, insert, select, text

import penstock
from penstock.infra import schema
from penstock.infra.archive import DamagedError, read, written
from penstock.infra.backup import FORMAT, ROWS, BackupError, Objects, back_up, contents_of, restore
from penstock.infra.database import Database
from penstock.infra.revisions import Revision, bump

ROWS_EACH = 3
HEAD = {"format": FORMAT, "version": "0", "migration": "0001", "engine": "sqlite", "made_at": "2026-01-01T00:00:00Z"}


def sample(table: Table, number: int) -> dict[str, Any]:
    """A row that refers to the row of the same number in other tables; the first has null wherever it may."""

    def value(column: Any) -> Any:
        parents = [key.column for key in column.foreign_keys]
        if parents:
            return value(parents[0])
        if number == 0 and column.nullable:
            return None
        match column.type:
            case Boolean():
                return number % 2 == 1
            case BigInteger():
                return number + 1 if column.primary_key else [0, -(2**31), 2**31 - 1][number]
            case LargeBinary():
                return b"\0\xff" + column.name.encode() + bytes([number])
            case JSON():
                return [{}, {"a": [1, None, "\u2028é"]}, ["gpt-*"]][number]
        return f"{column.name} {number} \n\t\"'\\é\u2028\U0001f600"

    return {column.name: value(column) for column in table.columns}


async def fill(database: Database) -> None:
    """Three rows in every table, whatever tables there are."""
    async with database.session() as session:
        for table in schema.tables(schema.head()).sorted_tables:
            await session.execute(insert(table), [sample(table, number) for number in range(ROWS_EACH)])


async def everything(database: Database) -> dict[str, list[Any]]:
    """All rows of all tables."""
    async with database.session(read_only=True) as session:
        return {
            table.name: [tuple(row) for row in await session.execute(select(table).order_by(*table.primary_key))]
            for table in schema.tables(schema.head()).sorted_tables
        }


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Where restored objects go."""
    return LocalStore(tmp_path / "restored", mkdir=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database to restore into, empty; on both engines, whatever the source is on."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'target' / 'penstock.db'}"
        return
    server = request.getfixturevalue("postgres")
    url = server.create(migrated=False)
    yield url
    server.drop(url)


@pytest.fixture
async def target(target_url: str) -> AsyncIterator[Database]:
    """An empty database, open."""
    opened = Database(target_url)
    yield opened
    await opened.close()


@pytest.fixture
async def small(tmp_path: Path) -> Path:
    """A backup of the oldest database, with one key in it."""
    key = {
        "id": "key_1", "name": "me", "kind": "key", "digest": "AP8=", "prefix": "sk-abcd", "last_four": "wxyz", "old_digest": None,
        "old_until_ms": None, "models": ["gpt-*"], "record": False, "created_at_ms": 1, "expires_at_ms": None, "disabled_at_ms": None,
        "deleted_at_ms": None,
    }  # fmt: skip
    path = tmp_path / "small"
    with written(path) as archive:
        archive.add({"penstock": HEAD}, {"table": "key", "columns": list(key)}, list(key.values()))
        archive.add({"end": {"rows": {"key": 1}, "objects": 0}})
    return path


def forge(path: Path, *lines: Any) -> Path:
    """An archive of these lines."""
    with written(path) as archive:
        archive.add(*lines)
    return path


async def test_there_and_back(database: Database, target: Database, store: LocalStore, tmp_path: Path) -> None:
    """From each engine into each."""
    await fill(database)
    before = await everything(database)
    made = await back_up(database, tmp_path / "backup")
    assert made.rows == {name: len(rows) for name, rows in before.items()}
    restored = await restore(target, tmp_path / "backup", store)
    assert restored == contents_of(tmp_path / "backup") == made
    assert await everything(target) == before
    assert await schema.current(target) == schema.head()
    if target.path is not None:
        assert {file.stat().st_mode & 0o777 for file in target.path.parent.iterdir()} == {0o600}


async def test_more_rows_than_are_read_at_once(database: Database, target: Database, store: LocalStore, tmp_path: Path) -> None:
    names = [f"n{number:05}" for number in range(2 * ROWS + 1)]
    async with database.session() as session:
        await session.execute(insert(Revision), [{"name": name, "number": 1} for name in names])
    await back_up(database, tmp_path / "backup")
    await restore(target, tmp_path / "backup", store)
    async with target.session(read_only=True) as session:
        assert list(await session.scalars(select(Revision.name).order_by(Revision.name))) == names


async def test_numbers_go_on_behind_those_restored(database: Database, target: Database, store: LocalStore, tmp_path: Path) -> None:
    await fill(database)
    await back_up(database, tmp_path / "backup")
    await restore(target, tmp_path / "backup", store)
    for table in schema.tables(schema.head()).sorted_tables:
        (column, *more) = table.primary_key
        if isinstance(column.type, BigInteger) and not more:
            row = {name: f"new {value}" if name == "id" else value for name, value in sample(table, 1).items() if name != column.name}
            async with target.session() as session:
                await session.execute(insert(table), row)
                assert await session.scalar(select(column).where(table.columns["id"] == row["id"])) == ROWS_EACH + 1


async def test_a_backup_is_of_one_moment(database: Database, database_url: str, tmp_path: Path) -> None:
    """Two rows that are always changed together are never found apart."""
    changing = True

    async def change() -> int:
        elsewhere, count = Database(database_url), 0
        while changing:
            async with elsewhere.session() as session:
                await bump(session, "account")
                await session.execute(text("INSERT INTO recall (purse_id, asked_at_ms) VALUES (:id, 1)"), {"id": f"{count:06}"})
            count += 1
        await elsewhere.close()
        return count

    task = asyncio.create_task(change())
    counts = []
    for number in range(4):
        path = tmp_path / str(number)
        contents = await back_up(database, path)
        counts.append(contents.rows["recall"])
        revisions = [value for value in read(path) if isinstance(value, list) and value[0] == "account"]
        assert [value[1] for value in revisions] == ([counts[-1]] if counts[-1] else [])
    changing = False
    assert await task >= counts[-1]
    assert counts == sorted(counts)


async def test_objects_come_along(database: Database, target: Database, store: LocalStore, tmp_path: Path) -> None:
    bodies = LocalStore(tmp_path / "bodies", mkdir=True)
    big = os.urandom(3 << 20)
    bodies.put("2026/01/02/small.zst", b"small")
    bodies.put("2026/01/02/big.zst", big)
    bodies.put("2026/01/02/nobody-names-it.zst", b"?")
    async with database.session() as session:
        for name in ("small", "big", "gone"):
            values = {"id": f"seg_{name}", "path": f"2026/01/02/{name}.zst"}
            columns = "id, created_at_ms, until_ms, path, count, size_bytes, offsets, stale"
            await session.execute(text(f"INSERT INTO record_segment ({columns}) VALUES (:id, 1, 1, :path, 1, 1, '', false)"), values)
    assert (await back_up(database, tmp_path / "without")).objects == 0
    made = await back_up(database, tmp_path / "with", Objects(bodies, "record_segment", "path"))
    assert (made.objects, made.missing) == (2, 1)
    restored = await restore(target, tmp_path / "with", store)
    assert (restored.objects, restored.rows["record_segment"]) == (2, 3)
    assert bytes(store.get("2026/01/02/small.zst").bytes()) == b"small"
    assert bytes(store.get("2026/01/02/big.zst").bytes()) == big
    assert sum(path.is_file() for path in (tmp_path / "restored").rglob("*")) == 2


async def test_an_older_backup_is_brought_to_this_version(small: Path, target: Database, store: LocalStore) -> None:
    await restore(target, small, store)
    assert await schema.current(target) == schema.head()
    found = await everything(target)
    ((key_id, *_),) = found["key"]
    assert key_id == "key_1"
    assert [row[0] for row in found["tier"]] == ["free", "premium", "vip"]  # what later migrations put there


async def test_what_postgresql_cannot_keep_is_replaced(tmp_path: Path, target: Database, store: LocalStore) -> None:
    lines = ({"penstock": HEAD}, {"table": "revision", "columns": ["name", "number"]}, ["a\0b", 1])
    await restore(target, forge(tmp_path / "nul", *lines, {"end": {"rows": {"revision": 1}, "objects": 0}}), store)
    ((name, _),) = (await everything(target))["revision"]
    assert name == ("a\0b" if target.path else "a\N{REPLACEMENT CHARACTER}b")


# what is refused


async def test_a_database_that_is_not_empty(database: Database, small: Path, store: LocalStore) -> None:
    before = await everything(database)
    with pytest.raises(schema.NotEmptyError, match="name an empty one"):
        await restore(database, small, store)
    assert await everything(database) == before


async def test_nothing_to_back_up(empty_database_url: str, tmp_path: Path) -> None:
    database = Database(empty_database_url)
    with pytest.raises(BackupError, match="no database yet"):
        await back_up(database, tmp_path / "backup")
    await database.close()
    assert not (tmp_path / "backup").exists()


async def test_a_newer_database_is_not_backed_up(database: Database, tmp_path: Path) -> None:
    async with database.session() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.NewerDatabaseError, match="9999"):
        await back_up(database, tmp_path / "backup")


KEY = {"table": "key", "columns": ["id"]}
END = {"end": {"rows": {"key": 0}, "objects": 0}}


@pytest.mark.parametrize(
    ("lines", "refusal", "words"),
    [
        ([], DamagedError, "not a backup"),
        ([{"hello": 1}], DamagedError, "not a backup"),
        ([{"penstock": {**HEAD, "format": 2, "version": "9.1"}}], BackupError, "made by Penstock 9.1"),
        ([{"penstock": {**HEAD, "migration": "9999"}}, {"end": {"rows": {}, "objects": 0}}], schema.NewerDatabaseError, "9999"),
        ([{"penstock": HEAD}], DamagedError, "has not what it says"),
        ([{"penstock": HEAD}, KEY, ["key_1"], END], DamagedError, "has not what it says"),
        ([{"penstock": HEAD}, {"object": "a", "pieces": 2}, "", {"end": {"rows": {}, "objects": 1}}], DamagedError, "has not what it says"),
        ([{"penstock": HEAD}, KEY, END], DamagedError, "table key is not as"),
        ([{"penstock": HEAD}, {"table": "x", "columns": []}, {"end": {"rows": {"x": 0}, "objects": 0}}], DamagedError, "table x is not as"),
    ],
)
async def test_what_is_no_backup(tmp_path: Path, store: LocalStore, target: Database, lines: Any, refusal: Any, words: str) -> None:
    with pytest.raises(refusal, match=words):
        await restore(target, forge(tmp_path / "forged", *lines), store)
    assert await schema.current(target) is None


async def test_rows_that_contradict_each_other(tmp_path: Path, store: LocalStore, target: Database) -> None:
    lines = ({"penstock": HEAD}, {"table": "revision", "columns": ["name", "number"]}, ["a", 1], ["a", 2])
    with pytest.raises(BackupError, match="cannot be restored"):
        await restore(target, forge(tmp_path / "forged", *lines, {"end": {"rows": {"revision": 2}, "objects": 0}}), store)
    assert await schema.current(target) is None


async def test_a_damaged_file_changes_nothing(tmp_path: Path, small: Path, store: LocalStore, target: Database) -> None:
    damaged = tmp_path / "damaged"
    shutil.copy(small, damaged)
    os.truncate(damaged, damaged.stat().st_size // 2)
    with pytest.raises(DamagedError, match="end is missing"):
        await restore(target, damaged, store)
    assert await schema.current(target) is None
    await restore(target, small, store)


async def test_a_restore_that_is_killed_has_not_happened(tmp_path: Path, store: LocalStore, target: Database, target_url: str) -> None:
    """Killed while it reads a row that never comes, with a thousand rows in the open transaction."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from obstore.store import MemoryStore\n"
        "from penstock.infra.backup import restore\n"
        "from penstock.infra.database import Database\n"
        "class Stuck(MemoryStore):\n"
        "    async def put_async(self, *_):\n"
        "        print('stuck', flush=True)\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(restore(Database(sys.argv[1]), Path(sys.argv[2]), Stuck()))\n"
    )
    rows = [[f"n{number}", 1] for number in range(ROWS)]
    head = ({"penstock": HEAD}, {"table": "revision", "columns": ["name", "number"]}, *rows)
    path = forge(tmp_path / "stuck", *head, {"object": "a", "pieces": 1}, b"a", {"end": {"rows": {"revision": ROWS}, "objects": 1}})
    environment = {**os.environ, "PYTHONPATH": str(Path(penstock.__path__[0]).parent)}
    command = [sys.executable, "-c", program, target_url, str(path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"stuck\n"
    process.kill()
    await process.wait()
    assert await schema.current(target) is None
    restored = await restore(target, path, store)
    assert (restored.rows, restored.objects) == ({"revision": ROWS}, 1)
