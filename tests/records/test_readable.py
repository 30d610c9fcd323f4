"""Bodies and headers as people read them: decoded, bounded, marked, without credentials."""

from __future__ import annotations

import base64
import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.records.readable import BASE64, EXPANDED_LIMIT, TRUNCATED, body_shown, headers_shown

TEXT = "héllo wörld, 你好 " * 50
RAW = TEXT.encode()
KEY = b"sk-" + b"a1B2" * 12


def deflated(data: bytes) -> bytes:
    """DEFLATE without the zlib wrapper."""
    return zlib.compress(data)[2:-4]


ENCODED = {
    "gzip": gzip.compress(RAW),
    "GZIP": gzip.compress(RAW),
    "x-gzip": gzip.compress(RAW),
    "deflate": zlib.compress(RAW),
    " deflate ": deflated(RAW),
    "br": brotli.compress(RAW),
    "zstd": zstandard.compress(RAW),
    "identity": RAW,
    "": RAW,
    "gzip, br": brotli.compress(gzip.compress(RAW)),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_an_encoded_body_is_decoded(encoding: str) -> None:
    headers = [(b"Content-Encoding", encoding.encode())]

    assert body_shown(ENCODED[encoding], headers, truncated=False) == TEXT
    assert body_shown(b"", headers, truncated=False) == ""


@pytest.mark.parametrize(
    ("encoding", "empty"),
    [("gzip", gzip.compress(b"")), ("deflate", zlib.compress(b"")), ("br", brotli.compress(b"")), ("zstd", zstandard.compress(b""))],
)
def test_nothing_encoded_is_nothing(encoding: str, empty: bytes) -> None:
    assert body_shown(empty, [(b"content-encoding", encoding.encode())], truncated=False) == ""


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_the_beginning_of_encoded_data_is_marked(encoding: str) -> None:
    assert body_shown(ENCODED[encoding][:12], [(b"content-encoding", encoding.encode())], truncated=False).endswith(TRUNCATED)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_what_there_is_of_a_truncated_body_is_decoded(encoding: str) -> None:
    data = ENCODED[encoding]
    shown = body_shown(data[: len(data) - 10], [(b"content-encoding", encoding.encode())], truncated=True)

    assert shown.endswith(TRUNCATED)
    assert TEXT.startswith(shown.removesuffix(TRUNCATED))


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_bomb_is_cut_off(encoding: str) -> None:
    zeros = bytes(3 * EXPANDED_LIMIT)
    data = {"gzip": gzip.compress, "br": lambda data: brotli.compress(data, quality=1), "zstd": zstandard.compress}[encoding](zeros)

    shown = body_shown(data, [(b"content-encoding", encoding.encode())], truncated=False)

    assert shown.endswith(TRUNCATED)
    assert len(shown) <= EXPANDED_LIMIT + len(TRUNCATED)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "unheard-of"])
@given(st.binary(max_size=200))
def test_damaged_data_are_shown_as_they_came_or_marked(encoding: str, data: bytes) -> None:
    shown = body_shown(data, [(b"content-encoding", encoding.encode())], truncated=False)

    assert len(shown.encode()) <= EXPANDED_LIMIT


@given(st.binary(max_size=100))
def test_bytes_that_are_no_text_are_base64(data: bytes) -> None:
    shown = body_shown(data + b"\xff", [], truncated=False)

    assert shown.startswith(BASE64)
    assert base64.b64decode(shown.removeprefix(BASE64)) == data + b"\xff"


@given(st.text(min_size=1, max_size=20), st.integers(0, 80))
def test_a_text_that_is_cut_off_within_a_character_is_text(text: str, size: int) -> None:
    shown = body_shown(text.encode()[:size], [], truncated=True)

    assert shown.endswith(TRUNCATED)
    assert text.startswith(shown.removesuffix(TRUNCATED))


def test_a_key_in_a_compressed_body_is_taken_out() -> None:
    shown = body_shown(gzip.compress(b'{"key":"' + KEY + b'"}'), [(b"content-encoding", b"gzip")], truncated=False)

    assert shown == '{"key":"[redacted]"}'


def test_headers() -> None:
    headers = [(b"Content-Type", b"text/plain"), (b"x-a", b"1"), (b"X-A", b"2"), (b"x-b", b"caf\xe9")]

    assert headers_shown(headers) == {"content-type": "text/plain", "x-a": "1, 2", "x-b": "café"}
