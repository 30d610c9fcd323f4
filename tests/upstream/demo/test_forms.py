"""Multipart and url-encoded bodies."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.upstream.demo.answer import RefusedError
from penstock.upstream.demo.forms import parse_form

BODY = (
    b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\ndemo\r\n'
    b'--B\r\ncontent-disposition: form-data; name="file"; filename="a \\"b\\".txt"\r\nContent-Type: text/plain\r\n\r\nhel\r\n\r\nlo\r\n'
    b"--B--\r\n"
)


def test_fields_and_files_are_read():
    form = parse_form(BODY, b"multipart/form-data; boundary=B")
    assert form.fields == {"model": "demo"}
    upload = form.file("file")
    assert (upload.name, upload.kind, upload.content) == ('a "b".txt', "text/plain", b"hel\r\n\r\nlo")


def test_a_quoted_boundary_and_a_preamble():
    assert parse_form(b"preamble\r\n" + BODY, b'multipart/form-data; charset=x; boundary="B"').field("model") == "demo"


def test_repeated_file_fields_in_brackets():
    part = b'--B\r\nContent-Disposition: form-data; name="image[]"; filename="x"\r\n\r\n1\r\n'
    form = parse_form(part * 2 + b"--B--", b"multipart/form-data; boundary=B")
    assert [upload.kind for upload in form.files] == ["", ""]
    assert form.file("image").content == b"1"


def test_url_encoded():
    assert parse_form(b"a=1&b=x%20y&c=", b"application/x-www-form-urlencoded; charset=utf-8").fields == {"a": "1", "b": "x y", "c": ""}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (BODY, b"application/json"),
        (BODY, b"multipart/form-data"),
        (BODY[:-6], b"multipart/form-data; boundary=B"),
        (b"", b"multipart/form-data; boundary=B"),
        (b"--B\r\nContent-Type: text/plain\r\n\r\nx\r\n--B--", b"multipart/form-data; boundary=B"),
        (b'--B\r\nContent-Disposition: form-data; name="x"\r\n--B--', b"multipart/form-data; boundary=B"),
    ],
)
def test_what_is_not_a_form_is_refused(body, kind):
    with pytest.raises(RefusedError) as refused:
        parse_form(body, kind)
    assert refused.value.status == 400


def test_missing_fields_are_named():
    form = parse_form(b"a=1", b"application/x-www-form-urlencoded")
    with pytest.raises(RefusedError) as missing:
        form.field("model")
    assert missing.value.param == "model"
    with pytest.raises(RefusedError) as missing:
        form.file("file")
    assert missing.value.param == "file"


@settings(deadline=None)
@given(st.binary(max_size=300), st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20))
def test_what_a_client_writes_is_what_is_read(content, name):
    request = httpx.Request("POST", "http://x/", files={"file": (f"{name}.bin", content, "a/b")}, data={"model": name})
    form = parse_form(request.read(), request.headers["content-type"].encode())
    assert (form.field("model"), form.file("file").content, form.file("file").name) == (name, content, f"{name}.bin")
