"""Segments: many records as one stored object, in groups that are read alone."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import msgspec
import zstandard

from penstock.accounts.models import OPERATOR
from penstock.records.entries import OPERATOR_SHELF, Row, row_of
from penstock.records.record import Record
from penstock.records.redact import Shown, redact

SUFFIX = ".zst"
SEGMENT_BYTES = 6 * 1024 * 1024
"""When a segment is full, by what its records take uncompressed."""
SEGMENT_RECORDS = 2048
"""Or by how many they are: a list reads the entries of a segment together."""
SPAN_MS = 3_600_000
"""So far apart may the ends of two exchanges in a segment be: lists look for pages that overlap no further than that."""
GROUP_BYTES = 256 * 1024
"""So much is compressed at a time, and expanded to read one record."""
EXPANDED_LIMIT = 1 << 30
"""Bytes of records in one group: damaged data must not take all memory."""
_FAST = zstandard.ZstdCompressionParameters(strategy=zstandard.STRATEGY_FAST, window_log=18, hash_log=15, min_match=7, write_checksum=True)
"""Level 1, but for `min_match`: what repeats in records is long, and not to look for less takes a fifth less time. `hash_log` makes
good what that loses."""
_HALF_MS = SPAN_MS // 2
_ARRAY_32 = b"\xdd"
"""MessagePack: an array, whose length follows in four bytes."""
_HEAD = 5
_UNENCODABLE = (TypeError, ValueError, OverflowError, AttributeError)

_encode_into = msgspec.msgpack.Encoder().encode_into
_decoder = msgspec.msgpack.Decoder(list[Record])


def segment_path(segment_id: str, created_at_ms: int) -> str:
    """The name of a segment in the store: by day, so that a day is one folder."""
    return f"{datetime.fromtimestamp(created_at_ms / 1000, UTC):%Y/%m/%d}/{segment_id}{SUFFIX}"


class Draft:
    """A segment in the making: records are redacted and encoded as they come, and gathered in groups.

    No object of a record is kept but the row of its entry: thousands of objects would push out of the processor's caches what the
    next requests need. `room` is the `room` of one that was packed: memory that is used again costs much less than that which the
    system has to give and take.
    """

    def __init__(self, room: bytearray | None = None) -> None:
        self.room = bytearray() if room is None else room
        """The groups, one after the other."""
        self.count = 0
        self.raw_bytes = 0
        """What its closed groups hold in memory, and what their records take uncompressed."""
        self.shelves: dict[str, list[Row]] = {OPERATOR_SHELF: []}
        """The entries of its records by shelf, in order of arrival."""
        self._operator = self.shelves[OPERATOR_SHELF]
        self._first_ms = 0
        self._record = bytearray()
        self._ends: list[int] = []
        """Where in `room` the closed groups end."""
        self._end = 0
        """Where the last record ends, of a group that begins at `raw_bytes` and has so many as `_position`."""
        self._position = 0
        self._begin_group()

    @property
    def is_full(self) -> bool:
        """It should be written."""
        return self.raw_bytes >= SEGMENT_BYTES or self.count >= SEGMENT_RECORDS

    def takes(self, created_at_ms: int) -> bool:
        """Whether a record of that moment may be in this segment."""
        return not self.count or -_HALF_MS < created_at_ms - self._first_ms < _HALF_MS

    def add(self, record: Record) -> bool:
        """Add a record that it takes; the record is changed. Whether that has closed a group: it may be full then.

        Raises ValueError when the record can't be encoded.
        """
        encoded, closed = self._record, False
        headers = record.request_headers
        try:
            redact(record)
            if record.request_headers is headers and type(headers) is Shown:
                record.request_headers = headers.packed()
            _encode_into(record, encoded)
            end = self._end + len(encoded)
            if end - self.raw_bytes > GROUP_BYTES and self._position:
                closed = True
                self._close_group()
                end = self._end + len(encoded)
            row = row_of(record, len(self._ends), self._position)
        except _UNENCODABLE as failure:
            raise ValueError(f"record {record.id} cannot be written: {failure}") from failure
        self.room[self._end : end] = encoded
        self._end = end
        self._position += 1
        if end - self.raw_bytes > GROUP_BYTES:  # it is a group by itself
            closed = True
            self._close_group()
        if record.for_operator:
            self._operator.append(row)
        if record.for_owner:
            shelf = record.account_id or OPERATOR
            if shelf in self.shelves:
                self.shelves[shelf].append(row)
            else:
                self.shelves[shelf] = [row]
        if not self.count:
            self._first_ms = record.created_at_ms
        self.count += 1
        return closed

    def _begin_group(self) -> None:
        begin = self.raw_bytes = self._end
        self._end, self._position = begin + _HEAD, 0
        self.room[begin : self._end] = _array(0)

    def _close_group(self) -> None:
        if self._position:
            self.room[self.raw_bytes : self.raw_bytes + _HEAD] = _array(self._position)
            self._ends.append(self._end)
            self._begin_group()

    def close(self) -> list[memoryview]:
        """The groups, each an array of records, uncompressed; nothing is added any more. May be called again."""
        self._close_group()
        room = memoryview(self.room)
        return [room[begin:end] for begin, end in pairwise((0, *self._ends))]


class Packed(NamedTuple):
    """A segment as it is stored, and where in it its groups begin; the last number is where it ends."""

    data: bytes
    offsets: list[int]


def head_of(groups: int) -> bytes:
    """What stands before the groups: with it, all of them are one array."""
    return _array(groups)


def compressor() -> zstandard.ZstdCompressor:
    """What makes groups smaller, for one thread at a time; it lets others have the interpreter meanwhile."""
    return zstandard.ZstdCompressor(compression_params=_FAST)


def expand(frame: bytes, limit_bytes: int = EXPANDED_LIMIT) -> bytes:
    """What a frame of zstd's holds. Raises ValueError when it is damaged or expands beyond the limit."""
    try:
        if not 0 <= zstandard.frame_content_size(frame) <= limit_bytes:
            raise ValueError(f"it is longer than {limit_bytes} bytes")
        return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError as failure:
        raise ValueError(str(failure)) from failure


def records_of(group: bytes | memoryview) -> list[Record]:
    """The records of a group, in their order. Raises ValueError."""
    return _decoder.decode(group)


def _array(length: int) -> bytes:
    return _ARRAY_32 + length.to_bytes(4)
