"""Sessions: one transaction each, on both engines, and what they raise when the database is away."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from penstock.infra import schema
from penstock.infra.database import Database, DatabaseAway, sqlite_path
from penstock.infra.revisions import Revision
from penstock.kit.clock import now_ms


async def test_a_session_commits_at_its_end(database: Database) -> None:
    async with database.session() as session:
        session.add(Revision(name="a", number=1))
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(Revision.name))).all() == ["a"]


async def test_a_session_that_raises_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.session() as session:
            session.add(Revision(name="a", number=1))
            await session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with database.session(read_only=True) as session:
        assert (await session.scalars(select(Revision.name))).all() == []


async def test_a_broken_constraint_stays_an_integrity_error(database: Database) -> None:
    async def insert() -> None:
        async with database.session() as session:
            await session.execute(text("INSERT INTO revision (name, number) VALUES ('a', 1)"))

    await insert()
    with pytest.raises(IntegrityError):
        await insert()


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    async with database.session() as writer:
        writer.add(Revision(name="a", number=1))
        await writer.flush()
        async with database.session(read_only=True) as reader:
            assert (await reader.scalars(select(Revision.name))).all() == []


async def test_writers_that_read_first_wait_for_each_other(database: Database) -> None:
    async with database.session() as session:
        session.add(Revision(name="a", number=0))

    async def add_one() -> None:
        async with database.session() as session:
            found = await session.scalar(select(Revision).where(Revision.name == "a").with_for_update())
            assert found is not None
            await asyncio.sleep(0)
            found.number += 1

    await asyncio.gather(*(add_one() for _ in range(8)))
    async with database.session(read_only=True) as session:
        assert await session.scalar(select(Revision.number)) == 8


async def test_a_file_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'gone.db'}")
    with pytest.raises(DatabaseAway, match="unable to open"):
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
    await database.close()
    assert not (tmp_path / "gone.db").exists()


async def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{quote(str(tmp_path))}/a%20b%23c%2541/pen%20stock.db")
    assert await schema.migrate(database)
    assert database.path == tmp_path / "a b#c%41" / "pen stock.db"
    await database.close()


async def test_a_server_that_refuses_is_away() -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        database = Database(f"postgresql://nobody@127.0.0.1:{taken.getsockname()[1]}/none")
        with pytest.raises(DatabaseAway):
            async with database.session() as session:
                await session.execute(text("SELECT 1"))
        await database.close()


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_a_missing_postgresql_database_is_away(database: Database) -> None:
    elsewhere = Database(database.engine.url.set(database="missing", drivername="postgresql").render_as_string(hide_password=False))
    with pytest.raises(DatabaseAway, match="missing"):
        async with elsewhere.session() as session:
            await session.execute(text("SELECT 1"))
    await elsewhere.close()


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_read_only_sessions_cannot_write_on_postgresql(database: Database) -> None:
    with pytest.raises((DatabaseAway, ProgrammingError), match="read-only"):
        async with database.session(read_only=True) as session:
            await session.execute(text("DELETE FROM revision"))


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
async def test_sqlite_pragmas(tmp_path: Path, durability: str, synchronous: int) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", durability)  # type: ignore[arg-type]
    await schema.migrate(database)
    async with database.session() as session:
        assert await session.scalar(text("PRAGMA synchronous")) == synchronous
        assert await session.scalar(text("PRAGMA foreign_keys")) == 1
        assert await session.scalar(text("PRAGMA busy_timeout")) == 10_000
    await database.close()


def test_urls(tmp_path: Path) -> None:
    assert sqlite_path("sqlite:///data/penstock.db") == Path("data/penstock.db").absolute()
    assert sqlite_path(f"sqlite:///{tmp_path}/a.db") == tmp_path / "a.db"
    assert sqlite_path("postgresql://me@db/penstock") is None
    for url in ("mysql://me@db/penstock", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ValueError, match="database_url"):
            sqlite_path(url)


@pytest.mark.parametrize("url", ["postgres://me@db/penstock?sslmode=require", "postgresql://me@db/penstock?sslmode=require"])
def test_names_that_people_have_in_postgresql_urls(url: str) -> None:
    engine_url = Database(url).engine.url
    assert engine_url.drivername == "postgresql+asyncpg"
    assert dict(engine_url.query) == {"ssl": "require"}


async def test_the_clock_of_the_database(database: Database) -> None:
    before_ms = now_ms()
    async with database.session(read_only=True) as session:
        at_ms = await session.scalar(select(database.now_ms))
    assert before_ms - 1 <= at_ms <= now_ms() + 1


@pytest.mark.parametrize("new_database_url", ["postgresql"], indirect=True)
async def test_a_patient_connection_waits_for_long_statements(database_url: str) -> None:
    hasty = Database(database_url, command_s=0.2)
    with pytest.raises(DatabaseAway):
        await _sleep(hasty)
    async with hasty.patient() as patient:
        await _sleep(patient)
    await hasty.close()


async def _sleep(database: Database) -> None:
    async with database.session() as session:
        await session.execute(text("SELECT pg_sleep(0.5)"))


async def test_whoever_is_last_closes(database):
    """A connection that is in use when the others are closed, or is opened afterwards, is closed when its session ends."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with database.session(read_only=True) as session:
            await session.execute(text("select 1"))
            begun.set()
            await go_on.wait()

    running = asyncio.ensure_future(late())
    await begun.wait()
    closing = asyncio.ensure_future(database.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    go_on.set()
    await asyncio.gather(running, closing)
    await late()
    assert database.engine.pool.checkedin() == 0


async def test_a_commit_that_fails_leaves_no_transaction_to_the_next_session(database: Database) -> None:
    async with database.session() as session:
        await session.execute(text("CREATE TABLE one (id INTEGER PRIMARY KEY)"))
        await session.execute(text("CREATE TABLE two (one_id INTEGER REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)"))
    for _ in range(2):
        with pytest.raises(IntegrityError):
            async with database.session() as session:
                await session.execute(text("INSERT INTO two VALUES (1)"))
        async with database.session() as session:
            assert (await session.scalars(text("SELECT one_id FROM two"))).all() == []


async def test_whoever_is_cancelled_at_any_moment_of_a_session_is_no_failure(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async def use() -> None:
        async with database.session(read_only=True) as session:
            await session.execute(select(Revision))

    for turns in range(0, 200, 1 if database.path is not None else 20):
        await use()  # there is a connection again
        task = asyncio.create_task(use())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await use()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
