"""Readable: a record's headers and bodies as text for people, decoded within bounds and free of credentials."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import brotli
import zstandard

from penstock.records.record import Headers
from penstock.records.redact import without_keys

EXPANDED_LIMIT = 8 * 1024 * 1024
"""Bytes that a compressed body may expand to; what is beyond is cut off."""
TRUNCATED = "[truncated]"
BASE64 = "[base64] "
_WINDOW_LIMIT = 8 * 1024 * 1024  # what RFC 9659 allows zstd over HTTP

_Decoded = tuple[bytes, bool]
"""The bytes, and whether there was more of them."""


class Undone(NamedTuple):
    """A body without its content-encoding. `more`: there was more of it than is read. Not `well`: it is still encoded."""

    body: bytes
    more: bool
    well: bool


def headers_shown(headers: Headers) -> dict[str, str]:
    """Headers by lower-case name; the values of a repeated one are joined by a comma, as RFC 9110 5.3 allows."""
    shown: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        shown[key] = f"{shown[key]}, {text}" if key in shown else text
    return shown


def body_shown(body: bytes, headers: Headers, *, truncated: bool) -> str:
    """The body as text: its content-encoding undone, `[base64] ` in front of what is not UTF-8, `[truncated]` after what is cut off."""
    body, more = decoded(body, headers)
    truncated = truncated or more
    return _text(without_keys(body), truncated) + (TRUNCATED if truncated else "")


def decoded(body: bytes, headers: Headers) -> _Decoded:
    """The body with its content-encoding undone, as far as that can be done, and whether there was more of it than is here."""
    return undone(body, headers)[:2]


def undone(body: bytes, headers: Headers) -> Undone:
    """The body with its content-encoding undone, and how well that went."""
    encodings = headers_shown([pair for pair in headers if pair[0].lower() == b"content-encoding"]).get("content-encoding", "").lower()
    more = False
    for encoding in reversed([part.strip() for part in encodings.split(",") if part.strip()]):
        decode = _DECODERS.get(encoding)
        if not body:
            break
        if decode is None:
            return Undone(body, more, well=False)
        try:
            body, beyond = decode(body)
        except (zlib.error, brotli.error, zstandard.ZstdError):
            return Undone(body, more, well=False)  # shown as it came
        more = more or beyond
    return Undone(body, more, well=True)


def _text(body: bytes, truncated: bool) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as failure:
        # A body that was cut off may end within a character.
        if truncated and failure.start >= len(body) - 3:
            return body[: failure.start].decode()
        return BASE64 + base64.b64encode(body).decode("ascii")


def _gzip(body: bytes) -> _Decoded:
    return _inflated(body, 16 + zlib.MAX_WBITS)


def _deflate(body: bytes) -> _Decoded:
    try:
        return _inflated(body, zlib.MAX_WBITS)
    except zlib.error:
        return _inflated(body, -zlib.MAX_WBITS)  # many send it without the zlib wrapper that RFC 9110 8.4.1.2 asks for


def _inflated(body: bytes, window_bits: int) -> _Decoded:
    decoder = zlib.decompressobj(window_bits)
    data = decoder.decompress(body, EXPANDED_LIMIT)
    return data, not decoder.eof or bool(decoder.unused_data)


def _brotli(body: bytes) -> _Decoded:
    decoder = brotli.Decompressor()
    data = decoder.process(body, output_buffer_limit=EXPANDED_LIMIT)  # stops at the block that reaches the limit
    return data[:EXPANDED_LIMIT], not decoder.is_finished() or len(data) > EXPANDED_LIMIT


def _zstd(body: bytes) -> _Decoded:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT)
    data = decompressor.stream_reader(BytesIO(body)).read(EXPANDED_LIMIT)
    if len(data) == EXPANDED_LIMIT:
        return data, True
    # The reader does not say whether the end was there, and the other interface knows no limit: now none is needed.
    whole = decompressor.decompressobj()
    whole.decompress(body)
    return data, not whole.eof or bool(whole.unused_data)


_DECODERS: dict[str, Callable[[bytes], _Decoded]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
    "identity": lambda body: (body, False),
}
