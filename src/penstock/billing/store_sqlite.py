"""Charges in SQLite: committed on the loop while that takes microseconds, on a thread when it would wait."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from msgspec.structs import astuple
from sqlalchemy import URL, NullPool, bindparam, create_engine, select, update
from sqlalchemy.dialects import sqlite

from penstock.billing.charge import COLUMNS, WIDTH, Charge, drawn
from penstock.billing.models import ChargeRow, Lease
from penstock.billing.store import Durability
from penstock.kit.tasks import spawn

STATEMENT_ROWS = 32
"""Rows of the largest statement. One of every size up to here is kept prepared, so that most groups are one statement."""
CHECKPOINT_PAGES = 4096
"""How far the write-ahead log grows before it is written back and used again from its beginning: 16 MiB."""
SLOW_S = 0.02
REST_S = 0.5
"""After a commit on the loop that took longer than SLOW_S, groups go to the thread for this long."""
LOCK_WAIT_S = 1.0
"""How long the thread waits for another process's write before it says so."""
_WAL_SIZE_BYTES = 64 * 1024 * 1024

_FLAGS = [COLUMNS.index(name) for name in ("streamed", "estimated")]


_DRAW = str(
    update(Lease).where(Lease.id == bindparam("lease")).values(spent=Lease.spent + bindparam("units")).compile(dialect=sqlite.dialect())
)
_THERE = str(select(ChargeRow.id).where(ChargeRow.id == bindparam("charge")).compile(dialect=sqlite.dialect()))


class SqliteStore:
    """The table in a SQLite file that other processes read and write at the same time.

    A commit with `durability = process` writes to the page cache and waits for nothing: on the loop it costs less than
    waking a thread. What can wait goes to the thread: a lock held by another process, `durability = power`, opening,
    the first commit after the log was begun again (it syncs), and everything while the disk is slow.
    """

    def __init__(
        self, path: Path, durability: Durability, *, checkpoint_pages: int = CHECKPOINT_PAGES, lock_wait_s: float = LOCK_WAIT_S
    ) -> None:
        self._pen = _Pen(path, durability, lock_wait_s)
        self._eraser = _Pen(path, durability, lock_wait_s)
        self._checkpoint_pages = checkpoint_pages
        self._on_loop = durability == "process"
        self._here = False
        self._here_from_s = 0.0
        self._pages = 0
        self._checkpointing: asyncio.Task[None] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="charges")
        self._checkpointer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")

    def quick(self, charges: list[Charge]) -> bool:
        """Commit on the loop if nothing is in the way."""
        if not self._here:
            return False
        started = time.perf_counter()
        try:
            self._pen.insert(charges)
        except (sqlite3.Error, OSError, ValueError, OverflowError, TypeError):
            self._here = False  # mostly a lock: the thread waits for it; whatever else it is, the thread reports it
            return False
        if (now := time.perf_counter()) - started > SLOW_S:
            self._here = False
            self._here_from_s = now + REST_S
        self._count(charges)
        return True

    async def write(self, charges: list[Charge]) -> None:
        """Commit the charges on the thread; see `Store`."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._pen.insert_patiently, charges)
        self._count(charges)
        self._here = self._on_loop and self._checkpointing is None and time.perf_counter() >= self._here_from_s

    async def close(self) -> None:
        """Close the file; the last one to do so writes the log back."""
        loop = asyncio.get_running_loop()
        if self._checkpointing is not None:
            await asyncio.wait([self._checkpointing])
        self._here = False
        await loop.run_in_executor(self._writer, self._pen.close)
        self._writer.shutdown(wait=False)
        self._checkpointer.shutdown(wait=False)

    def _count(self, charges: list[Charge]) -> None:
        """Estimate how much longer the log has become; only SQLite knows, and asking it costs more than a commit."""
        self._pages += 2 + len(charges) // 8
        if self._pages > self._checkpoint_pages and self._checkpointing is None:
            self._pages = 0
            self._here = False
            self._checkpointing = spawn(self._checkpoint(), name="checkpoint")

    async def _checkpoint(self) -> None:
        """Write the log back beside the commits, then begin it again between two of them.

        All that time groups go to the thread: the file system makes writers wait while it syncs. So does the group after
        it, which syncs the new log's header; then the way is clear again.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._checkpointer, self._eraser.checkpoint, "PASSIVE")
            await loop.run_in_executor(self._writer, self._eraser.checkpoint, "RESTART")
        finally:
            self._checkpointing = None


