"""Tally: the metrics of several workers as one page, through small files that each of them writes every second."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

import penstock
from penstock.kit.tasks import happened, spawn
from penstock.relay.metrics import Counts, Metrics, Snapshot

EVERY_S = 1.0
_PAST = "metrics-past"
_log = logging.getLogger("penstock.metrics")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class Tally:
    """One worker's share in the common page.

    Each worker owns the file `metrics-<pid>`. What a dead worker had counted is added to `metrics-past` by the next worker that
    starts, so counters never go back. Readers share a lock that this adding takes alone: nothing is counted twice or missed.
    """

    def __init__(self, metrics: Metrics, folder: Path) -> None:
        self._metrics = metrics
        self._folder = folder
        self._own = folder / f"metrics-{os.getpid()}"
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over what the dead have left, then write every second."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._locked(fcntl.LOCK_EX):
            self._gather()
        self._replace(self._own, _encode(self._metrics.snapshot()))
        self._stopping.clear()
        self._task = spawn(self._keep_writing(), name="metrics tally")

    async def stop(self) -> None:
        """Write for the last time: what this worker has counted stays."""
        if self._task is not None:
            self._stopping.set()
            await self._task
            self._task = None

    def page(self) -> bytes:
        """The Prometheus text page of all workers, this one's figures being of this moment."""
        with self._locked(fcntl.LOCK_SH):
            others = [_load(path) for path in self._files() if path != self._own]
        return self._metrics.page(snapshot for snapshot in others if snapshot is not None)

    async def _keep_writing(self) -> None:
        last = False
        while not last:
            await happened(self._stopping, EVERY_S)
            last = self._stopping.is_set()
            try:
                await asyncio.to_thread(self._replace, self._own, _encode(self._metrics.snapshot()))
            except OSError as exc:  # a full disk: the page is stale for the others, nothing else is harmed
                _log.warning("metrics could not be written: %s", exc)

    @staticmethod
    def _replace(path: Path, data: bytes) -> None:
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_bytes(data)
        fresh.replace(path)

    def _files(self) -> list[Path]:
        return [path for path in sorted(self._folder.glob("metrics-*")) if path.suffix != ".new"]

    def _gather(self) -> None:
        """Add the files of workers that do not run, and of an earlier worker with this one's pid, to the past."""
        past = Snapshot(penstock.__version__, 0, 0.0, Counts(), {}, {})
        gone = []
        for path in self._files():
            snapshot = _load(path)
            if snapshot is None or path == self._own or not _runs(snapshot.pid):
                gone.append(path)
                if snapshot is not None:
                    past.take(snapshot)
        kept = self._folder / _PAST
        self._replace(kept, _encode(past))
        for path in gone:
            if path != kept:
                path.unlink()

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, how)
            yield


def _load(path: Path) -> Snapshot | None:
    """What a worker wrote; None where another version wrote it, it is damaged, or it is gone: then it has nothing to add."""
    try:
        snapshot = _decode(path.read_bytes())
    except (msgspec.MsgspecError, OSError):
        return None
    return snapshot if snapshot.version == penstock.__version__ else None


def _runs(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
