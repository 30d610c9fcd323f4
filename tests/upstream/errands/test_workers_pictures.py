from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_workers_ai import JPEG, PNG
from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.errands.errand import Fetched
from penstock.upstream.errands.workers_pictures import Picture, as_form, as_json, media_type, read_picture

DATA = b64encode(JPEG).decode()
WEBP, GIF, AVIF = b"RIFF\x00\x00\x00\x00WEBPVP8 ", b"GIF89a", b"\x00\x00\x00\x20ftypavif"


def read(body, status=200, kind="application/json"):
    return read_picture(Fetched(status, kind, body if isinstance(body, bytes) else json.dumps(body).encode()))


def test_json():
    assert as_json({"prompt": "a"}) == (b"content-type: application/json\r\n", b'{"prompt":"a"}')


def test_nesting_that_no_reader_takes():
    deep = value = []
    for _ in range(100_000):
        value.append([])
        value = value[0]
    with pytest.raises(PenstockError):
        as_json({"prompt": deep})


def test_forms_have_a_boundary_of_their_own():
    (first, body), (second, _) = as_form({"prompt": "ü", "width": 8}), as_form({})
    boundary = first.partition(b"boundary=")[2].strip()
    assert first != second
    assert body == (
        b'--%b\r\ncontent-disposition: form-data; name="prompt"\r\n\r\n\xc3\xbc\r\n'
        b'--%b\r\ncontent-disposition: form-data; name="width"\r\n\r\n8\r\n--%b--\r\n' % (boundary, boundary, boundary)
    )


@pytest.mark.parametrize(
    ("begin", "kind"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp"), (GIF, "image/gif"), (AVIF, "image/avif"), (b"{}", ""), (b"", "")],
)
def test_what_the_first_bytes_say(begin, kind):
    assert media_type(begin) == kind


@pytest.mark.parametrize(
    "body",
    [
        JPEG, {"result": {"image": DATA}}, {"result": {"image": "data:image/png;base64," + DATA}}, {"image": DATA}, {"result": DATA},
        {"result": {"images": [DATA]}}, {"result": {"data": [{"b64_json": DATA}]}},
    ],
)  # fmt: skip
def test_pictures(body):
    assert read(body) == Picture(DATA, "image/jpeg")


def test_urls():
    assert Picture("QUJD", "image/png").url == "data:image/png;base64,QUJD"
    assert read({"image": "QUJD"}).media_type == "image/png"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", {}, [], {"result": {}}, {"result": {"image": 7}}, {"result": {"images": []}}, {"image": "a"}]
)
def test_what_is_no_picture(body):
    found = read(body)
    assert isinstance(found, Failure) and found.status == 502


def test_an_error_is_one_whatever_it_looks_like():
    assert read(JPEG, 500).status == 500


@given(st.binary(max_size=80), st.integers(200, 599))
def test_no_bytes_escape(body, status):
    assert isinstance(read(body, status), Picture | Failure)
