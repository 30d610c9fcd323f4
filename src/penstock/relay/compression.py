"""Expanding compressed bodies, always with a bound: a kilobyte can expand to a gigabyte."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol, cast

import brotli
import zstandard

KNOWN = (b"gzip", b"x-gzip", b"deflate", b"br", b"zstd")
LAYERS_LIMIT = 4
"""No more encodings than these, one upon the other."""
FRAMES_LIMIT = 1000
"""No more gzip members or zstd frames than these, one after the other."""
STEP = 512
"""Bytes that are expanded at a time: at most 16 MB with zstd, half a MB with zlib."""
OUT_STEP = 64 * 1024
WINDOW_LIMIT = 8 * 1024 * 1024
"""The largest zstd window that decoders must have (RFC 9659)."""


class Decoder(Protocol):
    """What zlib's and zstandard's decoders have in common."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes:
        """Expand some more."""


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
    names = [name.strip().lower() for name in encodings.split(b",")]
    layers = [name for name in names if name not in (b"", b"identity")]
    if len(layers) > LAYERS_LIMIT:
        raise ValueError(f"it has more than {LAYERS_LIMIT} content-encodings")
    for encoding in reversed(layers):
        if encoding not in KNOWN:
            raise ValueError(f"the content-encoding {encoding[:40].decode('latin-1')!r} is not known")
        try:
            data = _expand_one(data, encoding, limit_bytes)
        except (zlib.error, brotli.error, zstandard.ZstdError) as exc:
            raise ValueError(f"the {encoding.decode()} data is damaged") from exc
    return data


def _expand_one(data: bytes, encoding: bytes, limit_bytes: int) -> bytes:
    if encoding == b"br":
        return _brotli(data, limit_bytes)
    if encoding == b"zstd":
        return _frames(data, lambda: cast("Decoder", zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT).decompressobj()), limit_bytes)
    # "deflate" is zlib's format by the RFC and a bare stream by habit (RFC 9110 section 8.4.1.2).
    bare = encoding == b"deflate" and (len(data) < 2 or (data[0] & 0x0F) != 8 or (data[0] * 256 + data[1]) % 31)
    bits = -15 if bare else 15 if encoding == b"deflate" else 31
    return _frames(data, lambda: cast("Decoder", zlib.decompressobj(bits)), limit_bytes)


def _frames(data: bytes, new_decoder: Callable[[], Decoder], limit_bytes: int) -> bytes:
    """Expand members or frames one after the other, in steps so small that the bound is kept without the decoder's help."""
    out: list[bytes] = []
    size = position = 0
    for _ in range(FRAMES_LIMIT):
        decoder = new_decoder()
        while not decoder.eof:
            if position >= len(data):
                raise ValueError("it ends early")
            step = data[position : position + STEP]
            piece = decoder.decompress(step)
            position += len(step) - len(decoder.unused_data)
            out.append(piece)
            size += len(piece)
            if size > limit_bytes:
                raise TooLarge
        if position == len(data):
            return b"".join(out)
    raise ValueError(f"it has more than {FRAMES_LIMIT} parts")


def _brotli(data: bytes, limit_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    out: list[bytes] = []
    size = 0
    for position in range(0, len(data), OUT_STEP):
        step = data[position : position + OUT_STEP]
        # Although it can accept more data, more of the expanded may be waiting.
        while (piece := decoder.process(step, output_buffer_limit=OUT_STEP)) or not decoder.can_accept_more_data():
            out.append(piece)
            size += len(piece)
            if size > limit_bytes:
                raise TooLarge
            step = b""
    if not decoder.is_finished():
        raise ValueError("it ends early")
    return b"".join(out)
