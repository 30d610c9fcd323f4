"""Pictures out of zips, within bounds whatever the zip says; and out of other places."""

from __future__ import annotations

import base64
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_vendors import PICTURE, zip_of
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands.pictures import FILE_LIMIT, as_base64, data_url, kind_of, unpacked
from vendor_server import Reply

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PICTURE, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
        (b"GIF89a", "image/gif"),
        (b"RIFF", None),
        (b"", None),
    ],
)
def test_kinds(data, kind):
    assert kind_of(data) == kind


def test_a_picture_as_a_url():
    assert data_url(PICTURE) == "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    assert data_url(b"?") == "data:application/octet-stream;base64,Pw=="


def test_pictures_come_in_the_order_of_their_names():
    first, second = PICTURE, PICTURE + b"2"
    assert unpacked(zip_of(("image_1.png", second), ("image_0.png", first), ("readme.txt", b"hello"))) == [first, second]
    assert unpacked(zip_of(("a/", b""), ("a/image_0.png", first), packed=True)) == [first]
    assert unpacked(PICTURE) == [PICTURE]


def test_a_bomb_is_not_unpacked():
    bomb = zip_of(("image_0.png", PNG + bytes(FILE_LIMIT + 1)), packed=True)
    assert len(bomb) < 100_000
    with pytest.raises(ProviderRefusal, match="too large"):
        unpacked(bomb)


def test_a_bomb_that_lies_about_its_size_is_not_unpacked():
    bomb = bytearray(zip_of(("image_0.png", PNG + bytes(FILE_LIMIT + 1)), packed=True))
    directory = bomb.rindex(b"PK\x01\x02")
    struct.pack_into("<I", bomb, directory + 24, 100)
    struct.pack_into("<I", bomb, 22, 100)
    with pytest.raises(ProviderRefusal):
        unpacked(bytes(bomb))


def test_a_bomb_of_many_files_is_not_unpacked():
    with pytest.raises(ProviderRefusal, match="too many files"):
        unpacked(zip_of(*((f"{n}.png", PICTURE) for n in range(17))))
    with pytest.raises(ProviderRefusal, match="too large"):
        unpacked(zip_of(*((f"{n}.png", PNG + bytes(FILE_LIMIT - 8)) for n in range(3)), packed=True))


def test_what_is_no_zip_of_pictures():
    whole = zip_of(("image_0.png", PICTURE), packed=True)
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    odd = bytearray(whole)
    struct.pack_into("<H", odd, 8, 99)
    struct.pack_into("<H", odd, odd.rindex(b"PK\x01\x02") + 10, 99)
    damaged = whole.replace(whole[60:80], b"x" * 20)
    for data in (b"", b"<html>", b"PK\x03\x04", whole[:-10], bytes(encrypted), bytes(odd), damaged, zip_of(("a.txt", b"x"))):
        with pytest.raises(ProviderRefusal):
            unpacked(data)


@given(at=st.integers(0, 400), value=st.integers(0, 255))
def test_no_damage_makes_anything_else_escape(at, value):
    data = bytearray(zip_of(("image_0.png", PICTURE), packed=True))
    data[at % len(data)] = value
    with suppress(ProviderRefusal):
        assert unpacked(bytes(data))


async def test_fetched(replicate, caller):
    order = caller.order("/", "m", {})
    assert await as_base64(order, f"{replicate.url}/files/x.png") == base64.b64encode(PICTURE).decode()
    assert await as_base64(order, "data:image/png;base64,AAAA") == "AAAA"
    replicate.file = Reply(200, PNG + bytes(FILE_LIMIT), "image/png")
    with pytest.raises(ProviderRefusal):
        await as_base64(order, f"{replicate.url}/files/x.png")
