"""Segments: many records as one stored object, and back."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard
from obstore.store import LocalStore, ObjectStore

from penstock.infra.files import private_dir
from penstock.records.record import Record
from penstock.records.redact import may_hold_keys, redact_names, redact_text

SUFFIX = ".zst"
_LEVEL = 1
_EXPANDED_LIMIT = 1 << 30
"""Bytes of records in one segment: damaged data must not take all memory."""
_READ_BYTES = 1 << 20
_ARRAY_32 = b"\xdd"  # MessagePack: an array, whose length follows in four bytes
_UNENCODABLE = (TypeError, ValueError, OverflowError, AttributeError)

Row = tuple[str, int, str | None]
"""What the index has of a record: its id, when it was, in ms, and whose key it was."""

_log = logging.getLogger("penstock.records")
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[list[Record]])


def open_store(data: Path) -> ObjectStore:
    """Where segments are kept: the folder `records` of the data folder, which only we may read."""
    return LocalStore(private_dir(data / "records"))


def segment_path(segment_id: str, created_at_ms: int) -> str:
    """The name of a segment in the store: by day, so that a day can be removed as one folder."""
    return f"{datetime.fromtimestamp(created_at_ms / 1000, UTC):%Y/%m/%d}/{segment_id}{SUFFIX}"


class Group(NamedTuple):
    """Some records, redacted and encoded: of each its id, time in ms and key, and all of them as bytes."""

    rows: list[Row]
    data: bytes


def encode(records: list[Record]) -> Group:
    """Redact and encode; one that can't be encoded is left out. The records are changed."""
    for record in records:
        if len(record.response_body) > 1:
            record.response_body = [b"".join(record.response_body)]
        redact_names(record)
    try:
        data = _encode(records)
    except _UNENCODABLE:
        return _encode_singly(records)
    if may_hold_keys(data):
        return _encode_singly(records)
    return Group([(record.id, record.created_at_ms, record.key_id) for record in records], data)


def _encode_singly(records: list[Record]) -> Group:
    """As `encode`, for when one of them is unsound or may hold a key in its text."""
    rows: list[Row] = []
    parts = [b""]
    for record in records:
        try:
            part = _encode(record)
            if may_hold_keys(part):
                redact_text(record)
                part = _encode(record)
        except _UNENCODABLE as failure:
            _log.warning("record %s cannot be written: %s", record.id, failure)
        else:
            parts.append(part)
            rows.append((record.id, record.created_at_ms, record.key_id))
    parts[0] = _array(len(rows))
    return Group(rows, b"".join(parts))


def seal(groups: list[Group | list[Record]]) -> Group:
    """Groups as one compressed array of them, and the rows of all. Those that are not encoded are; meant for a thread."""
    rows: list[Row] = []
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    pieces = [compressor.compress(_array(len(groups)))]
    for group in groups:
        encoded = group if isinstance(group, Group) else encode(group)
        rows += encoded.rows
        pieces.append(compressor.compress(encoded.data))
    pieces.append(compressor.flush())
    return Group(rows, b"".join(pieces))


def _array(length: int) -> bytes:
    return _ARRAY_32 + length.to_bytes(4)


def unpack(data: bytes, limit_bytes: int = _EXPANDED_LIMIT) -> list[Record]:
    """The records of a segment, in their order. Raises ValueError when the data are damaged or expand beyond the limit."""
    reader = zstandard.ZstdDecompressor().stream_reader(data)
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
