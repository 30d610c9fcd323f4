"""SQLite beside other connections: locks, a log that stays short, files that vanish."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock.billing.store_sqlite import SqliteStore


@pytest.fixture
def path(sqlite_template, tmp_path) -> Path:
    """A migrated file."""
    copy = tmp_path / "charges.db"
    copy.write_bytes(sqlite_template.read_bytes())
    return copy


@pytest.fixture
async def store(request, path):
    """A store that has been written to once, so that the way is clear."""
    store = SqliteStore(path, "process", **getattr(request, "param", {}))
    await store.write([])
    yield store
    await store.close()


def made_with(**given):
    return pytest.mark.parametrize("store", [given], indirect=True)


@pytest.fixture
def other(path):
    """Another connection, as of another process."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        yield connection


def ids(other: sqlite3.Connection) -> list[str]:
    return [row[0] for row in other.execute("SELECT id FROM charge ORDER BY id")]


async def test_quick_commits_at_once(store, other, new_charge):
    charge = new_charge()
    assert store.quick([charge]) is True
    assert ids(other) == [charge.id]


async def test_quick_is_never_used_when_commits_must_sync(path, new_charge):
    store = SqliteStore(path, "power")
    await store.write([new_charge()])
    assert store.quick([new_charge()]) is False
    await store.close()


async def test_a_locked_file_sends_the_group_to_the_thread_which_waits(store, other, new_charge):
    charge = new_charge()
    other.execute("BEGIN IMMEDIATE")
    assert store.quick([charge]) is False
    writing = asyncio.ensure_future(store.write([charge]))
    await asyncio.sleep(0.05)
    assert not writing.done()
    other.execute("COMMIT")
    await writing
    assert ids(other) == [charge.id]
    assert store.quick([new_charge()]) is True


@made_with(lock_wait_s=0.05)
async def test_a_lock_that_stays_is_a_failure(store, other, new_charge):
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await store.write([new_charge()])
    other.execute("COMMIT")
    await store.write([new_charge()])
    assert len(ids(other)) == 1


async def test_readers_and_writers_see_each_other(store, other, new_charge):
    for _ in range(20):
        charge, theirs = new_charge(), new_charge()
        assert store.quick([charge])
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO revision (name, number) VALUES (?, 1)", [theirs.id])
        other.execute("COMMIT")
    assert len(ids(other)) == 20


async def test_a_removed_file_is_noticed_and_not_made_again(store, path, new_charge):
    away = path.with_suffix(".away")
    path.rename(away)
    assert store.quick([new_charge()]) is False
    for _ in range(2):
        with pytest.raises((OSError, sqlite3.Error)):
            await store.write([new_charge()])
    assert not path.exists()
    away.rename(path)
    await store.write([charge := new_charge()])
    with closing(sqlite3.connect(path)) as other:
        assert charge.id in ids(other)


async def test_another_file_in_its_place_is_noticed(store, path, sqlite_template, new_charge):
    path.unlink()
    for log in ("-wal", "-shm"):
        Path(f"{path}{log}").unlink()
    path.write_bytes(sqlite_template.read_bytes())
    charge = new_charge()
    assert store.quick([charge]) is False
    with pytest.raises(FileNotFoundError):
        await store.write([charge])
    await store.write([charge])
    with closing(sqlite3.connect(path)) as other:
        assert ids(other) == [charge.id]


@made_with(checkpoint_pages=50)
async def test_the_log_is_begun_again_and_again(store, path, other, new_charge, until):
    log = Path(f"{path}-wal")
    count = 0
    for _ in range(20):
        for _ in range(30):
            group = [new_charge()]
            if not store.quick(group):
                await store.write(group)
            count += 1
        await until(lambda: store._checkpointing is None)
    assert len(ids(other)) == count
    assert log.stat().st_size < 250 * 4120


@made_with(checkpoint_pages=20)
async def test_a_reader_that_stays_does_not_stop_the_commits(store, other, new_charge, until):
    other.execute("BEGIN")
    assert ids(other) == []
    for _ in range(100):
        group = [new_charge()]
        if not store.quick(group):
            await store.write(group)
    await until(lambda: store._checkpointing is None)
    assert ids(other) == []
    other.execute("COMMIT")
    assert len(ids(other)) == 100


async def test_closing_while_it_checkpoints(path, new_charge):
    store = SqliteStore(path, "process", checkpoint_pages=1)
    await store.write([new_charge()])
    await store.close()
    assert not Path(f"{path}-wal").exists()
