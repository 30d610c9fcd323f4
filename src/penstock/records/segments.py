"""Segments: many records as one stored object, and back."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import zstandard
from obstore.store import LocalStore, ObjectStore

from penstock.infra.files import private_dir
from penstock.records.record import Record
from penstock.records.redact import places_of_keys, redact_names, redact_text

SUFFIX = ".zst"
_LEVEL = 1
_EXPANDED_LIMIT = 1 << 30
"""Bytes of records in one segment: a damaged length must not take all memory."""
_ARRAY_32 = b"\xdd"  # MessagePack: an array, whose length follows in four bytes
_UNENCODABLE = (TypeError, ValueError, OverflowError, AttributeError)

_log = logging.getLogger("penstock.records")
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[Record])


def open_store(data: Path) -> ObjectStore:
    """Where segments are kept: the folder `records` of the data folder, which only we may read."""
    return LocalStore(private_dir(data / "records"))


def segment_path(segment_id: str, created_at_ms: int) -> str:
    """The name of a segment in the store: by day, so that a day can be removed as one folder."""
    return f"{datetime.fromtimestamp(created_at_ms / 1000, UTC):%Y/%m/%d}/{segment_id}{SUFFIX}"


def pack(records: list[Record]) -> tuple[list[Record], bytes]:
    """Redact, encode and compress; also which records these are, for one that can't be encoded is left out.

    It changes the records, and is meant for a thread of its own.
    """
    packed: list[Record] = []
    parts: list[bytes] = []
    for record in records:
        try:
            if len(record.response_body) > 1:
                record.response_body = [b"".join(record.response_body)]
            redact_names(record)
            parts.append(_encode(record))
        except _UNENCODABLE as failure:
            _log.warning("record %s cannot be written: %s", record.id, failure)
        else:
            packed.append(record)
    for place in places_of_keys(parts):
        redact_text(packed[place])
        parts[place] = _encode(packed[place])
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return packed, compressor.compress(b"".join((_ARRAY_32, len(packed).to_bytes(4), *parts)))


def unpack(data: bytes) -> list[Record]:
    """The records of a segment, in their order. Raises ValueError when the data are damaged."""
    try:
        if not 0 <= zstandard.frame_content_size(data) <= _EXPANDED_LIMIT:
            raise ValueError("its length is missing or not credible")
        return _decoder.decode(zstandard.ZstdDecompressor().decompress(data))
    except (zstandard.ZstdError, msgspec.MsgspecError) as failure:
        raise ValueError(str(failure)) from failure
