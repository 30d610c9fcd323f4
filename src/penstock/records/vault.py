"""The vault: where segments are kept, and what makes them and their entries small and, if so set, secret."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from penstock.infra.files import private_dir
from penstock.infra.secrets import SEALED, Secrets
from penstock.records.entries import Entry, Row, decode_rows, encode_rows
from penstock.records.record import Record
from penstock.records.segments import Packed, compressor, expand, head_of, records_of

SCHEMES = ("s3", "gs", "az", "file")
STORE_FAILURES = (BaseError, OSError)
"""What a store raises; FileNotFoundError, which is an OSError, for what is not there."""
_FRAME = b"\x28\xb5\x2f\xfd"
_SMALL_BYTES = 512
"""Entries that take less are not compressed."""


def open_store(data: Path, url: str = "") -> ObjectStore:
    """Where segments are kept: at the URL, with the credentials of the environment, or in `records` in the data folder.

    Such a folder only we may read. Raises ValueError for a URL that cannot be used.
    """
    if not url:
        return LocalStore(private_dir(data / "records"))
    if url.startswith("file://"):
        return LocalStore(private_dir(Path(url.removeprefix("file://"))))
    try:
        return from_url(url)
    except (BaseError, ValueError) as failure:
        raise ValueError(f"records_url cannot be used: {str(failure).splitlines()[0]}") from failure


class Stored(NamedTuple):
    """A segment that is in the store: what is needed to read a group of it."""

    id: str
    path: str
    offsets: Sequence[int]


def stored(segment_id: str, path: str, offsets: bytes) -> Stored:
    """The segment of a row."""
    return Stored(segment_id, path, msgspec.msgpack.decode(offsets, type=list[int]))


def pack_rows(rows: Sequence[Row] | Sequence[Entry]) -> bytes:
    """Entries in little room."""
    data = encode_rows(rows)
    return compressor().compress(data) if len(data) >= _SMALL_BYTES else data


class Vault:
    """Segments in an object store. With `encrypt`, what is packed is sealed; what was packed otherwise is read all the same."""

    def __init__(self, store: ObjectStore, secrets: Secrets, *, encrypt: bool = False) -> None:
        self.store = store
        self._secrets = secrets
        self._encrypt = encrypt

    def pack(self, segment_id: str, groups: Sequence[bytes | memoryview]) -> Packed:
        """Groups as they are stored. Takes its time: for a thread."""
        compress = compressor().compress
        packed = [self._sealed(compress(group), f"record_segment/{segment_id}/{number}") for number, group in enumerate(groups)]
        head = b"" if self._encrypt else compress(head_of(len(groups)))
        offsets = [len(head)]
        for group in packed:
            offsets.append(offsets[-1] + len(group))
        return Packed(b"".join((head, *packed)), offsets)

    def pack_entries(self, segment_id: str, shelf: str, rows: Sequence[Row] | Sequence[Entry]) -> bytes:
        """The entries of a page as they are stored."""
        return self.sealed_entries(segment_id, shelf, pack_rows(rows))

    def sealed_entries(self, segment_id: str, shelf: str, packed: bytes) -> bytes:
        """What `pack_rows` gives as it is stored."""
        return self._sealed(packed, f"record_entries/{segment_id}/{shelf}")

    def entries(self, segment_id: str, shelf: str, data: bytes, record_id: str = "") -> list[Entry]:
        """They again; none of them where a record is named that is not there.

        Raises ValueError when they are damaged, and PenstockError `wrong_secret_key`.
        """
        data = self._opened(data, f"record_entries/{segment_id}/{shelf}")
        data = expand(data) if data.startswith(_FRAME) else data
        return decode_rows(data) if record_id.encode() in data else []

    async def put(self, path: str, data: bytes) -> None:
        """Keep a segment. Raises `STORE_FAILURES`."""
        await self.store.put_async(path, data)

    async def group(self, segment: Stored, number: int) -> bytes:
        """One group of a segment, expanded. Raises `STORE_FAILURES`, ValueError when damaged, and PenstockError `wrong_secret_key`."""
        if not 0 <= number < len(segment.offsets) - 1:
            raise ValueError("it was lost when its segment was rewritten" if number < 0 else "its segment has no such group")
        begin, end = segment.offsets[number], segment.offsets[number + 1]
        found = bytes(await self.store.get_range_async(segment.path, start=begin, end=end))
        if len(found) != end - begin:
            raise ValueError("its segment is too short")
        return expand(self._opened(found, f"record_segment/{segment.id}/{number}"))

    async def records(self, segment: Stored, number: int) -> list[Record]:
        """The records of a group; raises as `group`."""
        return records_of(await self.group(segment, number))

    async def delete(self, paths: Sequence[str]) -> None:
        """Forget segments; those that are gone already are no failure. Raises `STORE_FAILURES`."""
        with contextlib.suppress(FileNotFoundError):
            await self.store.delete_async(paths)
            return
        for path in paths:  # one of them was gone, and that has kept others from being deleted
            with contextlib.suppress(FileNotFoundError):
                await self.store.delete_async(path)

    async def paths(self, before: datetime) -> AsyncIterator[list[str]]:
        """The names of what was stored before a moment, many at a time."""
        async for objects in self.store.list_async():
            yield [found["path"] for found in objects if found["last_modified"] < before]

    def _sealed(self, data: bytes, about: str) -> bytes:
        return self._secrets.seal_bytes(data, about) if self._encrypt else data

    def _opened(self, data: bytes, about: str) -> bytes:
        return self._secrets.open_bytes(data, about) if data[:1] == SEALED else data
