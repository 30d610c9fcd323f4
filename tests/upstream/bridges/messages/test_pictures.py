from __future__ import annotations

import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.messages.pictures import size_of

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"\0" * 9 + b"\xff\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + b"\x03" * 4
LOSSY = b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", 640, 480)
LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L" + b"\0" * 4 + b"\x2f" + struct.pack("<I", 639 | 479 << 14) + b"\0" * 8
EXTENDED = b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")


@pytest.mark.parametrize("picture", [PNG, GIF, JPEG, LOSSY, LOSSLESS, EXTENDED])
def test_the_size_of_a_picture(picture):
    assert size_of(b64encode(picture).decode()) == (640, 480)


@pytest.mark.parametrize(
    "data", ["", "é", "abc", b64encode(b"%PDF-1.7").decode(), b64encode(JPEG[:12]).decode(), b64encode(PNG[:20]).decode()]
)
def test_a_size_that_cannot_be_told(data):
    assert size_of(data) is None


@given(st.sampled_from([PNG[:8], GIF[:6], JPEG[:2], LOSSY[:16], LOSSLESS[:16], EXTENDED[:16], b""]), st.binary(max_size=80))
def test_no_bytes_make_it_raise(head, rest):
    found = size_of(b64encode(head + rest).decode())
    assert found is None or all(side > 0 for side in found)
