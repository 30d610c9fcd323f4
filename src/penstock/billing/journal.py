"""The journal: a local, append-only file that has the charges which the database could not take."""

from __future__ import annotations

import fcntl
import logging
import os
import zlib
from pathlib import Path

import msgspec

from penstock.billing.charge import Charge, mended
from penstock.infra.files import private_dir
from penstock.kit.ids import new_id

RESERVE = 8
"""One part in so many is kept for requests that were already running when the rest was full."""
_READ_BYTES = 256 * 1024
_SUFFIX = ".journal"
_log = logging.getLogger("penstock.billing")
_decoder = msgspec.json.Decoder(Charge)
_encoder = msgspec.json.Encoder()


class JournalFullError(Exception):
    """The journal has reached its bound."""


class Journal:
    """One process's journal, or one that a process left behind. Its methods wait for the disk: call them on a thread.

    A line is the CRC-32 of a charge's JSON in hexadecimal, a blank, the JSON. Whoever has the file open holds a lock on
    it, so a file without a lock is of a process that is gone. Reading does not remove anything: `forget` does, once what
    was read is in the database, and only when that is all, so that a charge is in one of the two at every moment.
    """

    def __init__(self, path: Path, *, limit_bytes: int = 0, syncs: bool = False) -> None:
        self.depth = 0
        """Charges that have yet to be forgotten."""
        self.size_bytes = 0
        self.limit_bytes = limit_bytes
        self._path = path
        self._syncs = syncs
        self._torn = False
        self._damaged = False
        self._read_to = 0
        self._reading_to = 0
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @classmethod
    def begin(cls, folder: Path, *, limit_bytes: int, syncs: bool) -> Journal:
        """A new journal for this process. Raises OSError when the folder cannot be written."""
        private_dir(folder)
        while True:
            journal = cls(folder / f"{new_id('charges')}{_SUFFIX}", limit_bytes=limit_bytes, syncs=syncs)
            if journal._lock():  # another process that starts may have taken it for an abandoned one
                if syncs:
                    _sync_folder(folder)
                return journal

    @classmethod
    def adopt(cls, folder: Path) -> list[Journal]:
        """The journals that no running process owns, oldest first, now ours."""
        adopted = []
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            journal = cls(path)
            if journal._lock():
                journal._measure()
                adopted.append(journal)
        return adopted

    @property
    def room(self) -> bool:
        """New requests may be accepted: what they will cost still fits."""
        return self.size_bytes < self.limit_bytes - self.limit_bytes // RESERVE

    def append(self, charges: list[Charge]) -> None:
        """Keep the charges as durably as the setting says. Raises JournalFullError or OSError; some may then be there all the same."""
        lines = [_encoder.encode(mended(charge)) for charge in charges]
        block = b"".join(b"%08x %b\n" % (zlib.crc32(line), line) for line in lines)
        if self._torn:
            block = b"\n" + block
        if self.size_bytes + len(block) > self.limit_bytes:
            raise JournalFullError(f"the journal has {self.size_bytes} of {self.limit_bytes} bytes")
        self._torn = True
        rest = memoryview(block)
        while rest:
            written = os.write(self._file, rest)
            self.size_bytes += written
            rest = rest[written:]
        if self._syncs:
            os.fdatasync(self._file)
        self._torn = False
        self.depth += len(charges)

    def read(self) -> list[Charge]:
        """The next charges that were not forgotten, some hundreds; none at the end."""
        charges: list[Charge] = []
        while not charges and self._read_to < self.size_bytes:
            block = self._block()
            lines = block.split(b"\n")
            if torn := lines.pop():  # without its line end, and so never reported as kept
                _log.warning("%s: the last line is torn and ignored (%d bytes)", self._path.name, len(torn))
            charges = [charge for line in lines if line and (charge := self._parse(line)) is not None]
            self._reading_to = self._read_to + len(block)
            if not charges:
                self._read_to = self._reading_to
        return charges

    def forget(self, charges: list[Charge]) -> None:
        """What was read last is in the database: go on behind it."""
        self._read_to = self._reading_to
        self.depth = max(0, self.depth - len(charges))

    def empty(self) -> None:
        """Empty the journal if all of it was forgotten, to be appended to again."""
        if self.size_bytes and self._read_to >= self.size_bytes:
            os.ftruncate(self._file, 0)
            self.size_bytes = self._read_to = self.depth = 0
            self._torn = False

    def close(self) -> None:
        """Let go of the file. It is removed when all of it was forgotten, or set aside if some of it could not be read."""
        if self._read_to >= self.size_bytes:
            if self._damaged:
                self._path.replace(self._path.with_suffix(".damaged"))
            else:
                self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            return False
        return True

    def _measure(self) -> None:
        self.size_bytes = os.fstat(self._file).st_size
        self.depth = sum(os.pread(self._file, _READ_BYTES, at).count(b"\n") for at in range(0, self.size_bytes, _READ_BYTES))

    def _block(self) -> bytes:
        """Whole lines from where reading has come to; at the end of the file, what is there."""
        size = _READ_BYTES
        while True:
            block = os.pread(self._file, size, self._read_to)
            if len(block) < size:
                return block
            if whole := block.rfind(b"\n") + 1:
                return block[:whole]
            size *= 2

    def _parse(self, line: bytes) -> Charge | None:
        checksum, _, text = line.partition(b" ")
        try:
            if int(checksum, 16) == zlib.crc32(text):
                return _decoder.decode(text)
        except (ValueError, msgspec.MsgspecError):
            pass  # not a checksum, or fields that this version does not know: told below
        self._damaged = True
        _log.error("%s: a line cannot be read; the file will be set aside", self._path.name)
        return None


def _sync_folder(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
