"""Archives: a private file of JSON lines, compressed, that says at its end what should be in it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard

_LEVEL = 6
_READ_BYTES = 1 << 20
_encoder = msgspec.json.Encoder()


class DamagedError(Exception):
    """The file is not an archive, or not what it was when it was written."""


class Archive:
    """An archive that is being written. A value is one line; bytes in it are written as base64."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()

    def add(self, *values: Any) -> None:
        """Write the values, a line each."""
        lines = _encoder.encode_lines(values)
        self._digest.update(lines)
        self._file.write(self._compressor.compress(lines))

    def close(self) -> None:
        """Write the line that proves that it is whole."""
        last = _encoder.encode_lines([{"sha256": self._digest.hexdigest()}])
        self._file.write(self._compressor.compress(last) + self._compressor.flush())


@contextmanager
def written(path: Path) -> Iterator[Archive]:
    """An archive that appears as `path`, mode 0600, when the block ends well, and leaves nothing else behind.

    Raises FileExistsError when there is such a file, and OSError.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists already; name another file")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"{path.parent} is not a folder")
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(number, "wb") as file:
            archive = Archive(file)
            yield archive
            archive.close()
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)


def read(path: Path) -> Iterator[Any]:
    """The values of an archive, in their order, one at a time; bytes come as base64.

    Raises DamagedError, at the latest after the last value, and OSError.
    """
    digest = hashlib.sha256()
    try:
        for line in _lines(path):
            value = msgspec.json.decode(line)
            if isinstance(value, dict) and value.keys() == {"sha256"}:
                if value["sha256"] != digest.hexdigest():
                    raise DamagedError(f"{path} is damaged: its checksum is another")
                return
            digest.update(line)
            yield value
    except (zstandard.ZstdError, msgspec.MsgspecError, UnicodeDecodeError) as failure:
        raise DamagedError(f"{path} is damaged, or not a backup: {failure}") from failure
    raise DamagedError(f"{path} is not whole: its end is missing")


def _lines(path: Path) -> Iterable[bytes]:
    rest = b""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        while piece := stream.read(_READ_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line + b"\n"
