"""WebSocket frames, against the rules of RFC 6455 and a known implementation."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key as known_accept_key

from penstock.upstream.demo.frames import BINARY, CLOSE, PING, TEXT, FrameError, FrameReader, accept_key, frame, text_frame

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, fin=final).serialize(mask=True)


def test_the_accept_key_of_the_rfc():
    assert accept_key(KEY.encode()) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" == known_accept_key(KEY).encode()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_are_written_as_others_write_them(size):
    payload = b"x" * size
    assert frame(BINARY, payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_what_others_write_is_read_however_it_is_split(payloads, step):
    data = b"".join(masked(BINARY, payload) for payload in payloads)
    reader, found = FrameReader(), []
    for at in range(0, len(data), step):
        found += list(reader.feed(data[at : at + step]))
    assert found == [(BINARY, payload) for payload in payloads]


@pytest.mark.parametrize("size", [126, 70_000])
def test_long_frames_are_read(size):
    assert list(FrameReader().feed(masked(TEXT, b"a" * size))) == [(TEXT, b"a" * size)]


def test_fragments_are_joined_around_control_frames():
    data = masked(TEXT, b"one ", final=False) + masked(PING, b"?") + masked(0, b"two", final=True)
    assert list(FrameReader().feed(data)) == [(PING, b"?"), (TEXT, b"one two")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"not masked"), 1002),
        (b"\xf1\x80abcd", 1002),
        (masked(0, b"no beginning"), 1002),
        (masked(TEXT, b"a", final=False) + masked(TEXT, b"b"), 1002),
        (bytes([0x80 | CLOSE, 0x80 | 126]) + struct.pack("!H", 126) + b"abcd" + b"x" * 126, 1002),
        (bytes([0x80 | TEXT, 0xFF]) + struct.pack("!Q", 2**40), 1009),
    ],
)
def test_what_breaks_the_rules_is_refused(data, code):
    with pytest.raises(FrameError) as broken:
        list(FrameReader().feed(data))
    assert broken.value.code == code
