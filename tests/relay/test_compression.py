"""Compressed bodies: expanded as written, refused when damaged, and never beyond their bound."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from penstock.relay.compression import FRAMES_LIMIT, LAYERS_LIMIT, TooLarge, expand, expand_strictly

MIB = 1024 * 1024


def bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def streamed_zstd(data: bytes) -> bytes:
    """Without the size of the content in its header, as a stream is written."""
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return (
        compressor.compress(data[: len(data) // 2])
        + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        + compressor.compress(data[len(data) // 2 :])
        + compressor.flush()
    )


def in_steps(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=31)
    return (
        b"".join(compressor.compress(data[at : at + 7]) + compressor.flush(zlib.Z_SYNC_FLUSH) for at in range(0, len(data), 7))
        + compressor.flush()
    )


WRITERS = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"x-gzip", gzip.compress),
    "gzip in steps": (b"gzip", in_steps),
    "gzip, stored": (b"gzip", lambda data: gzip.compress(data, 0, mtime=0)),
    "deflate": (b"deflate", zlib.compress),
    "deflate, bare": (b"deflate", bare_deflate),
    "br": (b"br", brotli.compress),
    "zstd": (b"zstd", zstandard.compress),
    "zstd in steps": (b"zstd", streamed_zstd),
    "zstd, level 19": (b"zstd", lambda data: zstandard.compress(data, 19)),
}
every_writer = pytest.mark.parametrize(("encoding", "write"), WRITERS.values(), ids=WRITERS.keys())


@every_writer
@given(data=st.one_of(st.binary(max_size=300), st.binary(min_size=1, max_size=5).map(lambda piece: piece * 1000)))
def test_what_others_write_is_read(encoding, write, data):
    assert expand_strictly(write(data), encoding, 10_000) == data


@every_writer
def test_large_bodies(encoding, write):
    data = bytes(range(256)) * 2000 + b"x" * 100_000
    assert expand_strictly(write(data), encoding, MIB) == data


@every_writer
@pytest.mark.parametrize("size", [0, 1, 1000, 100_000])
def test_the_bound_is_exact(encoding, write, size):
    packed = write(b"x" * size)
    assert expand_strictly(packed, encoding, size) == b"x" * size
    if size:
        with pytest.raises(TooLarge):
            expand_strictly(packed, encoding, size - 1)


@every_writer
def test_a_body_that_breaks_off_is_damaged(encoding, write):
    data = bytes(range(256)) * 20
    packed = write(data)
    for cut in {*range(min(len(packed), 60)), len(packed) - 1, len(packed) // 2}:
        with pytest.raises(ValueError):
            expand_strictly(packed[:cut], encoding, MIB)


@every_writer
@pytest.mark.parametrize("junk", [b"\0", b"junk", b"x" * 100_000])
def test_bytes_after_the_end_are_not_ignored(encoding, write, junk):
    with pytest.raises(ValueError):
        expand_strictly(write(b"hello") + junk, encoding, MIB)


@every_writer
@given(data=st.binary(max_size=200))
def test_any_bytes_are_expanded_or_refused(encoding, write, data):
    for body in (data, write(b"hello" * 20)[: len(data)] + data):
        try:
            assert len(expand_strictly(body, encoding, 5000)) <= 5000
        except (ValueError, TooLarge):
            assert expand(body, encoding, 5000) is None


@pytest.mark.parametrize(
    ("encoding", "write"),
    [
        (b"gzip", lambda data: gzip.compress(data, 9, mtime=0)),
        (b"deflate", zlib.compress),
        (b"br", lambda data: brotli.compress(data, quality=5)),
        (b"zstd", zstandard.compress),
    ],
)
def test_a_bomb_is_bounded_in_memory(encoding, write):
    bomb = write(bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            expand_strictly(bomb, encoding, MIB)
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


def test_a_bomb_in_a_bomb():
    bomb = gzip.compress(gzip.compress(bytes(32 * MIB)))
    with pytest.raises(TooLarge):
        expand_strictly(bomb, b"gzip, gzip", MIB)


def test_members_and_frames_follow_each_other():
    assert expand_strictly(gzip.compress(b"a", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"b", mtime=0), b"gzip", 10) == b"ab"
    skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
    assert expand_strictly(zstandard.compress(b"a") + skipped + zstandard.compress(b"b") + skipped, b"zstd", 10) == b"ab"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("encoding", "one"),
    [(b"gzip", gzip.compress(b"", mtime=0)), (b"zstd", zstandard.compress(b"")), (b"zstd", b"\x50\x2a\x4d\x18\x00\x00\x00\x00")],
)
def test_there_may_not_be_any_number_of_them(encoding, one):
    assert expand_strictly(one * FRAMES_LIMIT, encoding, 10) == b""
    with pytest.raises(ValueError, match="parts"):
        expand_strictly(one * 1_000_000, encoding, 10)


def test_encodings_one_upon_the_other_the_last_one_first():
    packed = zstandard.compress(brotli.compress(gzip.compress(b"hello", mtime=0)))
    assert expand_strictly(packed, b" gzip ,BR,identity,, zstd", 1000) == b"hello"
    assert expand_strictly(b"hello", b"identity", 5) == b"hello"
    assert expand_strictly(b"hello", b"", 5) == b"hello"


def test_there_may_not_be_any_number_of_layers():
    packed = b"hello"
    for _ in range(LAYERS_LIMIT):
        packed = gzip.compress(packed, mtime=0)
    assert expand_strictly(packed, b",".join([b"gzip"] * LAYERS_LIMIT), 1000) == b"hello"
    with pytest.raises(ValueError, match="content-encodings"):
        expand_strictly(gzip.compress(packed, mtime=0), b",".join([b"gzip"] * (LAYERS_LIMIT + 1)), 1000)


@pytest.mark.parametrize("encoding", [b"compress", b"gzip2", b"\xff", b"x" * 10_000, b"chunked"])
def test_unknown_encodings_are_named_briefly(encoding):
    with pytest.raises(ValueError, match="not known") as caught:
        expand_strictly(b"hello", encoding, 1000)
    assert len(str(caught.value)) < 200
    assert expand(b"hello", encoding, 1000) is None


def test_zstd_windows_are_bounded():
    """RFC 9659: 8 MB is what a decoder must have, and so what it may be made to have."""

    def packed(window_log: int) -> bytes:
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return compressor.compress(b"hello") + compressor.flush()

    assert expand_strictly(packed(23), b"zstd", 10) == b"hello"
    with pytest.raises(ValueError, match="damaged"):
        expand_strictly(packed(27), b"zstd", 10)


@pytest.mark.timeout(10)
def test_time_is_linear_in_what_does_not_compress():
    noise = random.Random(0).randbytes(8 * MIB)
    assert expand_strictly(brotli.compress(noise, quality=0), b"br", 8 * MIB) == noise
