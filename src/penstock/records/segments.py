"""Segments: many records as one stored object, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import msgspec
import zstandard
from obstore.store import LocalStore, ObjectStore

from penstock.infra.files import private_dir
from penstock.records.record import Record
from penstock.records.redact import redact

SUFFIX = ".zst"
SEGMENT_BYTES = 4 * 1024 * 1024
"""When a segment is full, by what its records take uncompressed: so much is expanded to read one of them."""
GROUP_BYTES = 64 * 1024
"""So much is compressed at a time: little enough to be in the processor's cache still."""
LARGE_BYTES = 2 * 1024 * 1024
"""A group of more than that is compressed by a thread; it would keep the loop from its work for too long."""
_LEVEL = 1
_EXPANDED_LIMIT = 1 << 30
"""Bytes of records in one segment: damaged data must not take all memory."""
_READ_BYTES = 1 << 20
_ARRAY_32 = b"\xdd"
"""MessagePack: an array, whose length follows in four bytes."""
_HEAD = 5
_UNENCODABLE = (TypeError, ValueError, OverflowError, AttributeError)

_encode_into = msgspec.msgpack.Encoder().encode_into
_decoder = msgspec.msgpack.Decoder(list[list[Record]])


def open_store(data: Path) -> ObjectStore:
    """Where segments are kept: the folder `records` of the data folder, which only we may read."""
    return LocalStore(private_dir(data / "records"))


def segment_path(segment_id: str, created_at_ms: int) -> str:
    """The name of a segment in the store: by day, so that a day can be removed as one folder."""
    return f"{datetime.fromtimestamp(created_at_ms / 1000, UTC):%Y/%m/%d}/{segment_id}{SUFFIX}"


class Draft:
    """A segment in the making: records are redacted and encoded as they come, and compressed a group at a time.

    No object of a record is kept, and groups are gathered in one and the same buffer. Thousands of objects would push out of the
    processor's caches what the next requests need, and leave the memory they are in scattered.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        """Of its records, in order."""
        self.raw_bytes = 0
        """What its groups take uncompressed."""
        self._record = bytearray()
        self._group = bytearray(GROUP_BYTES)
        """The group that is being gathered, up to `_end`; `_begin` records are in the groups before it."""
        self._begin = 0
        self._end = _HEAD
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._groups: list[bytes] = []
        """Compressed, until one is large; that and all that come after it are left to `finish`."""
        self._left: list[bytes] = []
        self._kept_bytes = 0

    @property
    def size_bytes(self) -> int:
        """What it holds in memory."""
        return self._kept_bytes + self._end - _HEAD

    @property
    def is_large(self) -> bool:
        """`finish` will take its time: call it on a thread."""
        return bool(self._left)

    def add(self, record: Record) -> bool:
        """Add a record; it is changed. Whether that has closed a group. Raises ValueError when it can't be encoded."""
        encoded = self._record
        try:
            redact(record)
            _encode_into(record, encoded)
        except _UNENCODABLE as failure:
            raise ValueError(f"record {record.id} cannot be written: {failure}") from failure
        closes = self._end + len(encoded) > GROUP_BYTES
        if closes:
            self._close_group()
        self.ids.append(record.id)
        begin = self._end
        end = begin + len(encoded)
        if end > GROUP_BYTES:
            self._keep(_array(1) + encoded)
            self._begin += 1
        else:
            self._group[begin:end] = encoded
            self._end = end
        return closes

    def _close_group(self) -> None:
        count = len(self.ids) - self._begin
        if count:
            self._group[:_HEAD] = _array(count)
            with memoryview(self._group) as group:
                self._keep(group[: self._end])
            self._begin += count
            self._end = _HEAD

    def _keep(self, group: bytes | memoryview) -> None:
        size = len(group)
        self.raw_bytes += size
        if self._left or size > LARGE_BYTES:
            self._left.append(bytes(group))
        else:
            self._groups.append(self._compressor.compress(group))
            size = len(self._groups[-1])
        self._kept_bytes += size

    def finish(self) -> bytes:
        """The segment: an array of groups, each an array of records and a frame of its own."""
        self._close_group()
        head = self._compressor.compress(_array(len(self._groups) + len(self._left)))
        return b"".join((head, *self._groups, *map(self._compressor.compress, self._left)))


def _array(length: int) -> bytes:
    return _ARRAY_32 + length.to_bytes(4)


def unpack(data: bytes, limit_bytes: int = _EXPANDED_LIMIT) -> list[Record]:
    """The records of a segment, in their order. Raises ValueError when the data are damaged or expand beyond the limit."""
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := reader.read(_READ_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > limit_bytes:
                raise ValueError(f"it is longer than {limit_bytes} bytes")
        return list(chain.from_iterable(_decoder.decode(b"".join(pieces))))
    except (zstandard.ZstdError, msgspec.MsgspecError) as failure:
        raise ValueError(str(failure)) from failure