class _Pen:
    """A connection that is opened when first used and again after a failure. Used by one thread at a time."""

    def __init__(self, path: Path, durability: Durability, lock_wait_s: float) -> None:
        self._path = path
        self._lock_wait_s = lock_wait_s
        self._synchronous = "FULL" if durability == "power" else "NORMAL"
        # mode=rw: a file that vanished is a failure, not a new empty database
        url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
        arguments = {"timeout": 0, "check_same_thread": False, "isolation_level": None}
        self._engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def insert(self, charges: list[Charge]) -> None:
        """Commit the charges in one transaction, without waiting for a lock."""
        connection = self._connection or self._open()
        spent = drawn(charges)
        if len(charges) <= STATEMENT_ROWS and not spent:
            if charges:
                connection.execute(_insert(len(charges)), _values(charges))
        else:
            connection.execute("BEGIN IMMEDIATE")
            try:
                new = charges
                if _write(connection, charges) != len(charges):
                    connection.execute("ROLLBACK")  # some were written before: their leases must not be drawn on again
                    connection.execute("BEGIN IMMEDIATE")
                    new = _unwritten(connection, charges)
                    spent = drawn(new)
                    _write(connection, new)
                connection.executemany(_DRAW, [(units, lease_id) for lease_id, units in spent.items()])
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        if self._path.stat().st_ino != self._inode:  # SQLite writes on into a file that was removed
            raise FileNotFoundError(f"{self._path} was replaced by another file")

    def insert_patiently(self, charges: list[Charge]) -> None:
        """Commit the charges, waiting for other processes' writes; after any other failure the file is opened afresh."""
        until_s = time.monotonic() + self._lock_wait_s
        wait_s = 0.0005
        written = False
        try:
            while True:
                try:
                    self.insert(charges)
                except sqlite3.OperationalError as failure:
                    if not _is_locked(failure) or time.monotonic() > until_s:
                        raise
                    time.sleep(wait_s)
                    wait_s = min(2 * wait_s, 0.01)
                else:
                    written = True
                    return
        finally:
            if not written:
                self.close()

    def checkpoint(self, mode: str) -> None:
        """Write the log back: PASSIVE waits for nobody; RESTART also has the next commit begin it again, readers permitting."""
        try:
            self._open().execute(f"PRAGMA wal_checkpoint({mode})").close()
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        borrowed = self._engine.raw_connection()
        connection = cast(sqlite3.Connection, borrowed.driver_connection)
        borrowed.detach()
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute(f"PRAGMA journal_size_limit={_WAL_SIZE_BYTES}")
            self._inode = self._path.stat().st_ino
            self._connection = connection
        finally:
            if self._connection is None:
                connection.close()
        return connection


def _is_locked(failure: sqlite3.Error) -> bool:
    return failure.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _write(connection: sqlite3.Connection, charges: list[Charge]) -> int:
    """Insert the rows; how many were not there."""
    new = 0
    for start in range(0, len(charges), STATEMENT_ROWS):
        rows = charges[start : start + STATEMENT_ROWS]
        new += connection.execute(_insert(len(rows)), _values(rows)).rowcount
    return new


def _unwritten(connection: sqlite3.Connection, charges: list[Charge]) -> list[Charge]:
    """The charges that have no row yet."""
    return [charge for charge in charges if connection.execute(_THERE, (charge.id,)).fetchone() is None]


def _values(charges: list[Charge]) -> list[Any]:
    """The rows one after the other. Flags become integers: the driver looks for an adapter of anything else."""
    values: list[Any] = list(chain.from_iterable(astuple(charge)[:WIDTH] for charge in charges))
    for place in _FLAGS:
        values[place::WIDTH] = [+flag for flag in values[place::WIDTH]]
    return values


@cache
def _insert(rows: int) -> str:
    """The text that inserts so many rows."""
    one = str(sqlite.insert(ChargeRow).on_conflict_do_nothing(index_elements=["id"]).compile(dialect=sqlite.dialect(), column_keys=COLUMNS))
    row = f"({', '.join('?' * WIDTH)})"
    return one.replace(row, ", ".join([row] * rows))
