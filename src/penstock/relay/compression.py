"""Expanding compressed bodies, always with a bound: a kilobyte can expand to a gigabyte."""

from __future__ import annotations

import zlib

import brotli
import zstandard

STEP = 64 * 1024
KNOWN = (b"gzip", b"x-gzip", b"deflate", b"br", b"zstd")


class TooLarge(Exception):
    """The expanded data passes the bound."""


def expand(data: bytes, encoding: bytes, limit_bytes: int) -> bytes | None:
    """`data` without its content-encoding; None if it is damaged, unknown or passes the limit."""
    try:
        return expand_strictly(data, encoding, limit_bytes)
    except (ValueError, TooLarge):
        return None


def expand_strictly(data: bytes, encodings: bytes, limit_bytes: int) -> bytes:
    """`data` without its content-encodings, the last one first (RFC 9110 section 8.4). Raises ValueError or TooLarge."""
    for encoding in reversed([name.strip().lower() for name in encodings.split(b",")]):
        if encoding in (b"", b"identity"):
            continue
        if encoding not in KNOWN:
            raise ValueError(f"the content-encoding {encoding.decode('latin-1')!r} is not known")
        try:
            data = _expand_one(data, encoding, limit_bytes)
        except (zlib.error, brotli.error, zstandard.ZstdError) as exc:
            raise ValueError(f"the {encoding.decode()} data is damaged") from exc
    return data


def _expand_one(data: bytes, encoding: bytes, limit_bytes: int) -> bytes:
    if encoding == b"zstd":
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(data, read_across_frames=True) as reader:
            expanded = reader.read(limit_bytes + 1)
    elif encoding == b"br":
        expanded = _brotli(data, limit_bytes)
    else:
        expanded = _zlib(data, encoding, limit_bytes)
    if len(expanded) > limit_bytes:
        raise TooLarge
    return expanded


def _brotli(data: bytes, limit_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    out = bytearray(decoder.process(data, output_buffer_limit=STEP))
    while not decoder.is_finished() and len(out) <= limit_bytes:
        more = decoder.process(b"", output_buffer_limit=STEP)
        if not more and decoder.can_accept_more_data():
            raise ValueError("the br data ends early")
        out += more
    return bytes(out)


def _zlib(data: bytes, encoding: bytes, limit_bytes: int) -> bytes:
    # "deflate" is zlib's format by the RFC and a bare stream by habit (RFC 9110 section 8.4.1.2).
    bare = encoding == b"deflate" and (len(data) < 2 or (data[0] & 0x0F) != 8 or (data[0] * 256 + data[1]) % 31)
    decoder = zlib.decompressobj(-15 if bare else 47)
    out = decoder.decompress(data, limit_bytes + 1)
    if len(out) <= limit_bytes and not decoder.eof:
        raise ValueError("the compressed data ends early")
    return out
